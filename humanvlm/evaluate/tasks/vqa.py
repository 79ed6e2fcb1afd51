"""VQA accuracy as the official VQAv2 evaluator computes it, its quirks included (Goyal et al. 2017).

The evaluator is GT-Vision-Lab/VQA at a013f00. Its report is in percent, rounded to two decimals.
"""

import re
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from humanvlm.evaluate.stats.parts import ratio, with_parts
from humanvlm.evaluate.stats.scored import Array, Scored

ARTICLES = frozenset(["a", "an", "the"])
NUMBERS = {"none": "0", "zero": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6"}
NUMBERS |= {"seven": "7", "eight": "8", "nine": "9", "ten": "10"}
CONTRACTIONS = """
    ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't he'd
    he'd've he's how'd how'll how's isn't it'd it'd've it'll ma'am mightn't mightn't've might've mustn't must've
    needn't not've o'clock oughtn't 'ow's'at shan't she'd've should've shouldn't shouldn't've somebody'd've
    somebody'll somebody's someone'd someone'd've someone'll someone's something'd something'd've something'll
    that's there'd there'd've there're there's they'd they'd've they'll they're they've 'twas wasn't we'd've we've
    weren't what'll what're what's what've when's where'd where's where've who'd who'd've who'll who's who've why'll
    why're why's won't would've wouldn't wouldn't've y'all y'all'll y'all'd've you'd you'd've you'll you're you've
"""
_MARKS = ';/[]"{}()=+\\_-><@`,?!'
_DIGIT_COMMA = re.compile(r"\d,\d")
_FULL_STOP = re.compile(r"\.(?!\d)")
_MOST_STOPS = 32  # the evaluator passes re.UNICODE where the count belongs


def _misspelt(contraction: str) -> list[str]:
    """The contraction with each one of its apostrophes left out."""
    places = [index for index, character in enumerate(contraction) if character == "'"]
    return [contraction[:index] + contraction[index + 1 :] for index in places]


_MENDED = {form: word for word in CONTRACTIONS.split() for form in _misspelt(word)} | {"somebody'd": "somebodyd"}


@lru_cache(maxsize=1 << 16)
def normalise(answer: str) -> str:
    """Lower case, punctuation and articles removed, numbers as digits, contractions with their apostrophe."""
    text = answer
    for mark in _MARKS:
        joined = mark + " " in answer or " " + mark in answer or _DIGIT_COMMA.search(answer)
        text = text.replace(mark, "" if joined else " ")
    text = _FULL_STOP.sub("", text, count=_MOST_STOPS)
    words = [NUMBERS.get(word, word) for word in text.lower().split()]
    return " ".join(_MENDED.get(word, word) for word in words if word not in ARTICLES)


@dataclass(frozen=True)
class Question:
    """One question and its answers, ten in VQAv2.

    marks: what else the file says of each answer, such as its ``answer_id``. The evaluator leaves out all answers that
    agree with the present one in all of it.
    """

    id: str
    image: str
    text: str
    answers: tuple[str, ...]
    marks: tuple[Hashable, ...] | None = None
    answer_type: str = ""
    question_type: str = ""


def accuracy(reply: str, answers: Sequence[str], marks: Sequence[Hashable] | None = None) -> float:
    """min(1, matches / 3), averaged over leaving each annotator out; in 0..1.

    As in the official code, nothing is normalised when all annotators gave the very same answer. ``marks`` tell the
    annotators apart; without them they all differ.
    """
    given = _flat(reply)
    truth = [_flat(answer) for answer in answers]
    if len(set(truth)) > 1:
        given, truth = normalise(given), [normalise(answer) for answer in truth]
    matches = truth.count(given)
    if marks is None:
        right, wrong = min(1.0, (matches - 1) / 3), min(1.0, matches / 3)
        return sum(right if answer == given else wrong for answer in truth) / len(truth)
    data = list(zip(truth, marks, strict=True))
    left_out = [data.count(datum) if datum[0] == given else 0 for datum in data]
    return sum(min(1.0, (matches - out) / 3) for out in left_out) / len(truth)


def score_vqa(questions: Sequence[Question], replies: Sequence[str | None]) -> Scored:
    """Accuracy in 0..1, overall and by answer type and question type. A reply of None is missing, and wrong.

    counts: ``missing``; ``empty`` replies, which are scored like any other; ``indistinct_answers``, questions with two
    answers that the file does not tell apart, as without ``answer_id``, and which the evaluator then does not compare.
    """
    values = [
        accuracy(reply, question.answers, question.marks) if reply is not None else 0.0
        for question, reply in zip(questions, replies, strict=True)
    ]
    parts = {
        "answer_type": [question.answer_type for question in questions],
        "question_type": [question.question_type for question in questions],
    }
    vectors = np.column_stack([values, np.ones(len(values))])
    contributions, metrics = with_parts(vectors, parts, _metrics)
    columns = {
        "question": [question.text for question in questions],
        "reply": replies,
        "normalised": [normalise(_flat(reply)) if reply is not None else None for reply in replies],
        "accuracy": values,
    }
    return Scored(
        "vqa",
        [question.id for question in questions],
        [question.image for question in questions],
        columns | parts,
        contributions,
        metrics,
        {
            "missing": sum(reply is None for reply in replies),
            "empty": sum(reply is not None and not reply.strip() for reply in replies),
            "indistinct_answers": sum(
                question.marks is not None
                and len(set(zip(question.answers, question.marks, strict=True))) < len(question.answers)
                for question in questions
            ),
        },
    )


def official_report(scored: Scored) -> dict[str, Any]:
    """The report of the official evaluator: percent, each rounded to two decimals, under its own names."""
    values = scored.per_sample["accuracy"]

    def by(key: str) -> dict[str, float]:
        groups: dict[str, list[float]] = defaultdict(list)
        for label, value in zip(scored.per_sample[key], values, strict=True):
            groups[label].append(value)
        return {label: _percent(group) for label, group in groups.items()}

    return {
        "overall": _percent(values),
        "perAnswerType": by("answer_type"),
        "perQuestionType": by("question_type"),
        "evalQA": {key: round(100 * value, 2) for key, value in zip(scored.ids, values, strict=True)},
    }


def _percent(values: Sequence[float]) -> float:
    return round(100 * float(sum(values)) / len(values), 2)  # in the evaluator's order of operations, for its rounding


def _metrics(sums: Array) -> dict[str, Array]:
    return {"accuracy": ratio(sums[..., 0], sums[..., 1])}


def _flat(text: str) -> str:
    return text.replace("\n", " ").replace("\t", " ").strip()
