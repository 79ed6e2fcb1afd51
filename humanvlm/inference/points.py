"""Keypoints read from the text of a model: "left eye at (120, 45)", and how others write it."""

import math
import re

from humanvlm.inference.boxes import SCALE, Space

_PAIRS = ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
NAMES = ("nose", *(f"{side}_{name}" for name in _PAIRS for side in ("left", "right")))  # COCO's, in its order
Point = tuple[float, float]
_MOST_TEXT = 1 << 16
_NUMBER = r"([-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d{1,4})?)"
_PLAIN = rf"[\[({{]\s*+{_NUMBER}(?:\s*+,\s*+|\s++){_NUMBER}"
_KEYED = rf"\{{\s*+[\"']?x[\"']?\s*+:\s*+{_NUMBER}\s*+,\s*+[\"']?y[\"']?\s*+:\s*+{_NUMBER}"
_PAIR = r"[\[(]\s*+x\s*+=\s*+" + _NUMBER + r"\s*+,\s*+y\s*+=\s*+" + _NUMBER
_BETWEEN = r"[\"'*`]*+\s*+(?:is\s++)?(?:located\s++|visible\s++)?(?:at\s++|:\s*+|=\s*+)?(?:coordinates?\s++)?"


def _pattern(name: str) -> re.Pattern[str]:
    spelt = r"[\s_-]?".join(re.escape(word) for word in name.split("_"))
    return re.compile(rf"(?<![a-z]){spelt}{_BETWEEN}(?:{_KEYED}|{_PAIR}|{_PLAIN})", re.I)


_PATTERNS = {name: _pattern(name) for name in NAMES}


def parse_points(text: str) -> dict[str, Point]:
    """COCO's keypoints in a reply, by name, as written: ``left eye at (x, y)``, ``left_eye: [x, y]``, or JSON."""
    text = text[:_MOST_TEXT]
    found = {}
    for name, pattern in _PATTERNS.items():
        if match := pattern.search(text):
            x, y = (float(number) for number in match.groups() if number is not None)
            if math.isfinite(x) and math.isfinite(y):
                found[name] = (x, y)
    return found


def to_pixels(point: Point, size: tuple[float, float], space: Space) -> Point:
    """A point of a picture of this size (width, height) in pixels; space: what its numbers are in."""
    if space == "pixels":
        return point
    return point[0] / SCALE[space] * size[0], point[1] / SCALE[space] * size[1]
