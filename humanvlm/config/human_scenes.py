"""Section ``human_scenes``."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from humanvlm.config.own_file import OwnFile
from humanvlm.config.section import Names, Pair, Section


class HumanScenes(Section):
    """Detection, quality, safety, deduplication. Lengths in pixels of the stored picture."""

    face_detector: Annotated[str, Field(description="entry of models.yaml with the role face")] = "blazeface-full-range"
    closeup_face_detector: Annotated[
        str, Field(description="the same; runs on the upper part of people without a face; empty: none does")
    ] = "blazeface-short-range"
    person_detector: Annotated[str, Field(description="entry of models.yaml with the role person")] = (
        "ssd-mobilenet-v2-coco"
    )
    nsfw_classifier: Annotated[str, Field(description="entry of models.yaml with the role nsfw")] = "open-nsfw"
    weights: Annotated[
        Mapping[str, OwnFile],
        Field(description="files of your own in place of those of models.yaml, by the names of its entries"),
    ] = {}
    min_side: Annotated[int, Field(ge=1, description="least shorter side of a picture, pixels")] = 160
    max_aspect_ratio: Annotated[float, Field(ge=1, description="greatest longer side over shorter side")] = 4.0
    min_face_score: Annotated[float, Field(ge=0.5, le=1, description="least confidence of a face, 0.5 to 1")] = 0.65
    min_face_side: Annotated[int, Field(ge=1, description="least shorter side of a face's box, pixels")] = 24
    min_person_score: Annotated[float, Field(ge=0.3, le=1, description="least confidence of a person, 0.3 to 1")] = 0.4
    require: Annotated[
        Literal["face", "person", "face_or_person"], Field(description="what a picture must show to be kept")
    ] = "face_or_person"
    min_sharpness: Annotated[float, Field(ge=0, description="least variance of the Laplacian at 256 px")] = 20.0
    exposure_range: Annotated[Pair, Field(description="least and greatest mean brightness, 0 to 1")] = [0.06, 0.96]
    max_nsfw: Annotated[float, Field(ge=0, le=1, description="greatest probability of nudity, 0 to 1")] = 0.8
    max_nsfw_minor: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="the same where somebody may be a minor, as texts or faces tell, or neither tells that nobody "
            "is; such pictures also go when their texts name nudity or revealing clothes",
        ),
    ] = 0.2
    max_minor: Annotated[
        float,
        Field(
            ge=0, le=1, description="greatest probability that a face is under 18 with which it counts as an adult's"
        ),
    ] = 0.1
    near_duplicate_bits: Annotated[
        int, Field(ge=0, le=16, description="largest Hamming distance of 64-bit perceptual hashes, bits")
    ] = 4
    languages: Annotated[
        Names, Field(description="keep only these text languages (ISO 639-1, such as en); empty keeps all")
    ] = []
    min_foreign_score: Annotated[
        float,
        Field(
            gt=0, le=1, description="least probability that texts are of another language, not a wanted one, to drop"
        ),
    ] = 0.99

    @property
    def own_files(self) -> Mapping[str, tuple[str, str]]:
        return {name: (own.file, own.sha256) for name, own in self.weights.items()}
