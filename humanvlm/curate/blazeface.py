"""BlazeFace (Bazarevsky et al. 2019, arXiv 1907.05047) on LiteRT: letterbox, anchor decoding, blended suppression."""

import cv2
import numpy as np
from numpy.typing import NDArray

from humanvlm.data.detections import Face, Picture, clip, overlaps
from humanvlm.weights.catalog import ModelEntry
from humanvlm.weights.run import network

MIN_SCORE = 0.5
MAX_OVERLAP = 0.3
MIN_SIDE = 2.0  # pixels; clipping can leave a sliver


class BlazeFace:
    """The short- and the full-range model: input size from the file, anchor layout from the entry's extras."""

    def __init__(self, entry: ModelEntry) -> None:
        self._net = network(entry.name)
        self._size = self._net.input_shape[1]
        self._anchors = anchors(self._size, entry.extras["strides"], entry.extras["anchors_per_cell"])

    def detect(self, rgb: Picture) -> list[Face]:
        """Faces with a score of at least 0.5, best first."""
        height, width = rgb.shape[:2]
        square, scale, left, top = letterbox(rgb, self._size)
        outputs = self._net(square[None].astype(np.float32) / 127.5 - 1)
        regressors = next(out[0] for out in outputs if out.shape[-1] > 1)
        logits = next(out[0, :, 0] for out in outputs if out.shape[-1] == 1)
        scores = 1 / (1 + np.exp(-np.clip(logits, -80, 80)))
        found = scores >= MIN_SCORE
        rows = decode(regressors[found], self._anchors[found])
        rows = (rows - np.array([left, top])) / scale
        faces = [_face(points, score, width, height) for points, score in blend(rows, scores[found])]
        return [face for face in faces if face.side >= MIN_SIDE]


def _face(points: NDArray[np.float32], score: float, width: int, height: int) -> Face:
    (x1, y1), (x2, y2) = points[:2].tolist()
    return Face(clip((x1, y1, x2, y2), width, height), score, tuple(points[2:].ravel().tolist()))


def letterbox(rgb: Picture, size: int) -> tuple[Picture, float, float, float]:
    """Shrink (or grow) a picture into a black square of ``size`` pixels: the square, scale, left and top margins."""
    height, width = rgb.shape[:2]
    scale = size / max(height, width)
    inner = (max(round(width * scale), 1), max(round(height * scale), 1))
    resized = cv2.resize(rgb, inner, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    left, top = (size - inner[0]) // 2, (size - inner[1]) // 2
    square = np.zeros((size, size, 3), np.uint8)
    square[top : top + inner[1], left : left + inner[0]] = resized
    return square, scale, float(left), float(top)


def anchors(size: int, strides: list[int], per_cell: list[int]) -> NDArray[np.float32]:
    """Centres of the anchors in input pixels, (n, 2) x, y: row by row, ``per_cell`` times each cell of each stride."""
    layers = []
    for stride, repeats in zip(strides, per_cell, strict=True):
        centres = (np.arange(size // stride) + 0.5) * stride
        grid = np.stack(np.meshgrid(centres, centres), axis=-1).reshape(-1, 2)
        layers.append(np.repeat(grid, repeats, axis=0))
    return np.concatenate(layers).astype(np.float32)


def decode(regressors: NDArray[np.float32], centres: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, 16) raw outputs to (n, 8, 2) points in input pixels: the two box corners, then the six face points."""
    points = regressors.reshape(-1, 8, 2).copy()
    middle = points[:, 0] + centres
    half = points[:, 1] / 2
    points[:, 2:] += centres[:, None]
    points[:, 0], points[:, 1] = middle - half, middle + half
    return points


def blend(rows: NDArray[np.float32], scores: NDArray[np.float32]) -> list[tuple[NDArray[np.float32], float]]:
    """Suppression that averages what overlaps, weighted by score, instead of discarding it: steadier boxes, as in the
    paper. rows: (n, 8, 2), first two points the box corners. Best score first.
    """
    order = np.argsort(-scores, kind="stable")
    rows, scores = rows[order], scores[order]
    faces = []
    while len(rows):
        same = overlaps(rows[0, :2].reshape(4), rows[:, :2].reshape(-1, 4)) > MAX_OVERLAP
        same[0] = True
        faces.append((np.average(rows[same], axis=0, weights=scores[same]).astype(np.float32), float(scores[0])))
        rows, scores = rows[~same], scores[~same]
    return faces
