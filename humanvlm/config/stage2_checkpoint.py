"""Section ``stage2_checkpoint``."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from humanvlm.config.section import Section
from humanvlm.config.training import Training


class InstructionFile(Section):
    """Conversations of LLaVA's or ShareGPT's form, about pictures, several pictures, or none."""

    file: Annotated[str, Field(description="JSON lines, or one JSON array")]
    images: Annotated[str, Field(description="folder that its pictures are below; they are known by name")] = "."
    share: Annotated[float, Field(gt=0, lt=1, description="of all samples; the other sources share the rest")]


class Stage2(Training):
    """Instruction tuning: the projector, and what is chosen of language model and vision tower; merged at the end."""

    language_model: Annotated[
        Literal["lora", "full", "frozen"],
        Field(description="how it learns: lora: low-rank updates of its linear layers; full: all its weights"),
    ] = "lora"
    vision_tower: Annotated[
        Literal["lora", "frozen"], Field(description="how it learns; frozen: its features are computed once")
    ] = "lora"
    projector_learning_rate: Annotated[
        float | None, Field(gt=0, description="of the projector; null: learning_rate")
    ] = None
    lora_r: Annotated[int, Field(ge=1, description="rank of the updates")] = 16
    lora_layers: Annotated[
        Literal["all", "attention"],
        Field(description="the language model's linear layers that get updates: all, or those of attention only"),
    ] = "all"
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
    opening_steps: Annotated[
        int,
        Field(
            ge=0,
            description="steps at the start of the run, at most half of them, that learn from data/opening.jsonl "
            "alone, if it has rows: what is learnt late among other tasks, as boxes are, is begun by itself",
        ),
    ] = 0
    instructions: Annotated[
        Mapping[str, InstructionFile], Field(description="further instruction files, by a name for reports")
    ] = {}

    @property
    def files(self) -> tuple[str, ...]:
        return tuple(part.file for part in self.instructions.values())
