"""One picture with everything curation may ask of it, computed when first asked."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import cv2

from humanvlm.caption.facts.attributes import Floats, age_probabilities
from humanvlm.config.human_scenes import HumanScenes
from humanvlm.curate.detectors import (
    FaceDetector,
    NsfwClassifier,
    PersonDetector,
    load_face_detector,
    load_nsfw_classifier,
    load_person_detector,
)
from humanvlm.curate.faces import find_faces
from humanvlm.curate.language import language_scores
from humanvlm.curate.minors import ADULT
from humanvlm.data.detections import Detection, Face, Picture

SHARPNESS_SIDE = 256


@dataclass(frozen=True)
class Models:
    """The models curation runs, one of each role. ages: probabilities of ages in years of a face, by its points."""

    face: FaceDetector
    closeup_face: FaceDetector | None
    person: PersonDetector
    nsfw: NsfwClassifier
    ages: Callable[[Picture, Sequence[float]], Floats | None] = age_probabilities


@cache
def load_models(face: str, closeup_face: str, person: str, nsfw: str) -> Models:
    """Load by the names of ``models.yaml``, once a process. Raises UserError for an unknown name or missing package."""
    return Models(
        load_face_detector(face),
        load_face_detector(closeup_face) if closeup_face else None,
        load_person_detector(person),
        load_nsfw_classifier(nsfw),
    )


class Scene:
    """A row of ``raw_scrape`` and its decoded picture; a signal is computed once, and only when a filter needs it."""

    def __init__(self, row: Mapping[str, Any], rgb: Picture, config: HumanScenes, models: Models) -> None:
        self.rgb = rgb
        self.height, self.width = rgb.shape[:2]
        self.texts: list[str] = row.get("captions") or ([row["text"]] if row.get("text") else [])
        self._config = config
        self._models = models

    @cached_property
    def gray(self) -> Picture:
        """Luma (height, width) uint8."""
        gray: Picture = cv2.cvtColor(self.rgb, cv2.COLOR_RGB2GRAY)
        return gray

    @cached_property
    def exposure(self) -> float:
        """Mean luma, 0 black to 1 white."""
        return float(self.gray.mean()) / 255

    @cached_property
    def sharpness(self) -> float:
        """Variance of the Laplacian of the picture scaled to 256 px on its longer side: comparable across sizes."""
        scale = SHARPNESS_SIDE / max(self.width, self.height)
        size = (max(round(self.width * scale), 1), max(round(self.height * scale), 1))
        small = cv2.resize(self.gray, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        return float(cv2.Laplacian(small, cv2.CV_64F).var())

    @cached_property
    def languages(self) -> Mapping[str, float]:
        """Probability of each language (ISO 639-1 codes, longer ones where it has none), best first, all texts taken
        together; empty without text."""
        return language_scores(self.texts)

    @cached_property
    def nsfw(self) -> float:
        """Probability, 0..1."""
        return self._models.nsfw.score(self.rgb)

    @cached_property
    def minor(self) -> float | None:
        """Greatest probability, 0..1, that a face appears to be under 18; None when no face tells an age."""
        ages = [self._models.ages(self.rgb, face.points) for face in self.faces]
        return max((float(each[:ADULT].sum()) for each in ages if each is not None), default=None)

    @cached_property
    def _found(self) -> list[Detection]:
        return [found for found in self._models.person.detect(self.rgb) if found.score >= self._config.min_person_score]

    @property
    def people(self) -> list[Detection]:
        """Persons at or above ``min_person_score``, best first."""
        return [found for found in self._found if found.label == "person"]

    @property
    def objects(self) -> list[Detection]:
        """Everything else at or above ``min_person_score``, best first."""
        return [found for found in self._found if found.label != "person"]

    @cached_property
    def faces(self) -> list[Face]:
        """Faces at or above ``min_face_score``, best first."""
        faces = find_faces(self.rgb, self.people, self._models.face, self._models.closeup_face)
        return [face for face in faces if face.score >= self._config.min_face_score]
