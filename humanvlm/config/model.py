"""Section ``model``: which vision tower and language model are joined."""

from typing import Literal

from pydantic import Field

from humanvlm.config.section import Section


class Model(Section):
    """Which vision tower and language model are joined. Names are entries of models.yaml, or hub ids."""

    vision_tower: str = "mobilenet-v2-imagenet"
    language_model: str = "smollm2-135m-instruct"
    vision_feature_layer: int = -1
    vision_feature_select_strategy: Literal["full", "default"] = "full"
    drop_first_patch: bool = Field(False, description="parity with the authors' code, which drops one real patch")
    system_prompt: str | None = Field(None, description="null: the chat template's own; '' saves its tokens")
    dtype: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="of training; auto: bfloat16 where the machine multiplies it natively"
    )
