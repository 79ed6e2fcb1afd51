"""Section ``human_caption_hq``."""

from typing import Annotated

from pydantic import Field

from humanvlm.config.section import Section


class HumanCaptionHQ(Section):
    """The high-resolution subset with face, body and background captions, fused (<=500 words)."""

    min_side: Annotated[int, Field(ge=1, description="least shorter side of a picture, pixels")] = 256
    min_face_side: Annotated[int, Field(ge=1, description="least shorter side of its largest face's box, pixels")] = 48
    min_probability: Annotated[float, Field(ge=0, le=1, description="facts below it are not written, 0 to 1")] = 0.6
    max_words: Annotated[int, Field(ge=12, description="longest fused caption, words")] = 500
    seed: Annotated[int, Field(description="of the choice between wordings")] = 7
