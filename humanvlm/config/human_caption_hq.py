"""Section ``human_caption_hq``."""

from pydantic import Field

from humanvlm.config.section import Section


class HumanCaptionHQ(Section):
    """The high-resolution subset with face, body and background captions, fused (<=500 words)."""

    min_side: int = Field(256, ge=1)
    min_face_side: int = Field(48, ge=1)
    min_probability: float = Field(0.6, ge=0, le=1, description="facts below it are not written")
    max_words: int = Field(500, ge=12)
    seed: int = 7
