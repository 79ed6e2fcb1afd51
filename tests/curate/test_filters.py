"""Each filter drops what it is named for, says why, and runs no model before it must."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from PIL import Image

from humanvlm.config.human_scenes import HumanScenes
from humanvlm.curate.filters import first_reason
from humanvlm.curate.scene import Models, Scene
from humanvlm.data.detections import Detection, Face, Picture
from humanvlm.data.image import DecodeError, pixels

from ..odd_files import odd_files

NOISE = np.random.default_rng(1).integers(0, 255, (240, 320, 3), dtype=np.uint8)
FACE = Face((10, 10, 60, 70), 0.9, (0.0,) * 12)
SMALL_FACE = Face((10, 10, 20, 20), 0.9, (0.0,) * 12)
PERSON = Detection("person", 0.9, (0, 0, 100, 200))
DOG = Detection("dog", 0.9, (0, 0, 100, 200))


class Known:
    """A model whose answer is known: the filters are under test, not the networks."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def detect(self, rgb: Picture) -> list[Any]:
        if self.answer is None:
            raise AssertionError("ran without need")
        return list(self.answer)

    def score(self, rgb: Picture) -> float:
        if self.answer is None:
            raise AssertionError("ran without need")
        return float(self.answer)


def reason(
    rgb: Picture = NOISE,
    faces: Sequence[Face] | None = (FACE,),
    found: Sequence[Detection] | None = (PERSON,),
    nsfw: float | None = 0.1,
    text: str | Sequence[str] | None = None,
    years: int | None = 30,
    **config: Any,
) -> str | None:
    scene = Scene(
        {"text": text} if isinstance(text, str | None) else {"captions": text},
        rgb,
        (settings := HumanScenes(**config)),
        Models(Known(faces), None, Known(found), Known(nsfw), lambda _, __: ages(years)),
    )
    dropped = first_reason(scene, settings)
    return dropped[0] if dropped else None


def test_a_good_picture_is_kept() -> None:
    assert reason() is None


@pytest.mark.parametrize(
    ("expected", "rgb"),
    [
        ("too_small", NOISE[:100]),
        ("aspect_ratio", np.tile(NOISE[:161], (1, 3, 1))),
        ("too_dark", NOISE // 32),
        ("too_bright", 255 - NOISE // 64),
        ("blurred", np.full_like(NOISE, 128)),
    ],
)
def test_pixels_alone_decide(expected: str, rgb: np.ndarray) -> None:
    assert reason(rgb, faces=None, found=None, nsfw=None) == expected


def test_nsfw() -> None:
    assert reason(nsfw=0.95) == "nsfw"
    assert reason(nsfw=0.95, max_nsfw=1.0) is None


def ages(years: int | None) -> np.ndarray | None:
    """Nine tenths sure of an age."""
    if years is None:
        return None
    found = np.full(81, 0.1 / 80, dtype=np.float32)
    found[years] = 0.9
    return found


@pytest.mark.parametrize(
    ("years", "nsfw", "text", "dropped"),
    [
        (10, 0.1, "A girl in a garden", False),  # nothing unsafe
        (10, 0.3, "A person", True),
        (17, 0.3, "A woman", True),  # what a face tells is not outweighed by a text
        (30, 0.3, "A woman", False),
        (30, 0.3, "A girl", True),  # nor the other way round
        (30, 0.3, None, False),
        (10, 0.1, "A person in a bikini", True),
        (30, 0.1, "A person in a bikini", False),
        (None, 0.3, None, True),  # nobody says that they are adults
        (None, 0.3, "A woman", False),
        (None, 0.1, None, False),
        (None, 0.1, "topless beach", True),
        (30, 0.1, ["A beach", "a 15 year old in a swimsuit"], True),
    ],
)
def test_a_minor_and_anything_unsafe(
    years: int | None, nsfw: float, text: str | list[str] | None, dropped: bool
) -> None:
    assert (reason(years=years, nsfw=nsfw, text=text) == "unsafe_minor") == dropped


def test_thresholds_of_minors() -> None:
    assert reason(years=10, nsfw=0.3, max_nsfw_minor=0.5) is None
    assert reason(years=30, nsfw=0.3, max_minor=0.01) == "unsafe_minor"
    assert reason(years=10, nsfw=0.01, max_nsfw_minor=0.0) == "unsafe_minor"  # no minor at all


def test_language() -> None:
    german = "Ein Mann mit Hut steht vor einem großen Haus am See und lacht"
    assert reason(text=german, languages=("en",), faces=None, found=None, nsfw=None) == "wrong_language"
    assert reason(text=german, languages=("en", "de")) is None
    assert reason(text=None, languages=("en",)) is None
    english = ["A man in a hat stands in front of a big house", "Somebody laughs at the lake", "He wears a hat"]
    assert reason(text=[german, *english], languages=("en",)) is None
    assert reason(text=[german, german, english[2]], languages=("en",)) == "wrong_language"


@pytest.mark.parametrize("text", ["Woman portrait", "Model in Rome, spring 2014", "Salman Khan", "Angela Merkel 2014"])
def test_a_short_text_that_could_be_of_many_languages_is_kept(text: str) -> None:
    assert reason(text=text, languages=("en",)) is None


@pytest.mark.parametrize(
    ("require", "faces", "found", "expected"),
    [
        ("face_or_person", (), (DOG,), "no_person"),
        ("face_or_person", (), (PERSON,), None),
        ("face_or_person", (SMALL_FACE,), (PERSON,), None),
        ("face_or_person", (SMALL_FACE,), (), "face_too_small"),
        ("face_or_person", (FACE,), (), None),
        ("person", (FACE,), (), "no_person"),
        ("person", (), (PERSON,), None),
        ("face", (), (PERSON,), "no_face"),
        ("face", (SMALL_FACE,), (PERSON,), "face_too_small"),
        ("face", (SMALL_FACE, FACE), (), None),
    ],
)
def test_who_must_be_there(
    require: str, faces: Sequence[Face], found: Sequence[Detection], expected: str | None
) -> None:
    assert reason(faces=faces, found=found, require=require) == expected


def test_detections_below_the_thresholds_do_not_count() -> None:
    assert reason(faces=(), found=(Detection("person", 0.45, PERSON.box),), min_person_score=0.5) == "no_person"
    assert reason(faces=(Face(FACE.box, 0.6, FACE.points),), found=(), min_face_score=0.7) == "no_person"


def stored(image: Image.Image, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, **options)
    return file.getvalue()


def test_decode_is_upright_rgb() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: width and height swap
    assert pixels(stored(Image.fromarray(NOISE), format="JPEG", exif=exif)).shape == (320, 240, 3)
    clear = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    assert pixels(stored(clear, format="PNG")).tolist() == np.full((8, 8, 3), 255).tolist()
    assert pixels(stored(Image.new("CMYK", (8, 8)), format="JPEG")).shape == (8, 8, 3)


@pytest.mark.parametrize("data", [b"", b"not a picture", stored(Image.fromarray(NOISE), format="PNG")[:2000]])
def test_decode_refuses_what_is_not_a_picture(data: bytes) -> None:
    with pytest.raises(DecodeError):
        pixels(data)


@pytest.mark.parametrize("name", odd_files())
def test_odd_files_decode_upright_or_are_refused(name: str) -> None:
    data, right = odd_files()[name]
    if isinstance(right, str):
        with pytest.raises(DecodeError):
            pixels(data)
    else:
        rgb = pixels(data)
        assert rgb.dtype == np.uint8
        assert rgb.shape == (right[1], right[0], 3)
