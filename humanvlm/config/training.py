"""Keys that both stages of training have."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from humanvlm.config.section import Pair, Section


def _steps(value: int) -> int:
    if value == 0 or value < -1:
        raise ValueError("must be at least 1, or -1: by epochs")
    return value


class Training(Section):
    """Optimisation, shared by both stages. Results do not depend on how many processes share a batch."""

    seed: Annotated[int, Field(description="of new weights, of dropout and of the order of samples")] = 7
    max_steps: Annotated[int, AfterValidator(_steps), Field(description="optimiser steps; -1: by epochs")] = -1
    epochs: Annotated[float, Field(gt=0, description="passes over the samples")] = 1.0
    word_steps: Annotated[
        int,
        Field(
            ge=0,
            description="steps in which detectors of the texts' words are learnt, which the projector begins with (in "
            "stage 2: goes on with, those that stage 1 has not); 0: none",
        ),
    ] = 0
    batch_size: Annotated[int, Field(ge=1, description="samples an optimiser step, over all processes")] = 8
    pack_tokens: Annotated[
        int, Field(ge=16, description="tokens that a process computes at a time; the rest of a step is accumulated")
    ] = 4096
    processes: Annotated[
        int,
        Field(
            ge=1,
            description="of this machine, which share every step; HUMANVLM_PROCESSES or a launcher says otherwise. Two "
            "of one thread each are nearly twice as fast on two cores, where one of two threads waits for itself",
        ),
    ] = 1
    learning_rate: Annotated[float, Field(gt=0, description="highest, after the warm-up")] = 1e-3
    betas: Annotated[Pair, Field(description="AdamW's decay rates of the two moments")] = [0.9, 0.999]
    loss_weighting: Annotated[
        Literal["token", "square", "sample"],
        Field(
            description="token: every learnt token weighs the same; square: a reply of n tokens weighs the square root "
            "of n, so that long captions do not drown short answers; sample: every reply weighs the same"
        ),
    ] = "token"
    weight_decay: Annotated[float, Field(ge=0, description="AdamW's")] = 0.0
    max_grad_norm: Annotated[float, Field(gt=0, description="gradients are scaled down to this L2 norm")] = 1.0
    warmup_ratio: Annotated[
        float, Field(ge=0, le=1, description="share of the steps in which the learning rate rises from 0")
    ] = 0.03
    decay_ratio: Annotated[
        float,
        Field(
            gt=0, le=1, description="share of the steps, the last, in which the learning rate falls to 0, as a cosine"
        ),
    ] = 1.0
    max_length: Annotated[
        int, Field(ge=16, description="tokens, image tokens included; longer samples are dropped")
    ] = 256
    save_steps: Annotated[int, Field(ge=1, description="optimiser steps between checkpoints")] = 50
    save_minutes: Annotated[
        float, Field(gt=0, description="a checkpoint too when the last is older than that many minutes")
    ] = 30.0
    group_by_length: Annotated[bool, Field(description="batches of like length")] = False
    gradient_checkpointing: Annotated[bool, Field(description="less memory, a third more time")] = False
    zero_stage: Annotated[
        Literal[0, 1, 2, 3],
        Field(description="DeepSpeed ZeRO: what processes share; 1: optimiser, 2: gradients too, 3: weights too"),
    ] = 2
    validation_steps: Annotated[
        int, Field(ge=1, description="optimiser steps between two looks at the loss on held-out captions")
    ] = 50
    validation_samples: Annotated[
        int, Field(ge=0, description="held-out captions of human_caption whose loss is looked at; 0: none")
    ] = 16
    sample_steps: Annotated[
        int, Field(ge=1, description="optimiser steps between two replies to the same held-out pictures")
    ] = 50
    sample_pictures: Annotated[
        int, Field(ge=0, description="held-out pictures whose replies replies.html shows; 0: none")
    ] = 4
    keep_best: Annotated[
        bool, Field(description="save the weights of the lowest validation loss, not those of the last step")
    ] = False
    offload: Annotated[
        Literal["none", "optimizer", "parameters"],
        Field(description="what waits in main memory instead of a GPU's; parameters: those, and the optimiser"),
    ] = "none"
