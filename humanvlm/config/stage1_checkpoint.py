"""Section ``stage1_checkpoint``."""

from typing import Annotated, Literal

from pydantic import Field

from humanvlm.config.training import Training


class Stage1(Training):
    """Projector alignment; language model and vision tower frozen."""

    caption: Annotated[
        Literal["short", "detailed", "all"],
        Field(description="which texts of human_caption are learnt; all: every text of the index row"),
    ] = "short"
