"""From replies to records, scores and intervals.

Every score here is a function of a sum: each sample contributes a vector, and a corpus is scored by the sum of its
vectors. So a bootstrap resample is one matrix product, and corpus metrics such as BLEU get honest intervals.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from humanvlm.evaluate import attributes, grounding, vqa
from humanvlm.evaluate.bleu import bleu
from humanvlm.evaluate.captions import score_captions
from humanvlm.evaluate.ngrams import MAX_N
from humanvlm.evaluate.ptb import tokenize_corpus
from humanvlm.evaluate.tasks import Sample

Array = NDArray[np.float64]
CAPTION_TASKS = ("captions", "holdout")


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


@dataclass(frozen=True)
class Scored:
    """A task's records, and their contributions (samples, k)."""

    records: Sequence[Record]
    contributions: Array


def score(task: str, samples: Sequence[Sample], replies: Sequence[str]) -> Scored:
    """Score the replies to all samples of a task; one reply a sample.

    For captions the document frequencies of CIDEr are those of the references of exactly these samples.
    """
    if task in CAPTION_TASKS:
        return _score_captions(samples, replies)
    judged = [_JUDGES[task](sample, reply) for sample, reply in zip(samples, replies, strict=True)]
    records = [
        _record(sample, reply, prediction, value)
        for sample, reply, (prediction, value, _) in zip(samples, replies, judged, strict=True)
    ]
    return Scored(records, np.array([vector for _, _, vector in judged], dtype=np.float64))


def metrics(task: str, sums: Array) -> dict[str, Array]:
    """The metrics of summed contributions (..., k), each (...)."""
    return _METRICS["captions" if task in CAPTION_TASKS else task](sums)


def task_scores(task: str, scored: Scored) -> dict[str, float]:
    return {name: float(value) for name, value in metrics(task, scored.contributions.sum(axis=0)).items()}


def intervals(
    task: str, scored: Scored, resamples: int, seed: int, level: float = 0.95
) -> dict[str, tuple[float, float]]:
    """Percentile bootstrap intervals; pictures are resampled, so questions about one picture stay together."""
    if not resamples:
        return {}
    images = sorted({record.image for record in scored.records})
    place = {image: index for index, image in enumerate(images)}
    grouped = np.zeros((len(images), scored.contributions.shape[1]))
    np.add.at(grouped, [place[record.image] for record in scored.records], scored.contributions)
    generator = np.random.default_rng(seed)
    draws = generator.multinomial(len(images), np.full(len(images), 1 / len(images)), size=resamples)
    tail = 50 * (1 - level)
    values = metrics(task, draws @ grouped)
    return {
        name: (float(np.percentile(value, tail)), float(np.percentile(value, 100 - tail)))
        for name, value in values.items()
    }


def parts(scored: Scored) -> dict[str, dict[str, float]]:
    """Mean score and number of samples of each part of a task (an attribute, a kind of answer)."""
    names = sorted({record.part for record in scored.records if record.part})
    values = {name: [record.score for record in scored.records if record.part == name] for name in names}
    return {name: {"score": float(np.mean(found)), "samples": len(found)} for name, found in values.items()}


def as_json(record: Record) -> dict[str, Any]:
    return asdict(record)


def _record(sample: Sample, reply: str, prediction: Any, value: float) -> Record:
    return Record(
        sample.id, sample.task, sample.image, sample.prompt, sample.references, reply, prediction, value, sample.part
    )


def _score_captions(samples: Sequence[Sample], replies: Sequence[str]) -> Scored:
    found = score_captions(
        [sample.id for sample in samples],
        replies,
        [sample.references for sample in samples],
        metrics=("bleu", "rouge_l", "cider"),
    )
    records = [
        _record(sample, reply, " ".join(tokens), value)
        for sample, reply, tokens, value in zip(
            samples, replies, tokenize_corpus(replies), found.per_sample["cider"], strict=True
        )
    ]
    counts, cider, rest = np.split(found.contributions, [-3, -2], axis=1)
    return Scored(records, np.column_stack([counts, rest[:, :1], cider, rest[:, 1:]]))


def _caption_metrics(sums: Array) -> dict[str, Array]:
    scores = bleu(sums[..., :-3])
    named = {f"bleu_{n}": scores[..., n - 1] for n in range(1, MAX_N + 1)}
    return named | {"rouge_l": sums[..., -3] / sums[..., -1], "cider": sums[..., -2] / sums[..., -1]}


def _judge_vqa(sample: Sample, reply: str) -> tuple[Any, float, list[float]]:
    # Normalised first, as for submission: the official evaluator compares unanimous answers as they are.
    prediction = vqa.normalise(reply)
    value = vqa.accuracy(prediction, [vqa.normalise(answer) for answer in sample.references])
    return prediction or None, value, [value, 1.0]


def _judge_rec(sample: Sample, reply: str) -> tuple[Any, float, list[float]]:
    truth, width, height = sample.truth["box"], sample.truth["width"], sample.truth["height"]
    box = grounding.parse_box(reply, width, height)
    value = grounding.iou(box, truth) if box else 0.0
    authors = grounding.iou_authors(box, truth, width, height) if box else 0.0
    vector = [value, value >= 0.5, authors >= 0.5, box is None, 1.0]
    return [round(side, 1) for side in box] if box else None, value, vector


def _judge_attribute(sample: Sample, reply: str) -> tuple[Any, float, list[float]]:
    answer = attributes.parse_answer(reply)
    right, positive = answer == sample.references[0], sample.references[0] == "yes"
    return answer, float(right), [right and positive, positive, right and not positive, not positive, answer is None]


def _vqa_metrics(sums: Array) -> dict[str, Array]:
    return {"accuracy": sums[..., 0] / sums[..., 1]}


def _rec_metrics(sums: Array) -> dict[str, Array]:
    names = ("mean_iou", "acc50", "acc50_authors", "unparseable")
    return {name: sums[..., index] / sums[..., 4] for index, name in enumerate(names)}


def _attribute_metrics(sums: Array) -> dict[str, Array]:
    total = sums[..., 1] + sums[..., 3]
    accuracy = (sums[..., 0] + sums[..., 2]) / total
    recalls = [sums[..., index] / np.maximum(sums[..., index + 1], 1) for index in (0, 2)]
    present = [(sums[..., index] > 0).astype(np.float64) for index in (1, 3)]
    balanced = (recalls[0] * present[0] + recalls[1] * present[1]) / (present[0] + present[1])
    return {"accuracy": accuracy, "balanced_accuracy": balanced, "unparseable": sums[..., 4] / total}


_JUDGES: Mapping[str, Callable[[Sample, str], tuple[Any, float, list[float]]]] = {
    "vqa": _judge_vqa,
    "rec": _judge_rec,
    "attributes": _judge_attribute,
}
_METRICS: Mapping[str, Callable[[Array], dict[str, Array]]] = {
    "captions": _caption_metrics,
    "vqa": _vqa_metrics,
    "rec": _rec_metrics,
    "attributes": _attribute_metrics,
}
