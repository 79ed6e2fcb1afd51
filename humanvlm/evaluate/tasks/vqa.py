"""VQA accuracy as the official VQAv2 evaluator computes it, its quirks included (Goyal et al. 2017).

The evaluator is GT-Vision-Lab/VQA at a013f00. Its report is in percent, rounded to two decimals.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from humanvlm.data.prompts import QUESTION
from humanvlm.errors import UserError
from humanvlm.evaluate.files import Row, by_id, get, get_id, get_text, pair, read_array, read_rows
from humanvlm.evaluate.stats.parts import ratio, with_parts
from humanvlm.evaluate.stats.scored import Array, Scored
from humanvlm.evaluate.tasks.attributes import parse_answer
from humanvlm.evaluate.tasks.base import Coordinates, Judged, Sample, Task, own_sample, source_file
from humanvlm.evaluate.tasks.options import FILE, PREDICTIONS
from humanvlm.evaluate.tasks.pictures import source_picture
from humanvlm.evaluate.tasks.replies import answers, with_replies

if TYPE_CHECKING:
    from humanvlm.config.benchmark_scores import Source


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


def read_questions(questions: Path | None, annotations: Path) -> list[Question]:
    """VQAv2's questions and annotations, in the order of the annotations. Both must have the same question ids."""
    texts: dict[str, str] | None = None
    if questions:
        texts = by_id(
            (get_id(row, ("question_id",), where), where, get_text(row, ("question",), where))
            for where, row in read_array(questions, "questions")
        )
    found = by_id(_vqa_rows(annotations, texts))
    if texts is not None:
        for known, other, file, there in (
            (found, texts, annotations, questions),
            (texts, found, questions, annotations),
        ):
            if missing := next((key for key in other if key not in known), None):
                raise UserError(f"{file}: question_id {missing} of {there} is missing")
    return list(found.values())


def read_results(path: Path) -> dict[str, str]:
    """VQAv2's results: question_id to answer."""
    return by_id(
        (get_id(row, ("question_id",), where), where, get_text(row, ("answer",), where))
        for where, row in read_rows(path)
    )


def score_files(questions: Path | None, annotations: Path, predictions: Path, allow_missing: bool = False) -> Scored:
    """VQAv2: accuracy over ten answers, by answer type and question type.

    The files are those of VQAv2; predictions are a list of question_id and answer. ``official`` in the output is the
    report of the official evaluator: percent, rounded to two decimals.
    """
    asked = read_questions(questions, annotations)
    found = read_results(predictions)
    replies = pair([one.id for one in asked], found, annotations, predictions, allow_missing=allow_missing)
    return with_replies(score_vqa(asked, answers(replies)), replies)


def samples(task: str, source: "Source") -> Iterator[Sample]:
    if not source.questions:
        raise UserError(f"benchmark_scores.sources.{task}: no questions; name VQAv2's file of questions")
    for one in read_questions(Path(source.questions), source_file(task, source)):
        prompt = QUESTION.format(question=one.text)
        picture = source_picture(task, source, one.image, {})
        yield Sample(one.id, task, one.image, picture, prompt, one.answers, one, one.answer_type, subject=one.text)


def sample(row: Row, folder: Path) -> Sample:
    given: Sequence[str] = row["answers"]
    common = Counter(given).most_common(1)[0][0]
    kind = "yes/no" if parse_answer(common) == common.strip().lower() else "number" if common.isdigit() else "other"
    asked = row["question"]
    return own_sample(row, folder, "vqa", QUESTION.format(question=asked), given, part=kind, subject=asked)


def judge(samples: Sequence[Sample], replies: Sequence[str | None], _: Coordinates) -> Judged:
    """Replies and answers are normalised first, as for a submission: the official evaluator compares unanimous answers
    as they are."""
    predictions = [None if reply is None else normalise(reply) for reply in replies]
    values = [
        0.0
        if prediction is None
        else accuracy(prediction, [normalise(answer) for answer in sample.references], _marks(sample))
        for sample, prediction in zip(samples, predictions, strict=True)
    ]
    return Judged([text or None for text in predictions], values, np.column_stack([values, np.ones(len(values))]))


def _vqa_rows(annotations: Path, texts: Mapping[str, str] | None) -> Iterator[tuple[str, str, Question]]:
    for where, row in read_array(annotations, "annotations"):
        key = get_id(row, ("question_id",), where)
        answers = get(row, ("answers",), where)
        if not isinstance(answers, list) or not answers or not all(isinstance(one, dict) for one in answers):
            raise UserError(f"{where}: answers is not a list of objects with answer")
        given = tuple(get_text(one, ("answer",), f"{where}: answers") for one in answers)
        marks = None
        if len({repr(one.get("answer_id")) for one in answers}) < len(answers):
            marks = tuple(repr(sorted((name, repr(one[name])) for name in one if name != "answer")) for one in answers)
        image = str(row.get("image_id", key))
        types = str(row.get("answer_type", "")), str(row.get("question_type", ""))
        yield key, where, Question(key, image, (texts or {}).get(key, ""), given, marks, *types)


def _marks(sample: Sample) -> Sequence[Hashable] | None:
    return sample.truth.marks if isinstance(sample.truth, Question) else None


def _percent(values: Sequence[float]) -> float:
    return round(100 * float(sum(values)) / len(values), 2)  # in the evaluator's order of operations, for its rounding


def _metrics(sums: Array) -> dict[str, Array]:
    return {"accuracy": ratio(sums[..., 0], sums[..., 1])}


def _flat(text: str) -> str:
    return text.replace("\n", " ").replace("\t", " ").strip()


TASK = Task(
    "vqa",
    "Questions",
    "Open questions, scored as VQAv2: the share of annotators who said the same, 3 being enough.",
    "accuracy",
    samples,
    judge,
    _metrics,
    score_files,
    (
        click.option("--questions", type=FILE, metavar="FILE", help="To check the ids, and for the record."),
        click.option("--annotations", type=FILE, required=True, metavar="FILE"),
        PREDICTIONS,
    ),
    sample=sample,
    official=official_report,
)
