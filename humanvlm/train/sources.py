"""What a stage learns from: its sources of samples with their shares, and all of it in one place."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from humanvlm.config.stage2_checkpoint import Stage2
from humanvlm.pipeline.contract import Counts, StageRun
from humanvlm.train.batches import Encoder, fitting
from humanvlm.train.samples import (
    Sample,
    Samples,
    caption_samples,
    conversation_samples,
    hq_samples,
    instruction_samples,
)

log = logging.getLogger("humanvlm")


@dataclass(frozen=True)
class Source:
    """Where samples come from and which share of the run they are."""

    name: str
    share: float
    samples: Samples


@dataclass(frozen=True)
class Material:
    """Samples of all sources one after the other, their lengths in tokens, how many each source gave, the counts."""

    samples: Sequence[Sample]
    lengths: Sequence[int]
    sizes: Sequence[int]
    counts: Counts


def training_sources(run: StageRun) -> list[Source]:
    """Stage 1 learns from captions; stage 2 also from those of HumanCaptionHQ, its conversations and instructions."""
    captions = run.inputs["human_caption"]
    if run.stage.name == "stage1_checkpoint":
        return [Source(run.config.caption, 1.0, caption_samples(captions, run.config.caption))]
    config: Stage2 = run.config
    hq = run.inputs["human_caption_hq"]
    share, asked = 1 - config.instruction_share, config.instruction_share
    return [
        Source("captions", share * config.caption_share, caption_samples(captions, config.caption)),
        Source("hq", share * (1 - config.caption_share), hq_samples(hq)),
        Source("conversations", asked * config.conversation_share, conversation_samples(hq)),
        Source(
            "instructions", asked * (1 - config.conversation_share), instruction_samples(run.inputs["data"], captions)
        ),
    ]


def collect(sources: Sequence[Source], encoder: Encoder, max_length: int) -> Material:
    """What can be learnt from. A source that should have a share and gives nothing is logged, not an error."""
    samples: list[Sample] = []
    lengths: list[int] = []
    sizes: list[int] = []
    dropped: Counter[str] = Counter()
    for source in sources:
        kept, tokens, unfit = fitting(source.samples.kept, encoder, max_length)
        dropped += Counter(source.samples.dropped) + unfit
        samples += kept
        lengths += tokens
        sizes.append(len(kept))
        if source.share and not kept:
            log.info("no %s samples: their share goes to the others", source.name)
    return Material(samples, lengths, sizes, Counts(len(samples) + dropped.total(), len(samples), dict(dropped)))
