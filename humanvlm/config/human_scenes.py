"""Section ``human_scenes``."""

from typing import Literal

from pydantic import Field

from humanvlm.config.section import Section


class HumanScenes(Section):
    """Detection, quality, safety, deduplication. Lengths in pixels of the stored picture."""

    face_detector: str = "blazeface-full-range"
    closeup_face_detector: str = Field(
        "blazeface-short-range", description="runs on the upper part of people without a face; empty: none does"
    )
    person_detector: str = "ssd-mobilenet-v2-coco"
    nsfw_classifier: str = "open-nsfw"
    min_side: int = Field(160, ge=1)
    max_aspect_ratio: float = Field(4.0, ge=1)
    min_face_score: float = Field(0.65, ge=0.5, le=1)
    min_face_side: int = Field(24, ge=1)
    min_person_score: float = Field(0.4, ge=0.3, le=1)
    require: Literal["face", "person", "face_or_person"] = "face_or_person"
    min_sharpness: float = Field(20.0, ge=0, description="variance of the Laplacian at 256 px")
    exposure_range: tuple[float, float] = (0.06, 0.96)
    max_nsfw: float = Field(0.8, ge=0, le=1)
    near_duplicate_bits: int = Field(4, ge=0, le=16, description="largest Hamming distance of 64-bit perceptual hashes")
    languages: tuple[str, ...] = Field((), description="keep only these text languages; empty keeps all")
