"""Keypoints told in words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from humanvlm.inference.points import NAMES, parse_points

POINTS = st.dictionaries(st.sampled_from(NAMES), st.tuples(st.integers(0, 999), st.integers(0, 999)), max_size=17)


@pytest.mark.parametrize(
    ("form", "spaces"),
    [
        ("{} at ({}, {})", True),
        ("The {} is located at [{}, {}].", True),
        ("**{}**: ({} {})", True),
        ("{}: (x={}, y={})", False),
        ('"{}": [{}, {}, 2]', False),
        ('"{}": {{"x": {}, "y": {}}}', False),
    ],
)
@given(points=POINTS)
def test_what_is_told_is_read(form: str, spaces: bool, points: dict[str, tuple[int, int]]) -> None:
    told = "; ".join(form.format(name.replace("_", " ") if spaces else name, *xy) for name, xy in points.items())
    assert parse_points(told) == points


@given(
    st.text(max_size=60) | st.lists(st.sampled_from(["left eye", " at ", "(", "1", ",", ")", "e9", "\n"])).map("".join)
)
def test_any_text_is_read_or_not(text: str) -> None:
    assert set(parse_points(text)) <= set(NAMES)


def test_hostile_text_takes_no_time() -> None:
    for text in ("left eye" + " " * 60_000, "nose" * 15_000, "left eye at (1" * 4_000, "nose is " * 8_000):
        assert parse_points(text) == {}
