"""What detectors give back: faces and objects with xyxy boxes in pixels, and the arithmetic of boxes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Picture = NDArray[np.uint8]
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Face:
    """A face: box xyxy, score 0..1, and its points as x, y pairs in pixels.

    Points in order: right eye, left eye (the person's), nose tip, mouth centre and, from detectors that know them,
    right ear, left ear: 12 or 8 numbers. Points may lie outside the picture.
    """

    box: Box
    score: float
    points: tuple[float, ...]

    @property
    def side(self) -> float:
        """The shorter side of the box in pixels."""
        return min(self.box[2] - self.box[0], self.box[3] - self.box[1])


@dataclass(frozen=True)
class Detection:
    """An object: COCO label, score 0..1, box xyxy in pixels."""

    label: str
    score: float
    box: Box


def box_of(values: Sequence[float]) -> Box:
    """Four numbers, as rows have them. Raises ValueError when they are not four."""
    x1, y1, x2, y2 = (float(value) for value in values)
    return x1, y1, x2, y2


def area(box: Sequence[float], plus: float = 0.0) -> float:
    """Square pixels; 0 of a box whose corners are swapped. plus: as of ``iou``."""
    return max(box[2] - box[0] + plus, 0.0) * max(box[3] - box[1] + plus, 0.0)


def overlap(one: Sequence[float], other: Sequence[float], plus: float = 0.0) -> float:
    """Square pixels that two xyxy boxes share. plus: as of ``iou``."""
    corner, opposite = (max(one[0], other[0]), max(one[1], other[1])), (min(one[2], other[2]), min(one[3], other[3]))
    return area(corner + opposite, plus)


def iou(one: Sequence[float], other: Sequence[float], plus: float = 0.0) -> float:
    """Intersection over union of two xyxy boxes in the same unit, 0..1; 0 where both are empty.

    plus: how much longer sides are counted: 1 where a box's last pixel is meant to be inside, as in older scripts.
    """
    shared = overlap(one, other, plus)
    union = area(one, plus) + area(other, plus) - shared
    return min(1.0, shared / union) if union > 0 else 0.0


def shared_areas(boxes: ArrayLike, others: ArrayLike) -> NDArray[np.float64]:
    """Area of the intersection of each of (n, 4) xyxy boxes with each of (m, 4) others: (n, m)."""
    one = np.asarray(boxes, np.float64).reshape(-1, 1, 4)
    other = np.asarray(others, np.float64).reshape(1, -1, 4)
    sides = np.minimum(one[..., 2:], other[..., 2:]) - np.maximum(one[..., :2], other[..., :2])
    shared: NDArray[np.float64] = np.clip(sides, 0, None).prod(axis=2)
    return shared


def overlaps(box: ArrayLike, boxes: ArrayLike) -> NDArray[np.float64]:
    """Intersection over union of one xyxy box with (n, 4) others: (n,), 0 where both are empty."""
    one, others = np.asarray(box, np.float64), np.asarray(boxes, np.float64)
    shared = shared_areas(one, others)[0]
    union = (one[2:] - one[:2]).prod() + (others[:, 2:] - others[:, :2]).prod(axis=1) - shared
    ratio: NDArray[np.float64] = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return ratio


def clip(box: Box, width: int, height: int, least: int = 0) -> Box:
    """The part of a box inside a picture of that size, with sides of at least ``least`` pixels (0 or 1)."""
    x1, y1 = min(max(box[0], 0), width - least), min(max(box[1], 0), height - least)
    return x1, y1, max(min(box[2], width), x1 + least), max(min(box[3], height), y1 + least)
