"""Boxes: xyxy in pixels, x1 and y1 just outside."""

from collections.abc import Sequence

Box = tuple[float, float, float, float]


def box_of(values: Sequence[float]) -> Box:
    x0, y0, x1, y1 = (float(value) for value in values)
    return x0, y0, x1, y1


def area_of(box: Box) -> float:
    return max(box[2] - box[0], 0) * max(box[3] - box[1], 0)


def overlap(one: Box, other: Box) -> float:
    """Intersection over union of two boxes."""
    shared = (max(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), min(one[3], other[3]))
    both = area_of(shared)
    return both / max(area_of(one) + area_of(other) - both, 1e-9)


def clip(box: Box, width: int, height: int) -> Box:
    """The part of a box inside the picture, at least one pixel wide and high."""
    x0, y0 = min(max(box[0], 0), width - 1), min(max(box[1], 0), height - 1)
    return x0, y0, max(min(box[2], width), x0 + 1), max(min(box[3], height), y0 + 1)
