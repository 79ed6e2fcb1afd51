"""What curation asks of a model: one small protocol per role, and loaders by the names of ``models.yaml``.

An entry's ``adapter`` says which code runs its file, so a detector is swapped by naming another entry in the params,
and a new family is added with one adapter. Pictures are RGB uint8 arrays (height, width, 3); boxes are xyxy in pixels
of the picture that was passed in, clipped to it. Every model runs on one thread: the engine already uses each core.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from humanvlm.data.detections import Detection, Face, Picture
from humanvlm.weights.catalog import ModelEntry, ModelError, model_entry


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
