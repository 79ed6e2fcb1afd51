"""SSD-MobileNetV2 trained on COCO (Liu et al. 2016, Sandler et al. 2018) on OpenCV: persons and objects in one pass."""

from typing import Any

import cv2
import numpy as np

from humanvlm.data.detections import Detection, Picture, clip
from humanvlm.weights.catalog import ModelEntry, model_file

MIN_SCORE = 0.3
SIZE = 300


class Ssd:
    """A frozen TensorFlow graph with its text description; the graph does its own suppression."""

    def __init__(self, entry: ModelEntry) -> None:
        self._labels: dict[int, str] = entry.extras["labels"]
        # OpenCV 5 reads the frozen graph only together with its text.
        self._net: Any = cv2.dnn.readNetFromTensorflow(
            str(model_file(entry.name)), str(model_file(entry.name, "pbtxt"))
        )

    def detect(self, rgb: Picture) -> list[Detection]:
        """Detections with a score of at least 0.3, best first."""
        height, width = rgb.shape[:2]
        self._net.setInput(cv2.dnn.blobFromImage(rgb, size=(SIZE, SIZE)))
        rows = self._net.forward()[0, 0]
        rows = rows[rows[:, 2] >= MIN_SCORE]
        rows = rows[np.argsort(-rows[:, 2], kind="stable")]
        return [
            Detection(self._labels[int(row[1])], float(row[2]), _box(row[3:], width, height))
            for row in rows
            if int(row[1]) in self._labels
        ]


def _box(corners: Any, width: int, height: int) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = (corners * np.array([width, height, width, height])).tolist()
    return clip((x1, y1, x2, y2), width, height)
