"""Referring expressions: boxes read from text, intersection over union, accuracy at a threshold."""

import re
from collections.abc import Sequence

Box = tuple[float, float, float, float]
_NUMBER = r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)"
_LIST = re.compile(r"[\[(]\s*" + r"\s*,\s*".join([f"({_NUMBER})"] * 4) + r"\s*[\])]")
_OBJECT = re.compile(
    r"\s*,\s*".join(
        rf'"{name}"\s*:\s*({_NUMBER})' for name in ("x_?(?:min|1)", "y_?(?:min|1)", "x_?(?:max|2)", "y_?(?:max|2)")
    )
)


def parse_box(text: str, width: float, height: float, scale: float = 100.0) -> Box | None:
    """The first ``[x1, y1, x2, y2]`` in a reply, in 0..scale of the picture, as xyxy pixels; None when there is none.

    JSON objects with ``x_min, y_min, x_max, y_max`` (or ``x1`` …), which other models reply with, are read as well.
    Coordinates are clipped to the picture. A box without area, or with swapped corners, counts as none.
    """
    match = _LIST.search(text) or _OBJECT.search(text)
    if not match:
        return None
    x1, y1, x2, y2 = (min(max(float(value) / scale, 0.0), 1.0) for value in match.groups())
    return (x1 * width, y1 * height, x2 * width, y2 * height) if x1 < x2 and y1 < y2 else None


def iou(first: Sequence[float], second: Sequence[float]) -> float:
    """Intersection over union of two xyxy boxes in the same unit, in 0..1."""
    return _iou(first, second, 0.0)


def iou_authors(first: Box, second: Sequence[float], width: float, height: float) -> float:
    """The figure of the HumanVLM authors' script: whole hundredths, and sides counted one longer. Inflates accuracy."""

    def floored(box: Sequence[float]) -> list[float]:
        return [int(100 * value / size) for value, size in zip(box, (width, height, width, height), strict=True)]

    return _iou(floored(first), floored(second), 1.0)


def _iou(first: Sequence[float], second: Sequence[float], plus: float) -> float:
    across = min(first[2], second[2]) - max(first[0], second[0]) + plus
    down = min(first[3], second[3]) - max(first[1], second[1]) + plus
    common = max(0.0, across) * max(0.0, down)
    union = sum((box[2] - box[0] + plus) * (box[3] - box[1] + plus) for box in (first, second)) - common
    return min(1.0, common / union) if union > 0 else 0.0
