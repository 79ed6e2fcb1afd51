import io
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image, JpegImagePlugin

from humanvlm.data.jpeg import skeleton

from ..scrape.test_picture import photo

PICTURES = {
    "baseline": photo(90, 61),
    "progressive": photo(90, 61, progressive=True),
    "restarts": photo(90, 61, restart_marker_blocks=2),
    "grey": photo(33, 40, mode="L"),
    "cmyk": photo(33, 40, mode="CMYK"),
    "small": photo(3, 2, progressive=True),
}
KINDS = sorted(PICTURES)


def size(data: bytes) -> tuple[int, int] | None:
    """Width and height of a picture that decodes to the end."""
    try:
        image: Any = JpegImagePlugin.JpegImageFile(io.BytesIO(data))
        image.load()
    except (OSError, SyntaxError, ValueError, IndexError, TypeError, OverflowError, Image.DecompressionBombError):
        return None
    return int(image.width), int(image.height)


@pytest.mark.parametrize("kind", KINDS)
def test_a_skeleton_is_a_small_picture_of_the_same_kind(kind: str) -> None:
    data = PICTURES[kind]
    bones = skeleton(data)
    assert bones is not None
    width, height = size(data) or (0, 0)
    assert size(bones) == (min(width, 16), min(height, 16))
    whole, small = (Image.open(io.BytesIO(each)) for each in (data, bones))
    assert (small.mode, small.info.get("progressive")) == (whole.mode, whole.info.get("progressive"))


@pytest.mark.parametrize("kind", KINDS)
def test_data_that_end_early_have_none(kind: str) -> None:
    data = PICTURES[kind]
    assert all(skeleton(data[:stop]) is None for stop in range(len(data)))
    assert skeleton(data + b"whatever follows") == skeleton(data)


@settings(max_examples=1500, deadline=None)
@given(
    st.sampled_from(KINDS),
    st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 9), st.binary(max_size=4)), min_size=1, max_size=8
    ),
)
@example("baseline", [(0.5, 0, b"\xff\xd9")])
@example("progressive", [(0.5, 0, b"\xff\xc0")])
@example("restarts", [(0.6, 2, b"\xff\xd0")])
def test_what_has_a_skeleton_that_decodes_decodes(kind: str, edits: list[tuple[float, int, bytes]]) -> None:
    data = bytearray(PICTURES[kind])
    for place, removed, added in edits:
        at = int(2 + place * (len(data) - 2))
        data[at : at + removed] = added
    bones = skeleton(bytes(data))
    if bones is not None:
        assert (size(bones) is None) == (size(bytes(data)) is None)
