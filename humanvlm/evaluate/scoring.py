"""From replies to records, scores and intervals.

Every score here is a function of a sum: each sample contributes a vector, and a corpus is scored by the sum of its
vectors. So a bootstrap resample is one matrix product, and corpus metrics such as BLEU get honest intervals.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from humanvlm.evaluate.stats import statistics
from humanvlm.evaluate.stats.scored import Array
from humanvlm.evaluate.stats.scored import Scored as Summed
from humanvlm.evaluate.tasks.kinds import KINDS, Spaces
from humanvlm.evaluate.tasks.samples import Sample


@dataclass(frozen=True)
class Record:
    """What became of one sample. ``prediction`` is what was read from the reply, None when nothing could be."""

    id: str
    task: str
    image: str
    prompt: str
    references: tuple[str, ...]
    reply: str
    prediction: Any
    score: float
    part: str
    slices: Mapping[str, str] = field(default_factory=dict)
    latency_s: float = 0.0


@dataclass(frozen=True)
class Scored:
    """A task's records, and their contributions (samples, k)."""

    kind: str
    records: Sequence[Record]
    contributions: Array

    @property
    def summed(self) -> Summed:
        """The same as the statistics take it."""
        ids, images = [record.id for record in self.records], [record.image for record in self.records]
        return Summed(self.kind, ids, images, {}, self.contributions, KINDS[self.kind].metrics)


def score(
    kind: str,
    samples: Sequence[Sample],
    replies: Sequence[str],
    latencies: Sequence[float] = (),
    *,
    space: Spaces = "percent",
) -> Scored:
    """Score the replies to all samples of a task; one reply a sample.

    latencies: seconds for each reply, when known. space: what the coordinates in replies are in.
    """
    judged = KINDS[kind].judge(samples, replies, space)
    records = [
        Record(
            sample.id, sample.task, sample.image, sample.prompt, sample.references, reply, prediction, float(value),
            sample.part, sample.slices, latency,
        )
        for sample, reply, prediction, value, latency in zip(
            samples, replies, judged.predictions, judged.scores, latencies or [0.0] * len(samples), strict=True
        )
    ]  # fmt: skip
    return Scored(kind, records, judged.vectors)


def metrics(kind: str, sums: Array) -> dict[str, Array]:
    """The metrics of summed contributions (..., k), each (...). Raises KeyError for an unknown kind."""
    return KINDS[kind].metrics(sums)


def task_scores(scored: Scored) -> dict[str, float]:
    """Every metric; those that are undefined, such as of a category that does not occur, are left out."""
    found = {name: float(value) for name, value in metrics(scored.kind, scored.contributions.sum(axis=0)).items()}
    return {name: value for name, value in found.items() if math.isfinite(value)}


def intervals(scored: Scored, resamples: int, seed: int, level: float = 0.95) -> dict[str, tuple[float, float]]:
    """Bootstrap intervals; pictures are resampled, so questions about one picture stay together."""
    found = statistics.bootstrap(scored.summed, resamples, seed, level)
    return {name: (float(low), float(high)) for name, (low, high) in found.items()}


def parts(scored: Scored) -> dict[str, dict[str, float]]:
    """Mean score and number of samples of each part of a task (an attribute, a kind of answer)."""
    names = sorted({record.part for record in scored.records if record.part})
    values = {name: [record.score for record in scored.records if record.part == name] for name in names}
    return {name: {"score": sum(found) / len(found), "samples": len(found)} for name, found in values.items()}


def as_json(record: Record) -> dict[str, Any]:
    return asdict(record)
