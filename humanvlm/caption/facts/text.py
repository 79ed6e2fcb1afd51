"""Legible words in a picture: found by a text detector (DB, Liao et al. 2020, arXiv 1911.08947), read by a CTC
recogniser (PP-OCRv6). What is read is untrusted: words are cleaned and cut, addresses and numbers are left out.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from humanvlm.caption.facts.attributes import Floats, Picture
from humanvlm.data.facts import Guess
from humanvlm.weights.run import network

DETECTOR, READER = "pp-ocrv6-det-small", "pp-ocrv6-rec-small"
# Longer side, px, at which it is seen whether there may be text (10 ms), and at which it is found (50 ms). One in 12
# photographs passes; about half of the words that a look at every picture would find are found, the larger ones.
GLANCE, LOOK = 160, 512
IS_TEXT, IS_LINE = 0.3, 0.5  # probability of a pixel, and the mean of a line's pixels
MOST_SHARE = 0.15  # of the picture, that a line of text may have at a glance
LEAST_LONG = 3.0  # times its height, that a line of text is long at a glance; faces, wheels and windows are not
UNCLIP = 1.6  # the detector's regions are shrunk: their area over their perimeter times this is added around
MOST_LINES = 8  # read, the largest first
LEAST_CONFIDENCE = 0.8
MOST_WORDS, LEAST_LETTERS, MOST_LETTERS = 6, 3, 24
WORD = re.compile(r"[^\W\d_]+(?:['’&-][^\W\d_]+)*")
ADDRESS = re.compile(
    r"@|www\.|https?:|://|\w\.(?:com|net|org|info|edu|gov|io|co|de|fr|ru|cn|jp|uk)\b|\d{3}", re.IGNORECASE
)


@dataclass(frozen=True)
class Line:
    """A line of text as read, and the mean probability of its characters."""

    text: str
    confidence: float


def legible(rgb: Picture) -> tuple[Guess, ...]:
    """Words that can be read, as they are written, the largest first; at most six, none of them twice."""
    words: dict[str, Guess] = {}
    for line in lines(rgb):
        for word in _words(line):
            words.setdefault(word.casefold(), Guess(word, round(line.confidence, 3), READER))
    return tuple(words.values())[:MOST_WORDS]


def lines(rgb: Picture) -> list[Line]:
    """Lines of text in the picture, the largest first; [] after a glance at most pictures."""
    if not glance(rgb):
        return []
    return [Line(*_read(_upright(rgb, box))) for box in _boxes(rgb)[:MOST_LINES]]


def glance(rgb: Picture) -> bool:
    """Whether a small copy of the picture has a region that may be text, which most have not."""
    found = _text_map(rgb, GLANCE)
    return any(
        width * height <= MOST_SHARE * found.size and max(width, height) >= LEAST_LONG * min(width, height)
        for _, (width, height), _ in _regions(found)
    )


def _words(line: Line) -> list[str]:
    """The words of a line that may be quoted: letters only, of some length, not of an address or a number."""
    text = unicodedata.normalize("NFC", line.text)
    if (
        line.confidence < LEAST_CONFIDENCE
        or ADDRESS.search(text)
        or any(unicodedata.category(c)[0] == "C" for c in text)
    ):
        return []
    return [
        word
        for word in WORD.findall(text)
        if sum(letter.isalpha() for letter in word) >= LEAST_LETTERS
        and len(word) <= MOST_LETTERS
        and not any(letter.isnumeric() for letter in word)  # superscripts and fractions, which \d does not match
    ]


def _text_map(rgb: Picture, side: int) -> Floats:
    """[h, w] probability of text in a copy of at most ``side`` px, both sides multiples of 32."""
    height, width = rgb.shape[:2]
    scale = min(side / max(height, width), 1.0)
    size = tuple(max(round(length * scale / 32), 1) * 32 for length in (width, height))
    small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    (found,) = network(DETECTOR)(_input(small)[None])
    return np.asarray(found[0, 0], dtype=np.float32)


def _input(rgb: Picture) -> Floats:
    """[3, height, width], BGR in -1..1, as both networks were trained."""
    return np.ascontiguousarray((rgb[..., ::-1].astype(np.float32) / 127.5 - 1).transpose(2, 0, 1))


def _boxes(rgb: Picture) -> list[npt.NDArray[np.float32]]:
    """Quadrilaterals of lines, [4, 2] x, y px, the largest first."""
    found = _text_map(rgb, LOOK)
    scale = np.array([rgb.shape[1] / found.shape[1], rgb.shape[0] / found.shape[0]], dtype=np.float32)
    boxes = []
    for (x, y), (width, height), angle in _regions(found):
        grow = 2 * width * height * UNCLIP / (2 * (width + height))
        box = cv2.boxPoints(((x, y), (width + grow, height + grow), angle)).astype(np.float32) * scale
        boxes.append(np.asarray(box, dtype=np.float32))
    return sorted(boxes, key=lambda box: -float(cv2.contourArea(box)))


def _regions(found: Floats) -> list[tuple[tuple[float, float], tuple[float, float], float]]:
    """Middle, sides and turn of the rectangles around what is probably text."""
    contours, _ = cv2.findContours((found > IS_TEXT).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    regions = []
    for contour in contours:
        x, y, width, height = cv2.boundingRect(contour)
        inside = np.zeros((height, width), dtype=np.uint8)
        cv2.drawContours(inside, [contour], -1, 1, thickness=-1, offset=(-x, -y))
        region: Any = cv2.minAreaRect(contour)
        if min(region[1]) >= 2 and found[y : y + height, x : x + width][inside == 1].mean() >= IS_LINE:
            regions.append(region)
    return regions


def _upright(rgb: Picture, box: npt.NDArray[np.float32]) -> Picture:
    """The box turned level: its lower edge is that below in the picture."""
    box = box[np.argsort(box[:, 0], kind="stable")]
    left, right = box[:2][np.argsort(box[:2, 1])], box[2:][np.argsort(box[2:, 1])]
    corners = np.array([left[0], right[0], right[1], left[1]], dtype=np.float32)
    width = max(float(np.linalg.norm(corners[1] - corners[0])), 1.0)
    height = max(float(np.linalg.norm(corners[3] - corners[0])), 1.0)
    size = round(width), round(height)
    target = np.array([[0, 0], [size[0], 0], [size[0], size[1]], [0, size[1]]], dtype=np.float32)
    crop = cv2.warpPerspective(
        rgb, cv2.getPerspectiveTransform(corners, target), size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(crop, dtype=np.uint8)


def _read(crop: Picture) -> tuple[str, float]:
    """(text, mean probability of its characters) of one level line; ("", 0) when nothing is read."""
    width = int(np.clip(round(48 * crop.shape[1] / crop.shape[0]), 16, 960))
    level = cv2.resize(crop, (width, 48), interpolation=cv2.INTER_LINEAR)
    canvas = np.zeros((48, max(width, 96), 3), dtype=np.uint8) + np.uint8(127)
    canvas[:, :width] = level
    (steps,) = network(READER)(_input(canvas)[None])
    best, sure = steps[0].argmax(axis=1), steps[0].max(axis=1)
    kept = (best > 0) & np.concatenate([[True], best[1:] != best[:-1]])
    letters = _characters()
    text = "".join(letters[number - 1] for number in best[kept] if number - 1 < len(letters))
    return (text, float(sure[kept].mean())) if text.strip() else ("", 0.0)


@cache
def _characters() -> tuple[str, ...]:
    """What the reader's classes mean; class 0 is the blank, the last one a space."""
    return (*network(READER).metadata["character"].splitlines(), " ")
