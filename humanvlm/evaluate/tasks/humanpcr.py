"""HumanPCR, perception and comprehension: multiple choice about people in pictures (Li et al. 2025).

Read from one JSON list (``HumanPC_preview.json``) of ``question``, ``answer``, ``distractors``, ``level``,
``input_type`` (0 a picture, 1 several, 2 a video) and ``input_path`` (files below ``images``). That form is taken from
code of others that reads the published preview, for want of the publisher's own; a file of another form is an error
that names the key.

A model is asked about one picture: questions about several, or a video, are dropped as ``several_pictures`` and
``video``, so a figure is one of the rest. The order of options is drawn from a hash of the question's number and text.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from humanvlm.errors import UserError
from humanvlm.evaluate.files import Row, get, get_text, pair, read_rows
from humanvlm.evaluate.stats.parts import ratio, with_parts
from humanvlm.evaluate.stats.scored import Array, Scored
from humanvlm.evaluate.tasks.base import Coordinates, Dropped, Judged, Sample, Task, source_file
from humanvlm.evaluate.tasks.choice import LETTERS, PROMPT, REFUSED, parse_named_choice
from humanvlm.evaluate.tasks.pictures import source_picture
from humanvlm.evaluate.tasks.replies import answers, read_replies, reading_counts, with_replies

if TYPE_CHECKING:
    from humanvlm.config.benchmark_scores import Source

MANY = {"1": "several_pictures", "2": "video"}


@dataclass(frozen=True)
class Question:
    """id: its place in the list. many: why a model cannot be asked, '' where it can. options: letter to text."""

    id: str
    image: str
    level: str
    text: str
    options: Mapping[str, str]
    answer: str
    many: str = ""


def score_humanpcr(questions: Sequence[Question], replies: Sequence[str | None]) -> Scored:
    """Accuracy in 0..1, over all and by level.

    A reply of None is missing, and wrong. counts: ``missing``, ``unparseable``, ``refused``.
    """
    chosen = [
        None if reply is None else parse_named_choice(reply, question.options)
        for question, reply in zip(questions, replies, strict=True)
    ]
    right = [letter == question.answer for letter, question in zip(chosen, questions, strict=True)]
    vectors = np.column_stack([right, np.ones(len(right))]).astype(np.float64)
    levels = [question.level for question in questions]
    contributions, metrics = with_parts(vectors, {"level": levels}, summed_metrics)
    return Scored(
        "humanpcr",
        [question.id for question in questions],
        [question.image for question in questions],
        {
            "level": levels,
            "question": [question.text for question in questions],
            "answer": [question.answer for question in questions],
            "reply": list(replies),
            "chosen": chosen,
            "right": right,
        },
        contributions,
        metrics,
        {
            **reading_counts(replies, chosen),
            "refused": chosen.count(REFUSED),
        },
    )


def summed_metrics(sums: Array) -> dict[str, Array]:
    """Summed [right, 1] to the accuracy."""
    return {"accuracy": ratio(sums[..., 0], sums[..., 1])}


def read_questions(path: Path) -> list[Question]:
    """All questions of a file, those about several pictures too. Raises UserError naming the row that is wrong."""
    return [_question(number, where, row) for number, (where, row) in enumerate(read_rows(path))]


def score_files(references: Path, predictions: Path, allow_missing: bool = False) -> Scored:
    """HumanPCR, perception and comprehension: accuracy, over all and by level.

    References are its JSON list of question, answer, distractors, level, input_type, input_path; predictions JSON lines
    of id, a question's place in that list from 0, and text. Options are in the order in which benchmark_scores asks.
    """
    questions = read_questions(references)
    ids = [question.id for question in questions]
    replies = pair(ids, read_replies(predictions, ids), references, predictions, allow_missing=allow_missing)
    return with_replies(score_humanpcr(questions, answers(replies)), replies)


def samples(task: str, source: "Source") -> Iterator[Sample | Dropped]:
    for one in read_questions(source_file(task, source)):
        if one.many:
            yield one.id, one.many, f"{task}: {one.image}"
            continue
        picture = source_picture(task, source, one.image, {"image": one.image})
        options = "\n".join(f"{letter}. {text}" for letter, text in one.options.items())
        prompt = PROMPT.format(question=one.text, options=options)
        yield Sample(one.id, task, one.image, picture, prompt, (one.answer,), one, one.level)


def judge(samples: Sequence[Sample], replies: Sequence[str | None], _: Coordinates) -> Judged:
    found = score_humanpcr([sample.truth for sample in samples], replies)
    return Judged(found.per_sample["chosen"], list(map(float, found.per_sample["right"])), found.contributions[:, :2])


def _question(number: int, where: str, row: Row) -> Question:
    text, answer = get_text(row, ("question",), where), get_text(row, ("answer",), where)
    wrong, paths = (_texts(get(row, (name,), where), f"{where}: {name}") for name in ("distractors", "input_path"))
    if len(wrong) + 1 > len(LETTERS):
        raise UserError(f"{where}: {len(wrong)} distractors; at most {len(LETTERS) - 1} have letters")

    def order(option: str) -> bytes:
        return hashlib.sha256(f"{number} {option}".encode()).digest()

    options = dict(zip(LETTERS, sorted([answer, *wrong], key=order), strict=False))
    right = next(letter for letter, option in options.items() if option == answer)
    many = MANY.get(str(row.get("input_type", 0)), "several_pictures" if len(paths) > 1 else "")
    return Question(str(number), paths[0], str(row.get("level") or ""), text, options, right, many)


def _texts(value: Any, where: str) -> list[str]:
    if not isinstance(value, list) or not value:
        raise UserError(f"{where}: {str(value)[:60]} is no list with something in it")
    return [str(one) for one in value]


TASK = Task(
    "humanpcr",
    "People, perceived and understood",
    "Multiple choice about one picture (HumanPCR-P and -C).",
    "accuracy",
    samples,
    judge,
    summed_metrics,
    score_files,
)
