"""Attribute networks: age, gender, expression, pose, and ImageNet labels.

Every function takes uint8 RGB pictures [height, width, 3] and returns probabilities or scores, never decisions. What is
estimated is how a face appears; nothing here recognises who it is.
"""

import math
from collections.abc import Sequence
from functools import cache

import cv2
import numpy as np
import numpy.typing as npt

from humanvlm.weights.run import network

Picture = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

EXPRESSIONS = ("angry", "disgusted", "fearful", "happy", "neutral", "sad", "surprised")
CHANNEL_MEANS = np.array([122.782, 117.001, 104.298], dtype=np.float32)  # age and gender models, RGB

LABELLED = 280  # px, the side of what the label network sees

# Right eye, left eye, nose tip, mouth centre in the unit square of a chip. The first frame is that of the age and
# gender models' aligner (margin of 0.2 a side); the second is wider: of those tried, it tells expressions best.
CHIP_POINTS = np.array([[0.305, 0.301], [0.681, 0.301], [0.493, 0.514], [0.493, 0.721]], dtype=np.float32)
WIDE_POINTS = np.array([[0.360, 0.476], [0.640, 0.476], [0.500, 0.630], [0.500, 0.770]], dtype=np.float32)
# The gender model flips on small shifts of its 32 px chip: average it over tilts, scales and mirror images.
TILTS = ((-6.0, 0.9), (6.0, 0.9), (-6.0, 1.0), (6.0, 1.0))  # degrees, scale


def face_chip(rgb: Picture, points: Sequence[float], size: int, frame: Floats) -> Picture | None:
    """The face turned upright and scaled to ``size`` px, its points on those of ``frame``; None as ``similarity``."""
    found = similarity(points, frame)
    return None if found is None else warped(rgb, *found, size)


def similarity(points: Sequence[float], frame: Floats) -> tuple[complex, complex] | None:
    """a, b of the least-squares similarity (Umeyama 1991) z -> a z + b, in complex numbers, onto the unit square.

    points: x, y px of right eye, left eye, nose, mouth (more are ignored; unknown ones are NaN), to come to lie on
    those of ``frame`` [4, 2]. None when fewer than two points are known, or coincide.
    """
    seen = zip(points[:8:2], points[1:8:2], frame.tolist(), strict=True)
    pairs = [(complex(x, y), complex(*target)) for x, y, target in seen if math.isfinite(x) and math.isfinite(y)]
    if len(pairs) < 2:
        return None
    middle, aim = (sum(side) / len(pairs) for side in zip(*pairs, strict=True))
    energy = sum(abs(source - middle) ** 2 for source, _ in pairs)
    if energy < 1:
        return None
    a = sum((source - middle).conjugate() * (target - aim) for source, target in pairs) / energy
    return None if abs(a) < 1e-9 else (a, aim - a * middle)


def padded(rgb: Picture) -> Picture:
    """[height, width, 4] the picture, for which OpenCV takes a third of the time to cut out the same pixels."""
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2RGBA), dtype=np.uint8)


def warped(rgb: Picture, a: complex, b: complex, size: int, border: int = cv2.BORDER_CONSTANT) -> Picture:
    """The part of the picture that z -> a z + b takes into the unit square, ``size`` px wide. border: beyond it.

    rgb: of three channels, or as ``padded``, for several chips of one picture.
    """
    # Sample finer than the chip when the face is larger than it, then average: bilinear sampling alone would alias.
    finer = min(max(math.ceil(1 / (abs(a) * size)), 1), 8)
    matrix = np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]]) * size * finer
    side = size * finer
    chip = cv2.warpAffine(rgb, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=border)
    chip = cv2.cvtColor(chip, cv2.COLOR_RGBA2RGB) if chip.shape[2] == 4 else chip
    return np.asarray(cv2.resize(chip, (size, size), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def age_probabilities(rgb: Picture, points: Sequence[float]) -> Floats | None:
    """[81] probabilities of apparent age in years, the last is 80 and over; None when the points span no face."""
    chip = face_chip(rgb, points, 64, CHIP_POINTS)
    return None if chip is None else _chip_probabilities("age-v1", [chip, chip[:, ::-1]])


def female_probability(rgb: Picture, points: Sequence[float]) -> float | None:
    """How probably the face appears to be a woman's or girl's; None when the points span no face."""
    chips = [face_chip(rgb, points, 32, _tilted(*tilt)) for tilt in TILTS]
    found = [chip for chip in chips if chip is not None]
    if not found:
        return None
    return float(_chip_probabilities("gender-v1", [*found, *(chip[:, ::-1] for chip in found)])[0])


def expression_probabilities(rgb: Picture, points: Sequence[float]) -> Floats | None:
    """[7] probabilities of ``EXPRESSIONS``; None when the points span no face."""
    chip = face_chip(rgb, points, 200, WIDE_POINTS)
    if chip is None:
        return None
    gray = cv2.cvtColor(chip, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    return np.asarray(
        network("facex-expression")(np.repeat(gray[None, :, :, None], 3, axis=3))[0].reshape(-1), np.float32
    )


def keypoints(rgb: Picture, box: Sequence[float]) -> Floats:
    """[17, 3] x px, y px, score of COCO's keypoints of the person in the xyxy px box (MoveNet Lightning)."""
    x0, y0, x1, y1 = box
    side = 1.2 * max(x1 - x0, y1 - y0, 1)
    left, top = (x0 + x1 - side) / 2, (y0 + y1 - side) / 2
    found = network("movenet-lightning")(square_crop(rgb, left, top, side, 192)[None])[0].reshape(17, 3)
    points = np.stack([left + found[:, 1] * side, top + found[:, 0] * side, found[:, 2]], axis=1)
    return np.asarray(points, dtype=np.float32)


def label_probabilities(rgb: Picture) -> Floats:
    """[1000] probabilities of ImageNet's labels for the whole picture, squeezed into a square."""
    size = (LABELLED, LABELLED)
    squeezed = rgb if rgb.shape[:2] == size else cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    counts = network("efficientnet-lite3")(squeezed[None])[0].reshape(-1)  # uint8, in 256ths
    return np.asarray(counts / 256, dtype=np.float32)


def square_crop(rgb: Picture, left: float, top: float, side: float, size: int) -> Picture:
    """The square at (left, top) px, ``side`` px wide, resized to ``size`` px; black where it leaves the picture."""
    height, width = rgb.shape[:2]
    x0, y0, x1, y1 = (round(value) for value in (left, top, left + side, top + side))
    inside = rgb[max(y0, 0) : max(min(y1, height), 0), max(x0, 0) : max(min(x1, width), 0)]
    if not inside.size:
        return np.zeros((size, size, 3), dtype=np.uint8)
    edges = max(-y0, 0), max(y1 - height, 0), max(-x0, 0), max(x1 - width, 0)
    square = cv2.copyMakeBorder(inside, *edges, cv2.BORDER_CONSTANT, value=(0, 0, 0)) if any(edges) else inside
    return np.asarray(cv2.resize(square, (size, size), interpolation=cv2.INTER_AREA), dtype=np.uint8)


@cache
def _tilted(degrees: float, scale: float) -> Floats:
    """The age and gender models' frame, tilted and scaled about the face's middle."""
    middle = CHIP_POINTS.mean(axis=0)
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    turn = scale * np.array([[cos, sin], [-sin, cos]])
    return np.asarray((CHIP_POINTS - middle) @ turn + middle - [0, 0.03], dtype=np.float32)


def _chip_probabilities(name: str, chips: Sequence[Picture]) -> Floats:
    """The model's probabilities, averaged over chips [size, size, 3]."""
    batch = (np.stack(chips).transpose(0, 3, 1, 2).astype(np.float32, order="C") - CHANNEL_MEANS[:, None, None]) / 256
    return np.asarray(network(name)(batch)[0].mean(axis=0), dtype=np.float32)
