"""What each kind of task makes of replies: predictions, a score a sample, and sums that its metrics are functions of.

The scorers are those of ``humanvlm score``; here they are asked about samples, whose ``truth`` is the scorer's own row.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from humanvlm.evaluate.metrics import pck
from humanvlm.evaluate.metrics.ptb import tokenize_corpus
from humanvlm.evaluate.stats.parts import ratio
from humanvlm.evaluate.stats.scored import Array
from humanvlm.evaluate.tasks import attributes, choice, grounding, mme, pope, vqa
from humanvlm.evaluate.tasks.boxes import Space
from humanvlm.evaluate.tasks.captions import score_captions
from humanvlm.evaluate.tasks.samples import Sample

Spaces = Space | Literal["auto"]
CAPTION_METRICS = ("bleu", "meteor", "rouge_l", "cider")
CATEGORIES = (*mme.PERCEPTION, *mme.COGNITION)


@dataclass(frozen=True)
class Judged:
    """predictions: what was read from each reply, None when nothing could be. scores: 0 to 1, of captions CIDEr's 0 to
    10. vectors: (samples, k), whose sum makes the metrics."""

    predictions: Sequence[Any]
    scores: Sequence[float]
    vectors: Array


@dataclass(frozen=True)
class Kind:
    """One kind of task. about: what it asks and how it scores, for people. score: the metric that says most.
    metrics: summed vectors (..., k) to named values (...), not finite where they are undefined."""

    title: str
    about: str
    score: str
    judge: Callable[[Sequence[Sample], Sequence[str], Spaces], Judged]
    metrics: Callable[[Array], dict[str, Array]]


def judge_captions(samples: Sequence[Sample], replies: Sequence[str], _: Spaces) -> Judged:
    """The document frequencies of CIDEr are those of the references of exactly these samples."""
    ids, references = [sample.key for sample in samples], [sample.references for sample in samples]
    found = score_captions(ids, replies, references, metrics=CAPTION_METRICS)
    predictions = [" ".join(tokens) for tokens in tokenize_corpus(replies)]
    return Judged(predictions, found.per_sample["cider"], found.contributions)


def caption_metrics(sums: Array) -> dict[str, Array]:
    """Of the sums of ``score_captions``, whose layout depends on nothing but the metrics asked for."""
    return _caption_layout()(sums)


def judge_vqa(samples: Sequence[Sample], replies: Sequence[str], _: Spaces) -> Judged:
    """Replies and answers are normalised first, as for a submission: the official evaluator compares unanimous answers
    as they are."""
    predictions = [vqa.normalise(reply) for reply in replies]
    values = [
        vqa.accuracy(prediction, [vqa.normalise(answer) for answer in sample.references], _marks(sample))
        for sample, prediction in zip(samples, predictions, strict=True)
    ]
    return Judged([text or None for text in predictions], values, np.column_stack([values, np.ones(len(values))]))


def judge_rec(samples: Sequence[Sample], replies: Sequence[str], space: Spaces) -> Judged:
    found = grounding.score_grounding([sample.truth for sample in samples], replies, space=space)
    boxes = [[round(side, 1) for side in box] if box else None for box in found.per_sample["box"]]
    return Judged(boxes, found.per_sample["iou"], found.contributions[:, :6])


def judge_pope(samples: Sequence[Sample], replies: Sequence[str], _: Spaces) -> Judged:
    found = pope.score_pope([sample.truth for sample in samples], replies)
    said = [
        answer if pope.is_answer(reply) else None
        for answer, reply in zip(found.per_sample["answer"], replies, strict=True)
    ]
    vectors = np.column_stack([found.contributions[:, :4], [one is None for one in said]])
    return Judged(said, found.per_sample["accuracy"], vectors.astype(np.float64))


def pope_metrics(sums: Array) -> dict[str, Array]:
    unparseable = ratio(sums[..., 4], sums[..., :4].sum(axis=-1))
    return pope.summed_metrics(sums[..., :4]) | {"unparseable": unparseable}


def judge_attributes(samples: Sequence[Sample], replies: Sequence[str], _: Spaces) -> Judged:
    said = [attributes.parse_answer(reply) for reply in replies]
    positive = np.array([sample.references[0] == "yes" for sample in samples], dtype=bool)
    right = np.array([one == sample.references[0] for one, sample in zip(said, samples, strict=True)], dtype=bool)
    vectors = [
        positive & right,
        positive & ~right,
        ~positive & right,
        ~positive & ~right,
        [one is None for one in said],
    ]
    return Judged(said, right.astype(float).tolist(), np.column_stack(vectors).astype(np.float64))


def attribute_metrics(sums: Array) -> dict[str, Array]:
    """Over all questions, whatever their attribute; the table of the report has each attribute by itself."""
    hit, miss, rejection, alarm, unread = np.moveaxis(sums, -1, 0)
    recalls = np.stack([ratio(hit, hit + miss), ratio(rejection, rejection + alarm)])
    known = ~np.isnan(recalls)
    total = hit + miss + rejection + alarm
    return {
        "accuracy": ratio(hit + rejection, total),
        "balanced_accuracy": ratio(np.where(known, recalls, 0.0).sum(axis=0), known.sum(axis=0)),
        "f1": ratio(2 * hit, np.maximum(2 * hit + miss + alarm, 1)),
        "unparseable": ratio(unread, total),
    }


def judge_keypoints(samples: Sequence[Sample], replies: Sequence[str], space: Spaces) -> Judged:
    """Predictions are COCO's keypoints in pixels, by name."""
    people = [sample.truth for sample in samples]
    found = pck.score_points(people, replies, space=space)
    chosen: Any = next(name.removeprefix("space_") for name in found.counts if name.startswith("space_"))
    points = [
        {name: pck.to_pixels(point, person.size, chosen) for name, point in told.items()} or None
        for told, person in zip(found.per_sample["points"], people, strict=True)
    ]
    vectors = found.contributions[:, : len(pck.SHARES) + 1]
    return Judged(points, ratio(vectors[:, 1], vectors[:, -1]).tolist(), vectors)


def keypoint_metrics(sums: Array) -> dict[str, Array]:
    return {f"pck_{share}": ratio(sums[..., place], sums[..., -1]) for place, share in enumerate(pck.SHARES)}


def judge_mme(samples: Sequence[Sample], replies: Sequence[str], _: Spaces) -> Judged:
    """Of the 14 categories; a picture whose other question was not answered counts for accuracy alone."""
    said = [mme.parse_answer(reply) for reply in replies]
    right = [one == ("yes" if sample.truth.positive else "no") for one, sample in zip(said, samples, strict=True)]
    pairs: dict[tuple[str, str], list[int]] = defaultdict(list)
    for number, sample in enumerate(samples):
        pairs[sample.truth.category, sample.truth.image].append(number)
    vectors = np.zeros((len(samples), len(CATEGORIES), 4))
    for (category, _image), numbers in pairs.items():
        place = CATEGORIES.index(category)
        for number in numbers:
            vectors[number, place, :2] = right[number], 1.0
        if len(numbers) == 2:
            vectors[numbers[0], place, 2:] = all(right[number] for number in numbers), 1.0
    predictions = [None if one == "other" else one for one in said]
    return Judged(predictions, [float(one) for one in right], vectors.reshape(len(samples), -1))


def mme_metrics(sums: Array) -> dict[str, Array]:
    """Of all categories; each by itself is a part of the task."""
    found = mme.summed_metrics(sums.reshape(*sums.shape[:-1], len(CATEGORIES), 4), CATEGORIES)
    return {name: value for name, value in found.items() if "[" not in name}


def judge_choice(samples: Sequence[Sample], replies: Sequence[str], _: Spaces) -> Judged:
    """A question adds to the sums with the first of its rotations."""
    chosen = [choice.parse_choice(reply, sample.truth.options) for reply, sample in zip(replies, samples, strict=True)]
    right = [letter == sample.truth.answer for letter, sample in zip(chosen, samples, strict=True)]
    groups: dict[str, list[int]] = defaultdict(list)
    for number, sample in enumerate(samples):
        groups[sample.truth.group].append(number)
    vectors = np.zeros((len(samples), 3))
    for numbers in groups.values():
        vectors[numbers[0]] = all(right[number] for number in numbers), right[numbers[0]], 1.0
    return Judged(chosen, [float(one) for one in right], vectors)


def _marks(sample: Sample) -> Any:
    return sample.truth.marks if isinstance(sample.truth, vqa.Question) else None


def _caption_layout() -> Callable[[Array], dict[str, Array]]:
    return score_captions(["a"], ["a"], [["a"]], metrics=CAPTION_METRICS).metrics


CAPTIONS = "Each picture described in one sentence; sample scores are CIDEr, 0 to 10."
KINDS: Mapping[str, Kind] = {
    "captions": Kind("Captions", CAPTIONS, "cider", judge_captions, caption_metrics),
    "reg": Kind(
        "Who is in the box?",
        "A phrase for the person in a box, scored as a caption; sample scores are CIDEr, 0 to 10.",
        "cider",
        judge_captions,
        caption_metrics,
    ),
    "vqa": Kind(
        "Questions",
        "Open questions, scored as VQAv2: the share of annotators who said the same, 3 being enough.",
        "accuracy",
        judge_vqa,
        lambda sums: {"accuracy": ratio(sums[..., 0], sums[..., 1])},
    ),
    "rec": Kind(
        "Where is …?",
        "Boxes for referring expressions; sample scores are intersection over union.",
        "acc50",
        judge_rec,
        grounding.summed_metrics,
    ),
    "pope": Kind(
        "Is there a …?",
        "Yes/no questions about objects, half of which are not there (POPE).",
        "accuracy",
        judge_pope,
        pope_metrics,
    ),
    "attributes": Kind(
        "Attributes",
        "Yes/no questions about how a person appears.",
        "balanced_accuracy",
        judge_attributes,
        attribute_metrics,
    ),
    "keypoints": Kind(
        "Keypoints",
        "Where a person's eyes, ears and joints are; a sample's score is the share of visible ones that are at most a "
        "tenth of the person's longer side off.",
        "pck_0.1",
        judge_keypoints,
        keypoint_metrics,
    ),
    "mme": Kind("MME", "Two yes/no questions a picture; 0 to 2800 in all.", "total", judge_mme, mme_metrics),
    "choice": Kind(
        "Multiple choice",
        "Right in every order of the options (circular), and in their first order (vanilla).",
        "circular",
        judge_choice,
        choice.summed_metrics,
    ),
}
