"""POPE: does a model see objects that are not there? (Li et al. 2023)

Answers are read as the official ``evaluate.py`` reads them: of the first sentence, without commas, the words between
blanks; "No", "no" or "not" among them is a no, and everything else is a yes. Where a reply plainly says the opposite of
that reading, such as "NO" or "**No**", it is scored so all the same, and counted.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from humanvlm.data.prompts import YES_NO
from humanvlm.errors import UserError
from humanvlm.evaluate.files import by_id, get_id, get_text, pair, read_rows
from humanvlm.evaluate.stats.parts import ratio, with_parts
from humanvlm.evaluate.stats.scored import Array, Scored
from humanvlm.evaluate.tasks.base import Coordinates, Judged, Sample, Task, YesNoQuestion, source_file
from humanvlm.evaluate.tasks.options import FILE
from humanvlm.evaluate.tasks.pictures import source_picture
from humanvlm.evaluate.tasks.replies import answers, read_replies, with_replies

if TYPE_CHECKING:
    from humanvlm.config.benchmark_scores import Source

PARTS = ("random", "popular", "adversarial")
_NO = frozenset(("No", "not", "no"))
_ANY = re.compile(r"\b(?:yes|no|not)\b", re.I)
_HEDGES = re.compile(
    r"\b(?:(?:not|isn['’]?t|n['’]t)\s+(?:\w+\s+)?(?:sure|certain|clear|possible)"
    r"|(?:can\s?not|can['’]?t|unable\s+to|not\s+able\s+to)\s+(?:tell|say|determine|judge|answer)"
    r"|(?:do\s+not|don['’]?t)\s+know)\b",
    re.I,
)
_MEANS = re.compile(r"\b(?:(?P<yes>yes)|no|not|none|never|neither|can\s?not|\w+n['’]t)\b", re.I)


def says_yes(reply: str) -> bool:
    """The official reading, its quirks included: "NO" is a yes, as is an empty reply."""
    return _NO.isdisjoint(reply.split(".")[0].replace(",", "").split(" "))


def is_answer(reply: str) -> bool:
    """Whether a reply holds yes, no or not, in any case; the official reading takes all others for a yes."""
    return bool(_ANY.search(reply))


def contradicts(reply: str) -> bool:
    """Whether a reply means the opposite of what the official reading makes of it.

    Its first yes, or word that negates, is what it means, whatever the case and the marks around it; that it does not
    know is neither.
    """
    found = _MEANS.search(_HEDGES.sub(" ", reply))
    return found is not None and bool(found["yes"]) != says_yes(reply)


def score_pope(questions: Sequence[YesNoQuestion], replies: Sequence[str | None]) -> Scored:
    """Accuracy, precision, recall, F1 of "yes", and the share of yes; in 0..1, over all questions and by part.

    A reply of None is missing, and wrong. counts: ``missing``; ``unparseable``, replies that hold neither yes nor no
    nor not, in any case, which the official reading takes for a yes; ``contradictions``, see ``contradicts``.
    """
    said = [
        not question.positive if reply is None else says_yes(reply)
        for question, reply in zip(questions, replies, strict=True)
    ]
    yes, positive = np.array(said, dtype=bool), np.array([one.positive for one in questions], dtype=bool)
    vectors = np.column_stack([yes & positive, yes & ~positive, ~yes & ~positive, ~yes & positive]).astype(np.float64)
    contributions, metrics = with_parts(vectors, {"split": [one.part for one in questions]}, summed_metrics)
    return Scored(
        "pope",
        [one.id for one in questions],
        [one.image for one in questions],
        {
            "question": [one.text for one in questions],
            "split": [one.part for one in questions],
            "label": ["yes" if one.positive else "no" for one in questions],
            "reply": replies,
            "answer": [
                None if reply is None else "yes" if one else "no" for reply, one in zip(replies, said, strict=True)
            ],
            "accuracy": (yes == positive).astype(float).tolist(),
        },
        contributions,
        metrics,
        {
            "missing": sum(reply is None for reply in replies),
            "unparseable": sum(reply is not None and not is_answer(reply) for reply in replies),
            "contradictions": sum(reply is not None and contradicts(reply) for reply in replies),
        },
    )


def summed_metrics(sums: Array) -> dict[str, Array]:
    """Summed [true positives, false positives, true negatives, false negatives] to the metrics."""
    tp, fp, tn, fn = np.moveaxis(sums, -1, 0)
    total = tp + fp + tn + fn
    # As the official code would, were it not to divide by zero: no yes at all is a precision, recall and F1 of 0.
    precision, recall = tp / np.maximum(tp + fp, 1), tp / np.maximum(tp + fn, 1)
    f1 = 2 * precision * recall / np.where(precision + recall > 0, precision + recall, 1.0)
    return {
        "accuracy": ratio(tp + tn, total),
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "yes_ratio": ratio(tp + fp, total),
    }


def read_questions(path: Path) -> list[YesNoQuestion]:
    """POPE's questions: question_id, image, text, label; the part from ``category`` or ``file``, else from the file's
    name. Where parts share a file and their ids, an id is ``part:question_id``."""
    found = []
    for where, row in read_rows(path):
        label = get_text(row, ("label",), where).strip().lower()
        if label not in ("yes", "no"):
            raise UserError(f"{where}: label {label!r} is neither yes nor no")
        key = get_id(row, ("question_id", "id"), where)
        text = get_text(row, ("text", "question"), where)
        image = get_id(row, ("image", "image_source"), where)
        named = str(row.get("category") or row.get("file") or path.name).lower()
        part = next((part for part in PARTS if part in named), "")
        found.append((key, where, YesNoQuestion(key, image, text, label == "yes", part)))
    if len({key for key, _, _ in found}) < len(found) and len({one.part for _, _, one in found}) > 1:
        found = [(f"{one.part}:{key}", where, replace(one, id=f"{one.part}:{key}")) for key, where, one in found]
    return list(by_id(found).values())


def score_files(references: Sequence[Path], predictions: Sequence[Path], allow_missing: bool = False) -> Scored:
    """POPE: accuracy, precision, recall, F1 and share of yes.

    References are JSON lines with question_id, image, text, label; predictions have question_id and text (or answer),
    or, without any ids, the same order. Give both options once for each of the random, popular and adversarial files.
    Replies are read as the official code does: No, no or not in the first sentence is a no, all else a yes; replies
    that plainly say the opposite of that are counted as contradictions.
    """
    if len(references) != len(predictions):
        raise UserError(f"{len(references)} --references and {len(predictions)} --predictions; give one for each")
    questions: list[YesNoQuestion] = []
    replies: list[str | None] = []
    for asked_in, said_in in zip(references, predictions, strict=True):
        asked = read_questions(asked_in)
        ids = [one.id for one in asked]
        replies += pair(ids, read_replies(said_in, ids), asked_in, said_in, allow_missing=allow_missing)
        prefix = f"{asked_in.name.partition('.')[0]}:" if len(references) > 1 else ""
        questions += [replace(one, id=prefix + one.id) for one in asked]
    if len({one.id for one in questions}) < len(questions):
        raise UserError(f"{references[0]}: two files of references have the same name; rename one")
    return with_replies(score_pope(questions, answers(replies)), replies)


def samples(task: str, source: "Source") -> Iterator[Sample]:
    path = source_file(task, source)
    for one, (_, row) in zip(read_questions(path), read_rows(path), strict=True):
        picture = source_picture(task, source, one.image, row)
        answer, prompt = "yes" if one.positive else "no", YES_NO.format(question=one.text)
        yield Sample(one.id, task, one.image, picture, prompt, (answer,), one, one.part, subject=one.text)


def judge(samples: Sequence[Sample], replies: Sequence[str | None], _: Coordinates) -> Judged:
    found = score_pope([sample.truth for sample in samples], replies)
    said = [
        answer if reply is not None and is_answer(reply) else None
        for answer, reply in zip(found.per_sample["answer"], replies, strict=True)
    ]
    opposite = [reply is not None and contradicts(reply) for reply in replies]
    vectors = np.column_stack([found.contributions[:, :4], [one is None for one in said], opposite])
    return Judged(said, found.per_sample["accuracy"], vectors.astype(np.float64))


def judged_metrics(sums: Array) -> dict[str, Array]:
    """Of the sums of ``judge``: the metrics, and the shares of unparseable replies and contradictions."""
    total = sums[..., :4].sum(axis=-1)
    shares = {"unparseable": ratio(sums[..., 4], total), "contradictions": ratio(sums[..., 5], total)}
    return summed_metrics(sums[..., :4]) | shares


TASK = Task(
    "pope",
    "Is there a …?",
    "Yes/no questions about objects, half of which are not there (POPE).",
    "accuracy",
    samples,
    judge,
    judged_metrics,
    score_files,
    (
        click.option("--references", type=FILE, required=True, multiple=True, metavar="FILE"),
        click.option("--predictions", type=FILE, required=True, multiple=True, metavar="FILE"),
    ),
    yes_no=True,
)
