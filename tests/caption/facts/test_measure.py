"""Facts: colours, pose, pairing, and the whole on real photographs."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from humanvlm.caption.facts import pose
from humanvlm.caption.facts.colour import LIT, NAMES, colour_names, colour_shares, exposed
from humanvlm.caption.facts.labels import vocabulary
from humanvlm.caption.facts.measure import measure, pair
from humanvlm.data.facts import facts_from_json
from humanvlm.inspect.plots import picture_of

COLOURS = {
    **{"red": (200, 30, 30), "orange": (240, 120, 20), "yellow": (250, 220, 40), "green": (40, 140, 50)},
    **{"blue": (30, 80, 200), "light blue": (150, 200, 240), "dark blue": (15, 25, 70), "purple": (120, 40, 150)},
    **{"pink": (250, 170, 190), "brown": (110, 70, 40), "beige": (222, 205, 175), "black": (12, 12, 14)},
    **{"white": (250, 250, 248), "grey": (128, 128, 130), "dark red": (100, 10, 20), "teal": (0, 130, 130)},
}


@pytest.mark.parametrize(("name", "rgb"), COLOURS.items())
def test_colours_have_the_names_people_give_them(name: str, rgb: tuple[int, int, int]) -> None:
    assert NAMES[int(colour_names(np.array(rgb, dtype=np.uint8)))] == name


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_every_colour_has_one_name(rgb: tuple[int, int, int]) -> None:
    region = np.full((8, 8, 3), rgb, dtype=np.uint8)
    (guess,) = colour_shares(region)
    assert guess.value in NAMES
    assert guess.probability == 1.0


def test_shares_count_masked_pixels_only() -> None:
    region = np.zeros((60, 60, 3), dtype=np.uint8)
    region[:, :30] = COLOURS["red"]
    region[:, 30:] = COLOURS["blue"]
    assert [(guess.value, guess.probability) for guess in colour_shares(region)] == [("blue", 0.5), ("red", 0.5)]
    mask = np.zeros((60, 60), dtype=bool)
    mask[:, :30] = True
    assert [guess.value for guess in colour_shares(region, mask)] == ["red"]
    assert colour_shares(region, np.zeros((60, 60), dtype=bool)) == ()
    assert colour_shares(region[:1]) == ()


def body(**joints: tuple[float, float]) -> Any:
    """Keypoints with the named pairs of joints at x, y and all others unseen."""
    index = {"shoulders": pose.SHOULDERS, "hips": pose.HIPS, "knees": pose.KNEES, "ankles": pose.ANKLES}
    points = np.zeros((17, 3), dtype=np.float32)
    for name, (x, y) in joints.items():
        for side, joint in enumerate(index[name]):
            points[joint] = (x + 30 * side, y, 0.9)
    return points


def test_dim_pictures_show_the_colours_of_the_same_things_in_the_light() -> None:
    lit = np.full((80, 80, 3), (236, 98, 56), dtype=np.uint8)
    lit[:20] = 250
    dim = (lit * 0.55).astype(np.uint8)
    assert colour_shares(dim[20:])[0].value != colour_shares(lit[20:])[0].value
    assert colour_shares(exposed(dim)[20:])[0].value == colour_shares(lit[20:])[0].value
    assert exposed(dim).max() == pytest.approx(LIT, abs=2)
    assert exposed(lit) is lit
    assert exposed(np.zeros((9, 9, 3), dtype=np.uint8)).max() == 0


def test_postures_follow_the_joints() -> None:
    standing = body(shoulders=(50, 50), hips=(50, 120), knees=(52, 180), ankles=(52, 240))
    sitting = body(shoulders=(50, 50), hips=(50, 120), knees=(90, 130), ankles=(90, 190))
    lying = body(shoulders=(50, 100), hips=(150, 110))
    for name, points in (("standing", standing), ("sitting", sitting), ("lying", lying)):
        guess = pose.posture(points)
        assert guess is not None
        assert guess.value == name
        assert guess.probability == pytest.approx(0.9)
    assert pose.posture(body(shoulders=(50, 50), hips=(50, 120))) is None
    assert pose.posture(np.zeros((17, 3), dtype=np.float32)) is None


def test_a_back_has_its_right_shoulder_on_the_right() -> None:
    back = body(shoulders=(50, 50), hips=(50, 120))
    for joint in (*pose.SHOULDERS, *pose.HIPS):
        back[joint, 0] = 95 if joint in (pose.SHOULDERS[1], pose.HIPS[1]) else 50
    guess = pose.turned_away(back)
    assert guess is not None
    assert guess.value == "away"
    assert guess.probability > 0.8
    side = back.copy()
    side[pose.SHOULDERS[1], 0] = 62
    assert pose.turned_away(side) is None
    front = back.copy()
    front[list(pose.SHOULDERS)] = back[list(pose.SHOULDERS[::-1])]
    assert pose.turned_away(front) is None
    assert pose.turned_away(np.zeros((17, 3), dtype=np.float32)) is None


def test_raised_arms_need_wrists_above_the_nose() -> None:
    points = body(shoulders=(50, 50), hips=(50, 120))
    points[pose.NOSE] = (65, 30, 0.8)
    points[pose.WRISTS[0]] = (40, 5, 0.8)
    guess = pose.raised_arms(points)
    assert guess is not None
    assert guess.value == "one arm raised"
    points[pose.WRISTS[1]] = (90, 5, 0.2)  # not seen
    assert pose.raised_arms(points) == guess
    points[pose.WRISTS[1]] = (90, 5, 0.9)
    both = pose.raised_arms(points)
    assert both is not None
    assert both.value == "both arms raised"


def test_faces_are_given_to_bodies_one_to_one() -> None:
    left, right = {"box": [0, 0, 100, 300], "score": 0.9}, {"box": [200, 50, 280, 300], "score": 0.8}
    twice = {"box": [5, 0, 100, 290], "score": 0.6}
    faces = [
        {"box": [220, 60, 250, 90], "score": 0.9, "points": []},
        {"box": [30, 10, 70, 50], "score": 0.9, "points": []},
        {"box": [320, 10, 350, 40], "score": 0.9, "points": []},
    ]
    found = pair(faces, [left, right, twice], 400, 300)
    assert len(found) == 3
    assert all(one.face is not None for one in found)
    assert [one.body is None for one in sorted(found, key=lambda one: one.face_box or (0, 0, 0, 0))] == [
        False,
        False,
        True,
    ]


def test_facts_of_the_astronaut(rows: dict[str, dict[str, Any]]) -> None:
    row = rows["astronaut"]
    facts = measure(np.asarray(picture_of(row)), row["faces"], row["people"], row["objects"])
    (person,) = facts.people
    assert facts.people_count == 1
    assert person.gender is not None
    assert (person.gender.value, person.facing and person.facing.value) == ("female", "camera")
    assert person.expression is not None
    assert person.expression.value == "happy"
    assert person.garments[0].colours[0].value == "orange"
    assert (person.position, person.shot) == ("centre", "half-length")
    assert not facts.monochrome
    assert facts_from_json(facts.to_json()) == facts


def test_gender_of_an_old_face_is_not_believed(rows: dict[str, dict[str, Any]]) -> None:
    row = rows["hopper"]
    (person,) = measure(np.asarray(picture_of(row)), row["faces"], row["people"], row["objects"]).people
    assert person.stage is not None
    assert person.stage.value == "older"
    assert person.gender is not None
    assert person.gender.probability < 0.6
    assert person.garments[0].colours[0].value in ("black", "dark blue")


def test_grey_picture_is_monochrome(rows: dict[str, dict[str, Any]]) -> None:
    rgb = np.asarray(picture_of(rows["small"])).mean(axis=2, keepdims=True).repeat(3, axis=2).astype(np.uint8)
    assert measure(rgb, [], [], []).monochrome


@settings(max_examples=25, deadline=None)  # every example runs five networks
@given(box=st.tuples(*[st.floats(-50, 200)] * 4), points=st.lists(st.floats(-50, 200), min_size=12, max_size=12))
def test_odd_boxes_never_fail(box: tuple[float, ...], points: list[float]) -> None:
    x0, y0, x1, y1 = box
    ordered = [min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)]
    rgb = np.arange(96 * 128 * 3, dtype=np.uint32).reshape(96, 128, 3).astype(np.uint8)
    face = {"box": ordered, "score": 0.9, "points": points}
    facts = measure(rgb, [face], [{"box": ordered, "score": 0.5}], [])
    assert facts.people_count in (1, 2)
    assert facts_from_json(facts.to_json()) == facts


def test_vocabulary_names_each_label_once_a_kind() -> None:
    for kind, entries in vocabulary().items():
        numbers = [number for labels in entries.values() for number in labels.tolist()]
        assert len(numbers) == len(set(numbers)), kind
        assert all(0 <= number < 1000 for number in numbers)
        assert all(numbers.size for numbers in entries.values())
