"""SSD-MobileNetV2 trained on COCO (Liu et al. 2016, Sandler et al. 2018): persons and objects in one pass."""

import cv2
import numpy as np
from numpy.typing import NDArray

from humanvlm.curate.frozen_graph import read_graph
from humanvlm.curate.ssd_network import GRIDS, SIZE, onnx_model, per_cell
from humanvlm.data.detections import Detection, Picture, box_of, clip, overlaps
from humanvlm.weights.catalog import ModelEntry, model_file
from humanvlm.weights.run import onnx_network

MIN_SCORE = 0.3
MAX_OVERLAP = 0.6  # this and the anchors' are those of the training configuration
SCALES = (*np.linspace(0.2, 0.95, len(GRIDS)).tolist(), 1.0)  # of the picture's side
ENCODED_PER_UNIT = np.array([10, 10, 5, 5], np.float32)

Floats = NDArray[np.float32]


class Ssd:
    """A frozen TensorFlow graph, turned into ONNX when it is loaded; what the graph does after the network is here."""

    def __init__(self, entry: ModelEntry) -> None:
        self._labels: dict[int, str] = entry.extras["labels"]
        self._net = onnx_network(onnx_model(read_graph(model_file(entry.name))))
        self._anchors = anchors()

    def detect(self, rgb: Picture) -> list[Detection]:
        """Detections with a score of at least 0.3, best first."""
        height, width = rgb.shape[:2]
        squeezed = cv2.resize(rgb, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
        encodings, scores = self._net(squeezed[None])
        rows, classes = np.nonzero(scores[0] >= MIN_SCORE)
        known = np.isin(classes, list(self._labels))
        rows, classes = rows[known], classes[known]
        boxes = decode(encodings[0][rows], self._anchors[rows])
        return [
            Detection(
                self._labels[int(classes[one])],
                float(scores[0, rows[one], classes[one]]),
                clip(box_of(boxes[one] * [width, height, width, height]), width, height),
            )
            for one in suppressed(boxes, scores[0, rows, classes], classes)
        ]


def anchors() -> Floats:
    """[1917, 4] centre x, y, width, height in shares of the picture, in the order of the network's rows."""
    layers = []
    for layer, side in enumerate(GRIDS):
        scale, between = SCALES[layer], (SCALES[layer] * SCALES[layer + 1]) ** 0.5
        kinds = [(scale, 1.0), (scale, 2.0), (scale, 0.5), (scale, 3.0), (scale, 0.3333), (between, 1.0)]
        if layer == 0:
            kinds = [(0.1, 1.0), (scale, 2.0), (scale, 0.5)]
        sizes = np.array([(size * ratio**0.5, size / ratio**0.5) for size, ratio in kinds])
        middle = (np.arange(side) + 0.5) / side
        cells = np.stack(np.meshgrid(middle, middle), axis=-1).reshape(-1, 2)
        layers.append(np.hstack([np.repeat(cells, per_cell(layer), axis=0), np.tile(sizes, (len(cells), 1))]))
    return np.concatenate(layers).astype(np.float32)


def decode(encodings: Floats, around: Floats) -> Floats:
    """[n, 4] encodings (y, x, height, width) to xyxy boxes in shares of the picture. around: their anchors."""
    y, x, height, width = (encodings / ENCODED_PER_UNIT).T
    centre = np.stack([x, y], axis=1) * around[:, 2:] + around[:, :2]
    half = np.exp(np.stack([width, height], axis=1)) * around[:, 2:] / 2
    return np.hstack([centre - half, centre + half])


def suppressed(boxes: Floats, scores: Floats, classes: NDArray[np.intp]) -> list[int]:
    """Rows that stay when, of boxes of one class that overlap by more than 0.6 (IoU), the best does; best first."""
    kept: list[int] = []
    for row in np.argsort(-scores, kind="stable").tolist():
        same = [boxes[other] for other in kept if classes[other] == classes[row]]
        if not same or overlaps(boxes[row], same).max() <= MAX_OVERLAP:
            kept.append(row)
    return kept
