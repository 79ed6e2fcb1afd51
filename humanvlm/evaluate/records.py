"""From replies to records, scores and intervals.

Every score here is a function of a sum: each sample contributes a vector, and a corpus is scored by the sum of its
vectors. So a bootstrap resample is one matrix product, and corpus metrics such as BLEU get honest intervals.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from humanvlm.evaluate.stats import statistics
from humanvlm.evaluate.stats.scored import Array, Scored
from humanvlm.evaluate.tasks.base import PERCENT, Coordinates, Sample
from humanvlm.evaluate.tasks.registry import TASKS
from humanvlm.inference.replies import final_answer

if TYPE_CHECKING:
    from humanvlm.inference.base import Reply

UNFINISHED = "unfinished_thought"
STATES = (
    "cut",
    "filtered",
    "refused",
    UNFINISHED,
)  # at the token limit, by a content filter, by the model; in a thought


@dataclass(frozen=True)
class Record:
    """What became of one sample. reply: as it came; ``prediction`` is what was read from it, None when nothing could
    be. state: how it ended, of ``STATES``, where it was not by itself. refusal: a server's words for it. model: which
    model a server says it ran, '' where it does not."""

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
    state: tuple[str, ...] = ()
    refusal: str = ""
    model: str = ""


@dataclass(frozen=True)
class ScoredTask:
    """A task's records, and their contributions (samples, k)."""

    kind: str
    records: Sequence[Record]
    contributions: Array

    @property
    def summed(self) -> Scored:
        """The same as the statistics take it."""
        ids, images = [record.id for record in self.records], [record.image for record in self.records]
        return Scored(self.kind, ids, images, {}, self.contributions, TASKS[self.kind].metrics)


@dataclass(frozen=True)
class _Read:
    """A reply as it came, and what of it is scored: None when it says nothing."""

    raw: str
    text: str | None
    state: tuple[str, ...] = ()
    refusal: str = ""
    latency_s: float = 0.0
    model: str = ""


def score(
    kind: str, samples: Sequence[Sample], replies: Sequence["str | Reply"], coordinates: Coordinates = PERCENT
) -> ScoredTask:
    """Score the replies to all samples of a task, one a sample; a text alone is a reply that ended by itself.

    coordinates: what places in replies are told in.
    """
    read = [_read(reply) for reply in replies]
    judged = TASKS[kind].judge(samples, [one.text for one in read], coordinates)
    records = [
        Record(
            sample.id, sample.task, sample.image, sample.prompt, sample.references, one.raw, prediction, float(value),
            sample.part, sample.slices, one.latency_s, one.state, one.refusal, one.model,
        )
        for sample, one, prediction, value in zip(samples, read, judged.predictions, judged.scores, strict=True)
    ]  # fmt: skip
    return ScoredTask(kind, records, judged.vectors)


def metrics(kind: str, sums: Array) -> dict[str, Array]:
    """The metrics of summed contributions (..., k), each (...). Raises KeyError for an unknown kind."""
    return TASKS[kind].metrics(sums)


def task_scores(scored: ScoredTask) -> dict[str, float]:
    """Every metric; those that are undefined, such as of a category that does not occur, are left out."""
    found = {name: float(value) for name, value in metrics(scored.kind, scored.contributions.sum(axis=0)).items()}
    return {name: value for name, value in found.items() if math.isfinite(value)}


def state_shares(scored: ScoredTask) -> dict[str, float]:
    """The share of replies that ended in each of ``STATES``."""
    return {state: sum(state in record.state for record in scored.records) / len(scored.records) for state in STATES}


def intervals(scored: ScoredTask, resamples: int, seed: int, level: float = 0.95) -> dict[str, tuple[float, float]]:
    """Bootstrap intervals; pictures are resampled, so questions about one picture stay together."""
    found = statistics.bootstrap(scored.summed, resamples, seed, level)
    return {name: (float(low), float(high)) for name, (low, high) in found.items()}


def parts(scored: ScoredTask) -> dict[str, dict[str, float]]:
    """Mean score and number of samples of each part of a task (an attribute, a kind of answer)."""
    names = sorted({record.part for record in scored.records if record.part})
    values = {name: [record.score for record in scored.records if record.part == name] for name in names}
    return {name: {"score": sum(found) / len(found), "samples": len(found)} for name, found in values.items()}


def as_json(record: Record) -> dict[str, Any]:
    return asdict(record)


def _read(reply: "str | Reply") -> _Read:
    if isinstance(reply, str):
        answer = final_answer(reply)
        return _Read(reply, None, (UNFINISHED,)) if answer.unfinished else _Read(reply, answer.text)
    answer = final_answer(reply.raw)
    ended = {
        "cut": reply.finish == "length",
        "filtered": reply.finish == "content_filter",
        "refused": bool(reply.refusal),
        UNFINISHED: answer.unfinished,
    }
    state = tuple(name for name, holds in ended.items() if holds)
    silent = answer.unfinished or (not answer.text and bool(state))  # an empty reply that ended well was meant so
    text = None if silent else answer.text
    return _Read(answer.raw, text, state, reply.refusal, reply.latency_s, str(reply.info.get("model") or ""))
