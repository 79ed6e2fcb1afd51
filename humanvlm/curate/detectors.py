"""What curation asks of a model: one small protocol per role, and loaders by the names of ``models.yaml``.

An entry's ``adapter`` says which code runs its file, so a detector is swapped by naming another entry in the params,
and a new family is added with one adapter. Pictures are RGB uint8 arrays (height, width, 3); boxes are xyxy in pixels
of the picture that was passed in, clipped to it. Every model runs on one thread: the engine already uses each core.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from humanvlm.models import ModelEntry, ModelError, model_entry

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


class FaceDetector(Protocol):
    def detect(self, rgb: Picture) -> list[Face]:
        """Faces, best first."""
        ...


class PersonDetector(Protocol):
    def detect(self, rgb: Picture) -> list[Detection]:
        """Persons (label ``person``) and other objects, best first."""
        ...


class NsfwClassifier(Protocol):
    def score(self, rgb: Picture) -> float:
        """Probability, 0..1, that the picture is not safe for work."""
        ...


def _blazeface(entry: ModelEntry) -> FaceDetector:
    from humanvlm.curate.blazeface import BlazeFace

    return BlazeFace(entry)


def _retinaface(entry: ModelEntry) -> FaceDetector:
    from humanvlm.curate.retinaface import RetinaFace

    return RetinaFace(entry)


def _ssd(entry: ModelEntry) -> PersonDetector:
    from humanvlm.curate.ssd import Ssd

    return Ssd(entry)


def _open_nsfw(entry: ModelEntry) -> NsfwClassifier:
    from humanvlm.curate.nsfw import OpenNsfw

    return OpenNsfw(entry)


ADAPTERS: Mapping[str, Mapping[str, Callable[[ModelEntry], Any]]] = {
    "face": {"blazeface": _blazeface, "retinaface": _retinaface},
    "person": {"ssd-coco": _ssd},
    "nsfw": {"open-nsfw": _open_nsfw},
}


def load_face_detector(name: str) -> FaceDetector:
    """Raises UserError for an unknown name (listing the known ones), a missing package or a wrong file."""
    detector: FaceDetector = _load("face", name)
    return detector


def load_person_detector(name: str) -> PersonDetector:
    """Raises UserError as ``load_face_detector`` does."""
    detector: PersonDetector = _load("person", name)
    return detector


def load_nsfw_classifier(name: str) -> NsfwClassifier:
    """Raises UserError as ``load_face_detector`` does."""
    classifier: NsfwClassifier = _load("nsfw", name)
    return classifier


def _load(role: str, name: str) -> Any:
    entry = model_entry(name, role)
    adapters = ADAPTERS[role]
    if entry.adapter is None or entry.adapter not in adapters:
        raise ModelError(
            f"{role} model {name!r}: no code for adapter {entry.adapter!r}; there is: {', '.join(sorted(adapters))}"
        )
    return adapters[entry.adapter](entry)


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
