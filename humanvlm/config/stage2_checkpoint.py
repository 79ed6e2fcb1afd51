"""Section ``stage2_checkpoint``."""

from typing import Literal

from pydantic import Field

from humanvlm.config.training import Training


class Stage2(Training):
    """Instruction tuning with LoRA on language model and vision tower, merged at the end."""

    lora_r: int = Field(16, ge=1)
    lora_alpha: int = Field(32, ge=1)
    lora_dropout: float = Field(0.05, ge=0, le=1)
    instruction_share: float = Field(0.5, ge=0, le=1, description="share of samples from data/instructions.jsonl")
    caption_share: float = Field(0.5, ge=0, le=1, description="share of short captions among caption samples")
    caption: Literal["short", "detailed", "all"] = Field("short", description="which texts the short captions are")
