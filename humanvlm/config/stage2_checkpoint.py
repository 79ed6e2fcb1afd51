"""Section ``stage2_checkpoint``."""

from typing import Annotated, Literal

from pydantic import Field

from humanvlm.config.training import Training


class Stage2(Training):
    """Instruction tuning with LoRA on language model and vision tower, merged at the end."""

    lora_r: Annotated[int, Field(ge=1, description="rank of the updates")] = 16
    lora_alpha: Annotated[int, Field(ge=1, description="their scale is lora_alpha / lora_r")] = 32
    lora_dropout: Annotated[float, Field(ge=0, le=1, description="share of their inputs left out, 0 to 1")] = 0.05
    instruction_share: Annotated[
        float, Field(ge=0, le=1, description="share of samples from data/instructions.jsonl and conversations")
    ] = 0.5
    conversation_share: Annotated[
        float, Field(ge=0, le=1, description="share of human_caption_hq's conversations among those samples")
    ] = 0.25
    caption_share: Annotated[float, Field(ge=0, le=1, description="share of short captions among caption samples")] = (
        0.5
    )
    caption: Annotated[
        Literal["short", "detailed", "all"],
        Field(description="which texts of human_caption the short captions are; all: every text of the index row"),
    ] = "short"
