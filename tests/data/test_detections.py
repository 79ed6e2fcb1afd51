import ast
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from humanvlm.data.detections import Box, area, box_of, clip, iou, overlaps, shared_areas

SIDE = st.integers(-50, 500)
BOX = st.tuples(SIDE, SIDE, st.integers(0, 500), st.integers(0, 500)).map(
    lambda box: (float(box[0]), float(box[1]), float(box[0] + box[2]), float(box[1] + box[3]))
)
ROOT = Path(__file__).parents[2]


def test_clip_and_overlap() -> None:
    assert clip((-5, 2, 30, 99), 20, 10) == (0, 2, 20, 10)
    assert overlaps((0, 0, 2, 2), [(1, 0, 3, 2), (5, 5, 6, 6), (0, 0, 2, 2)]).tolist() == pytest.approx([1 / 3, 0, 1])


@given(BOX)
def test_a_part_keeps_the_sides_it_must(box: Box) -> None:
    for least in (0, 1):
        x1, y1, x2, y2 = clip(box, 64, 48, least)
        assert 0 <= x1 <= x2 - least <= 64 - least
        assert 0 <= y1 <= y2 - least <= 48 - least


@given(BOX, BOX)
def test_one_pair_and_many_have_the_same_intersection_over_union(one: Box, other: Box) -> None:
    value = iou(one, other)
    assert 0 <= value <= 1
    assert value == pytest.approx(iou(other, one)) == pytest.approx(overlaps(one, [other])[0])
    assert iou(one, one) == (1 if area(one) else 0)


def test_sides_may_be_counted_one_longer() -> None:
    assert iou((0, 0, 10, 10), (10, 10, 20, 20)) == 0
    assert iou((0, 0, 10, 10), (10, 10, 20, 20), plus=1) == pytest.approx(1 / (121 + 121 - 1))
    assert iou((0, 0, 0, 0), (0, 0, 0, 0)) == 0
    assert iou((0, 0, 0, 0), (0, 0, 0, 0), plus=1) == 1
    assert area((3, 3, 1, 1)) == 0


def test_shared_areas_are_of_every_pair() -> None:
    found = shared_areas([(0, 0, 4, 4), (2, 2, 6, 6)], [(0, 0, 2, 2), (3, 3, 9, 9), (4, 4, 5, 5)])
    assert np.array_equal(found, [[4, 1, 0], [0, 9, 1]])
    assert shared_areas([], [(0, 0, 1, 1)]).shape == (0, 1)


def test_a_box_has_four_numbers() -> None:
    assert box_of([1, 2, 3, 4]) == (1.0, 2.0, 3.0, 4.0)
    with pytest.raises(ValueError, match="unpack"):
        box_of([1, 2, 3])


def test_nobody_else_defines_a_box() -> None:
    owners = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "humanvlm").rglob("*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Assign)
        and any(isinstance(name, ast.Name) and name.id == "Box" for name in node.targets)
    }
    assert owners == {"humanvlm/data/detections.py"}
