"""FaceBench: attributes of faces by view and level (Wang et al. 2025).

Read from its JSON lines (``test.jsonl``), whose ``image_id`` is a file below ``images``; prompts are those of its
``inference.py``. True/false (TFQ) and single-choice (SCQ) questions have an accuracy; of multiple-choice ones (MCQ)
each option is chosen or not, which makes the publisher's micro F1 the share of options that are judged right; open ones
(OEQ) have ROUGE-L's F-measure and BLEU-1 over normalised words.

Where a reply is no option the publisher has GPT-4o match it; here the options whose text is in the reply count, but for
those inside of a longer one, and what cannot be told is wrong. The publisher's code compares the first element of open
answers, which of a text is its first letter; here whole texts are compared.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from humanvlm.errors import UserError
from humanvlm.evaluate.files import Row, by_id, get, get_id, get_text, pair, read_rows
from humanvlm.evaluate.metrics.rouge import longest_common
from humanvlm.evaluate.stats.parts import ratio, with_parts
from humanvlm.evaluate.stats.scored import Array, Scored
from humanvlm.evaluate.tasks.base import Coordinates, Judged, Sample, Task, source_file
from humanvlm.evaluate.tasks.choice import named_options
from humanvlm.evaluate.tasks.pictures import source_picture
from humanvlm.evaluate.tasks.replies import REPLY, answers, reading_counts, with_replies
from humanvlm.evaluate.tasks.vqa import normalise

if TYPE_CHECKING:
    from humanvlm.config.benchmark_scores import Source

TYPES = ("TFQ", "SCQ", "MCQ", "OEQ")
PROMPT = "{question}\n{options}\n{instruction} Please return the answer directly without additional explanation."
_CLAUSE = re.compile(r"[,.;:\n]")


@dataclass(frozen=True)
class Question:
    """kind: one of ``TYPES``. answers: the right options, or of open questions what may be said."""

    id: str
    image: str
    kind: str
    prompt: str
    options: tuple[str, ...]
    answers: tuple[str, ...]
    view: str = ""
    level: str = ""


def read_answer(question: Question, reply: str) -> list[str] | None:
    """The options that a reply chooses, or its words; None when that cannot be told.

    Of a true/false question, a reply that begins with an option chooses that, whatever follows.
    """
    if question.kind == "OEQ":
        return normalise(reply).split() or None
    if question.kind == "MCQ":
        return named_options(reply, question.options) or None
    named = named_options(reply, question.options)
    if question.kind == "TFQ" and len(named) > 1:
        named = named_options(_CLAUSE.split(reply.strip(), maxsplit=1)[0], question.options)
    return named if len(named) == 1 else None


def score_answer(question: Question, said: Sequence[str] | None) -> tuple[float, float]:
    """What says most of a kind, and a second figure: accuracy twice; micro and macro F1; ROUGE-L and BLEU-1."""
    if question.kind == "OEQ":
        found = [_overlap(said or (), normalise(answer).split()) for answer in question.answers]
        return max(first for first, _ in found), max(second for _, second in found)
    if question.kind != "MCQ":
        right = float(said is not None and list(said) == list(question.answers[:1]))
        return right, right
    truth = np.array([option in question.answers for option in question.options])
    chosen = np.array([option in (said or ()) for option in question.options])
    if said is None:
        return 0.0, 0.0
    classes = [value for value in (True, False) if (truth == value).any() or (chosen == value).any()]
    each = [2 * ((truth == v) & (chosen == v)).sum() / ((truth == v).sum() + (chosen == v).sum()) for v in classes]
    return float((truth == chosen).mean()), float(np.mean(each))


def score_facebench(questions: Sequence[Question], replies: Sequence[str | None]) -> Scored:
    """Figures in 0..1 of each type of question, over all and by view and level.

    A reply of None is missing, and wrong. counts: ``missing``, ``unparseable`` (replies without an option, or with
    several where one is right).
    """
    said = [
        None if reply is None else read_answer(question, reply)
        for question, reply in zip(questions, replies, strict=True)
    ]
    values = [score_answer(*one) for one in zip(questions, said, strict=True)]
    vectors = np.zeros((len(questions), len(TYPES), 3))
    for number, question in enumerate(questions):
        vectors[number, TYPES.index(question.kind)] = *values[number], 1
    parts = {"view": [question.view for question in questions], "level": [question.level for question in questions]}
    contributions, metrics = with_parts(vectors.reshape(len(questions), -1), parts, summed_metrics)
    return Scored(
        "facebench",
        [question.id for question in questions],
        [question.image for question in questions],
        {
            "kind": [question.kind for question in questions],
            "prompt": [question.prompt for question in questions],
            "answers": [list(question.answers) for question in questions],
            "reply": list(replies),
            "read": said,
            "score": [first for first, _ in values],
            **parts,
        },
        contributions,
        metrics,
        reading_counts(replies, said),
    )


def summed_metrics(sums: Array) -> dict[str, Array]:
    """Sums of both figures and questions of each type to the metrics. score: the mean of the types that were asked, of
    each its first figure; the publisher reports the types apart."""
    kinds = sums.reshape(*sums.shape[:-1], len(TYPES), 3)
    first, second = ratio(kinds[..., 0], kinds[..., 2]), ratio(kinds[..., 1], kinds[..., 2])
    asked = np.isfinite(first)
    return {
        "score": ratio(np.where(asked, first, 0.0).sum(axis=-1), asked.sum(axis=-1)),
        "tfq_accuracy": first[..., 0],
        "scq_accuracy": first[..., 1],
        "mcq_f1_micro": first[..., 2],
        "mcq_f1_macro": second[..., 2],
        "oeq_rouge_l": first[..., 3],
        "oeq_bleu_1": second[..., 3],
    }


def read_questions(path: Path) -> list[Question]:
    """The questions of a file; ids are ``image_id:question_id``. Raises UserError naming the row that is wrong."""
    return list(by_id((_key(row, where), where, _question(row, where)) for where, row in read_rows(path)).values())


def read_responses(path: Path) -> dict[str, str]:
    """The publisher's responses (rows with ``answer_info``), or rows of id and text."""
    found = []
    for where, row in read_rows(path):
        info = row.get("answer_info")
        if isinstance(info, dict):
            found.append((_key(row, where), where, get_text(info, ("response",), where)))
        else:
            found.append((get_id(row, ("id",), where), where, get_text(row, REPLY, where)))
    return by_id(found)


def score_files(references: Path, predictions: Path, allow_missing: bool = False) -> Scored:
    """FaceBench: accuracy of true/false and single choice, F1 of multiple choice, ROUGE-L and BLEU-1 of open answers.

    References are its JSON lines; predictions the responses of its inference.py (rows with answer_info), or JSON lines
    of id (image_id:question_id) and text.
    """
    questions = read_questions(references)
    ids = [question.id for question in questions]
    replies = pair(ids, read_responses(predictions), references, predictions, allow_missing=allow_missing)
    return with_replies(score_facebench(questions, answers(replies)), replies)


def samples(task: str, source: "Source") -> Iterator[Sample]:
    for one in read_questions(source_file(task, source)):
        picture = source_picture(task, source, one.image, {"image": one.image})
        part = ", ".join(filter(None, (one.view, one.level)))
        yield Sample(one.id, task, one.image, picture, one.prompt, one.answers, one, part)


def judge(samples: Sequence[Sample], replies: Sequence[str | None], _: Coordinates) -> Judged:
    found = score_facebench([sample.truth for sample in samples], replies)
    read = [None if one is None else ", ".join(one) for one in found.per_sample["read"]]
    return Judged(read, found.per_sample["score"], found.contributions[:, : 3 * len(TYPES)])


def _question(row: Row, where: str) -> Question:
    kind, options = get_text(row, ("question_type",), where), row.get("options") or []
    told: Any = get(row, ("gt_answer",), where)
    right = tuple(str(one) for one in (told if isinstance(told, list) else [told]))
    if kind not in TYPES:
        raise UserError(f"{where}: question_type {kind!r} is none of {', '.join(TYPES)}")
    if not isinstance(options, list) or (kind != "OEQ" and not options):
        raise UserError(f"{where}: options is no list, or an empty one")
    if not right or (kind != "OEQ" and (extra := [one for one in right if one not in options])):
        raise UserError(f"{where}: gt_answer {extra[0] if right else told!r} is none of the options")
    known = row.get("metadata")
    metadata = known if isinstance(known, dict) else {}
    listed = [str(option) for option in options]
    prompt = PROMPT.format(
        question=get_text(row, ("text",), where),
        options="\n".join(listed),
        instruction=get_text(row, ("instruction",), where),
    )
    view, level = (str(metadata.get(name) or "") for name in ("view", "attribute_level"))
    image = get_id(row, ("image_id",), where)
    return Question(_key(row, where), image, kind, prompt, tuple(listed), right, view, level)


def _key(row: Row, where: str) -> str:
    return f"{get_id(row, ('image_id',), where)}:{get_id(row, ('question_id',), where)}"


def _overlap(said: Sequence[str], truth: Sequence[str]) -> tuple[float, float]:
    """ROUGE-L's F-measure and BLEU-1 (with its brevity penalty) of two lists of words."""
    if not said or not truth:
        return 0.0, 0.0
    rouge = 2 * longest_common(said, truth) / (len(said) + len(truth))
    share = (Counter(said) & Counter(truth)).total() / len(said)
    return rouge, share * math.exp(min(0.0, 1 - len(truth) / len(said)))


TASK = Task(
    "facebench",
    "Attributes of faces",
    "True/false, choices and open questions by view and level (FaceBench); sample scores are of their type.",
    "score",
    samples,
    judge,
    summed_metrics,
    score_files,
)
