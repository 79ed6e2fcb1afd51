"""Keys that both stages of training have."""

from typing import Annotated, Literal

from pydantic import Field

from humanvlm.config.section import Pair, Section


class Training(Section):
    """Optimisation, shared by both stages. Results do not depend on how many processes share a batch."""

    seed: Annotated[int, Field(description="of new weights, of dropout and of the order of samples")] = 7
    max_steps: Annotated[int, Field(description="optimiser steps; -1: by epochs")] = -1
    epochs: Annotated[float, Field(gt=0, description="passes over the samples")] = 1.0
    batch_size: Annotated[int, Field(ge=1, description="samples an optimiser step, over all processes")] = 8
    micro_batch_size: Annotated[
        int, Field(ge=1, description="samples of a process at a time; the rest is accumulated")
    ] = 8
    learning_rate: Annotated[float, Field(gt=0, description="highest, after the warm-up")] = 1e-3
    betas: Annotated[Pair, Field(description="AdamW's decay rates of the two moments")] = [0.9, 0.999]
    weight_decay: Annotated[float, Field(ge=0, description="AdamW's")] = 0.0
    max_grad_norm: Annotated[float, Field(gt=0, description="gradients are scaled down to this L2 norm")] = 1.0
    warmup_ratio: Annotated[
        float, Field(ge=0, le=1, description="share of the steps in which the learning rate rises from 0")
    ] = 0.03
    max_length: Annotated[
        int, Field(ge=16, description="tokens, image tokens included; longer samples are dropped")
    ] = 256
    save_steps: Annotated[int, Field(ge=1, description="optimiser steps between checkpoints")] = 50
    group_by_length: Annotated[bool, Field(description="batches of like length: less padding")] = False
    gradient_checkpointing: Annotated[bool, Field(description="less memory, a third more time")] = False
    zero_stage: Annotated[
        Literal[0, 1, 2], Field(description="DeepSpeed ZeRO: what processes share; 1: optimiser, 2: gradients too")
    ] = 2
