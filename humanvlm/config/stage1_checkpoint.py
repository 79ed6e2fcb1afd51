"""Section ``stage1_checkpoint``."""

from typing import Literal

from pydantic import Field

from humanvlm.config.training import Training


class Stage1(Training):
    """Projector alignment; language model and vision tower frozen."""

    caption: Literal["short", "detailed", "all"] = Field("short", description="all: every text of the index row")
