"""Keys that both stages of training have."""

from typing import Literal

from pydantic import Field

from humanvlm.config.section import Section


class Training(Section):
    """Optimisation, shared by both stages. Results do not depend on how many processes share a batch."""

    seed: int = 7
    max_steps: int = Field(-1, description="optimiser steps; -1: by epochs")
    epochs: float = Field(1.0, gt=0)
    batch_size: int = Field(8, ge=1, description="samples an optimiser step, over all processes")
    micro_batch_size: int = Field(8, ge=1, description="samples of a process at a time; the rest is accumulated")
    learning_rate: float = Field(1e-3, gt=0)
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = Field(0.0, ge=0)
    max_grad_norm: float = Field(1.0, gt=0)
    warmup_ratio: float = Field(0.03, ge=0, le=1)
    max_length: int = Field(256, ge=16, description="tokens, image tokens included; longer samples are dropped")
    save_steps: int = Field(50, ge=1)
    group_by_length: bool = Field(False, description="batches of like length: less padding")
    gradient_checkpointing: bool = False
    zero_stage: Literal[0, 1, 2] = 2
