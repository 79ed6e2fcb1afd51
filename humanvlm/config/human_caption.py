"""Section ``human_caption``."""

from typing import Literal

from pydantic import Field

from humanvlm.config.section import Section


class HumanCaption(Section):
    """Facts to short (<=70 words) and detailed (<=300 words) captions."""

    captioner: Literal["template", "source"] = Field("template", description="source: the index's own texts, cleaned")
    min_probability: float = Field(0.6, ge=0, le=1, description="facts below it are not written")
    short_max_words: int = Field(70, ge=12)
    detailed_max_words: int = Field(300, ge=12)
    min_words: int = Field(3, ge=1)
    holdout: float = Field(0.1, ge=0, lt=1, description="share of pictures whose split is 'test', by hash of the id")
    seed: int = 7
