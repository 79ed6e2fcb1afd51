"""What detectors give back: faces and objects with xyxy boxes in pixels, and the arithmetic of boxes."""

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


def overlaps(box: ArrayLike, boxes: ArrayLike) -> NDArray[np.float64]:
    """Intersection over union of one xyxy box with (n, 4) others: (n,), 0 where both are empty."""
    one, others = np.asarray(box, np.float64), np.asarray(boxes, np.float64)
    shared = np.clip(np.minimum(one[2:], others[:, 2:]) - np.maximum(one[:2], others[:, :2]), 0, None).prod(axis=1)
    union = (one[2:] - one[:2]).prod() + (others[:, 2:] - others[:, :2]).prod(axis=1) - shared
    ratio: NDArray[np.float64] = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return ratio


def clip(box: Box, width: int, height: int) -> Box:
    """The part of a box inside a picture of that size."""
    x1, y1, x2, y2 = box
    return min(max(x1, 0), width), min(max(y1, 0), height), min(max(x2, 0), width), min(max(y2, 0), height)
