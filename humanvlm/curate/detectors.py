"""What curation asks of a model: one small protocol per role, and loaders by the names of ``models.yaml``.

An entry's ``adapter`` names the class of this room that runs its file, such as ``ssd:Ssd``. So a detector is swapped by
naming another entry in the params, and a new family is a module and an entry. Pictures are RGB uint8 arrays (height,
width, 3); boxes are xyxy in pixels of the picture that was passed in, clipped to it. Every model runs on one thread:
the engine already uses each core.
"""

from pkgutil import resolve_name
from typing import Any, Protocol

from humanvlm.data.detections import Detection, Face, Picture
from humanvlm.weights.catalog import ModelError, model_entry

ROOM = "humanvlm.curate."


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
    """The class that the entry's adapter names, ``MODULE:CLASS`` of this room, made of the entry."""
    entry = model_entry(name, role)
    try:
        adapter = resolve_name(f"{ROOM}{entry.adapter}")
    except (ImportError, AttributeError, ValueError) as error:
        raise ModelError(
            f"{role} model {name!r}: no code for adapter {entry.adapter!r} ({error}); MODULE:CLASS of humanvlm/curate "
            "is expected"
        ) from None
    return adapter(entry)
