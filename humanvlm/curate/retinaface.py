"""RetinaFace (Deng et al. 2019, arXiv 1905.00641) with a MobileNet-0.25 backbone, on torch.

Slower than BlazeFace and better with small faces; its scores reach 0.99, as thresholds of published data sets assume.
"""

from functools import cache

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from humanvlm.data.detections import Face, Picture, clip, overlaps
from humanvlm.weights.catalog import ModelEntry, model_file

MIN_SCORE = 0.5
MAX_OVERLAP = 0.4
MIN_SIDE = 2.0
MAX_SIDE = 640  # pixels; larger pictures are shrunk, as in training
MEAN_BGR = np.array([104, 117, 123], dtype=np.float32)
STRIDES = (8, 16, 32)
ANCHOR_SIDES = ((16, 32), (64, 128), (256, 512))
VARIANCES = (0.1, 0.2)  # of centres and of log sizes


class RetinaFace:
    """Faces with four points: eyes, nose tip and the middle of the mouth's corners."""

    def __init__(self, entry: ModelEntry) -> None:
        torch.set_num_threads(1)
        weights = torch.load(model_file(entry.name), map_location="cpu", weights_only=True)
        # Files trained on several GPUs carry the wrapper's prefix; the ImageNet classifier of the backbone is not used.
        weights = {key.removeprefix("module."): value for key, value in weights.items()}
        self._net = Network()
        self._net.load_state_dict({key: value for key, value in weights.items() if not key.startswith("body.fc.")})
        self._net.eval()

    @torch.inference_mode()
    def detect(self, rgb: Picture) -> list[Face]:
        """Faces with a score of at least 0.5, best first."""
        height, width = rgb.shape[:2]
        scale = min(MAX_SIDE / max(height, width), 1.0)
        size = (max(round(width * scale), 1), max(round(height * scale), 1))
        small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA) if scale < 1 else rgb
        pixels = small[:, :, ::-1].astype(np.float32) - MEAN_BGR
        outputs = self._net(torch.from_numpy(pixels.transpose(2, 0, 1)[None].copy()))
        boxes, logits, points = (output[0].numpy() for output in outputs)
        scores = 1 / (1 + np.exp(logits[:, 0] - logits[:, 1]))
        found = scores >= MIN_SCORE
        anchors = _anchors(small.shape[0], small.shape[1])[found]
        rows = np.concatenate([_boxes(boxes[found], anchors), _points(points[found], anchors)], axis=1)
        rows /= np.tile([small.shape[1] / width, small.shape[0] / height], 7)
        faces = [_face(row, score, width, height) for row, score in _suppress(rows, scores[found])]
        return [face for face in faces if face.side >= MIN_SIDE]


@cache
def _anchors(height: int, width: int) -> NDArray[np.float32]:
    """(n, 3): centre x, y and side in pixels, in the order of the network's outputs."""
    layers = []
    for stride, sides in zip(STRIDES, ANCHOR_SIDES, strict=True):
        y, x = np.mgrid[: -(-height // stride), : -(-width // stride)]
        centres = (np.stack([x, y], axis=-1).reshape(-1, 1, 2) + 0.5) * stride
        grid = np.broadcast_to(centres, (len(centres), 2, 2))
        layers.append(
            np.concatenate([grid, np.broadcast_to(np.reshape(sides, (1, 2, 1)), (len(centres), 2, 1))], axis=2)
        )
    return np.concatenate([layer.reshape(-1, 3) for layer in layers]).astype(np.float32)


def _boxes(raw: NDArray[np.float32], anchors: NDArray[np.float32]) -> NDArray[np.float32]:
    centres = anchors[:, :2] + raw[:, :2] * VARIANCES[0] * anchors[:, 2:]
    half = anchors[:, 2:] * np.exp(raw[:, 2:] * VARIANCES[1]) / 2
    return np.concatenate([centres - half, centres + half], axis=1)


def _points(raw: NDArray[np.float32], anchors: NDArray[np.float32]) -> NDArray[np.float32]:
    offsets = raw.reshape(-1, 5, 2) * VARIANCES[0] * anchors[:, None, 2:]
    points: NDArray[np.float32] = (anchors[:, None, :2] + offsets).reshape(-1, 10)
    return points


def _suppress(rows: NDArray[np.float32], scores: NDArray[np.float32]) -> list[tuple[NDArray[np.float32], float]]:
    order = np.argsort(-scores, kind="stable")
    rows, scores = rows[order], scores[order]
    kept = []
    while len(rows):
        kept.append((rows[0], float(scores[0])))
        other = overlaps(rows[0, :4], rows[:, :4]) <= MAX_OVERLAP
        other[0] = False
        rows, scores = rows[other], scores[other]
    return kept


def _face(row: NDArray[np.float32], score: float, width: int, height: int) -> Face:
    x1, y1, x2, y2 = row[:4].tolist()
    points = row[4:].reshape(5, 2)
    four = np.concatenate([points[:3], points[3:].mean(axis=0, keepdims=True)])
    return Face(clip((x1, y1, x2, y2), width, height), score, tuple(four.ravel().tolist()))


class Network(nn.Module):
    """Backbone, feature pyramid, context modules and heads; attribute names are those of the weight file."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.ModuleDict(
            {
                "stage1": nn.Sequential(_conv(3, 8, 2), *_separable(8, 16, (32, 2), 32, (64, 2), 64)),
                "stage2": nn.Sequential(*_separable(64, (128, 2), 128, 128, 128, 128, 128)),
                "stage3": nn.Sequential(*_separable(128, (256, 2), 256)),
            }
        )
        self.fpn = nn.ModuleDict(
            {f"output{i}": _conv(width, 64, kernel=1) for i, width in enumerate((64, 128, 256), 1)}
            | {f"merge{i}": _conv(64, 64) for i in (1, 2)}
        )
        self.ssh1, self.ssh2, self.ssh3 = _Context(), _Context(), _Context()
        self.ClassHead, self.BboxHead, self.LandmarkHead = _heads(2), _heads(4), _heads(10)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(batch, 3, height, width) BGR minus mean to (batch, n, 4) boxes, (…, 2) logits and (…, 10) points, raw."""
        fine = self.body["stage1"](pixels)
        middle = self.body["stage2"](fine)
        coarse = self.fpn["output3"](self.body["stage3"](middle))
        middle = self.fpn["output2"](middle)
        middle = self.fpn["merge2"](middle + functional.interpolate(coarse, size=middle.shape[2:]))
        fine = self.fpn["output1"](fine)
        fine = self.fpn["merge1"](fine + functional.interpolate(middle, size=fine.shape[2:]))
        features = (self.ssh1(fine), self.ssh2(middle), self.ssh3(coarse))
        return (
            _apply(self.BboxHead, features, 4),
            _apply(self.ClassHead, features, 2),
            _apply(self.LandmarkHead, features, 10),
        )


class _Context(nn.Module):
    """SSH's context module (Najibi et al. 2017): receptive fields of 3, 5 and 7 side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.conv3X3 = _conv(64, 32, active=False)
        self.conv5X5_1, self.conv5X5_2 = _conv(64, 16), _conv(16, 16, active=False)
        self.conv7X7_2, self.conv7x7_3 = _conv(16, 16), _conv(16, 16, active=False)

    def forward(self, features: Tensor) -> Tensor:
        shared = self.conv5X5_1(features)
        wide = self.conv7x7_3(self.conv7X7_2(shared))
        return functional.relu(torch.cat([self.conv3X3(features), self.conv5X5_2(shared), wide], dim=1))


def _conv(
    inputs: int, outputs: int, stride: int = 1, *, kernel: int = 3, groups: int = 1, active: bool = True
) -> nn.Sequential:
    layers = [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*layers, *([nn.LeakyReLU(0.1)] if active else []))


def _separable(inputs: int, *layers: int | tuple[int, int]) -> list[nn.Sequential]:
    """Depthwise-separable layers: output channels, or (output channels, stride)."""
    made = []
    for layer in layers:
        outputs, stride = layer if isinstance(layer, tuple) else (layer, 1)
        made.append(nn.Sequential(*_conv(inputs, inputs, stride, groups=inputs), *_conv(inputs, outputs, kernel=1)))
        inputs = outputs
    return made


def _heads(values: int) -> nn.ModuleList:
    return nn.ModuleList(nn.ModuleDict({"conv1x1": nn.Conv2d(64, 2 * values, 1)}) for _ in STRIDES)


def _apply(heads: nn.ModuleList, features: tuple[Tensor, ...], values: int) -> Tensor:
    """One row an anchor: level by level, cell by cell, small anchor first."""
    outputs = [head["conv1x1"](level) for head, level in zip(heads, features, strict=True)]  # type: ignore[index]
    return torch.cat([out.permute(0, 2, 3, 1).reshape(len(out), -1, values) for out in outputs], dim=1)
