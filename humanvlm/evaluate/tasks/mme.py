"""MME: two yes/no questions about each picture, in 14 categories (Fu et al. 2023), or in categories of one's own.

As its ``calculation.py``: accuracy over questions, accuracy+ over pictures (both questions right), 100 times their sum
as the score of a category (0..200), and the categories' sums for perception (0..2000) and cognition (0..800).
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from humanvlm.errors import UserError
from humanvlm.evaluate.files import by_id, get_id, get_text, open_text, pair, read_rows
from humanvlm.evaluate.stats.parts import ratio
from humanvlm.evaluate.stats.scored import Array, Scored
from humanvlm.evaluate.tasks.base import Coordinates, Judged, Sample, Task, YesNoQuestion, source_file
from humanvlm.evaluate.tasks.options import FILE
from humanvlm.evaluate.tasks.pictures import source_picture
from humanvlm.evaluate.tasks.replies import answers, read_replies, row_id, with_replies

if TYPE_CHECKING:
    from humanvlm.config.benchmark_scores import Source

PERCEPTION = (
    *("existence", "count", "position", "color", "posters"),
    *("celebrity", "scene", "landmark", "artwork", "OCR"),
)
COGNITION = ("commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning")
CATEGORIES = (*PERCEPTION, *COGNITION)


def parse_answer(reply: str) -> str:
    """ "yes", "no" or "other", in the official way: from the first four characters, in lower case, yes before no."""
    start = reply.lower()[:4]
    return "yes" if "yes" in start else "no" if "no" in start else "other"


def score_mme(questions: Sequence[YesNoQuestion], replies: Sequence[str | None]) -> Scored:
    """Accuracies in 0..1 and scores as published, of each category and in all.

    questions: even in number, the two of a picture following each other. A reply of None is missing, and wrong. counts:
    ``missing``, ``unparseable`` (what the official code calls other), ``categories_missing`` of the 14.
    """
    said = [None if reply is None else parse_answer(reply) for reply in replies]
    right = np.array(
        [answer == ("yes" if one.positive else "no") for one, answer in zip(questions, said, strict=True)], dtype=bool
    )
    both = (right.reshape(-1, 2).all(axis=1)).repeat(2)
    first = np.arange(len(questions)) % 2 == 0
    vectors = np.column_stack([right, np.ones(len(questions)), both & first, first]).astype(np.float64)
    present = {one.part for one in questions}
    categories = [name for name in CATEGORIES if name in present]
    categories += sorted(present - set(categories))
    given = np.array([one.part for one in questions], dtype=object)
    contributions = np.concatenate([vectors * (given == name)[:, None] for name in categories], axis=1)

    def metrics(sums: Array) -> dict[str, Array]:
        return summed_metrics(sums.reshape(*sums.shape[:-1], len(categories), 4), categories)

    return Scored(
        "mme",
        [one.id for one in questions],
        [f"{one.part}/{one.image}" for one in questions],
        {
            "category": [one.part for one in questions],
            "question": [one.text for one in questions],
            "label": ["yes" if one.positive else "no" for one in questions],
            "reply": replies,
            "answer": said,
            "right": right.tolist(),
        },
        contributions,
        metrics,
        {
            "missing": sum(reply is None for reply in replies),
            "unparseable": said.count("other"),
            "categories_missing": len(set(CATEGORIES) - present),
        },
    )


def summed_metrics(sums: Array, categories: Sequence[str]) -> dict[str, Array]:
    """Summed (categories, [right, questions, pictures right, pictures]) to the metrics.

    Absent categories add 0 to ``total``, the sum over all, and to ``perception`` and ``cognition``, those of the 14
    published ones; without any of the 14 these two are undefined.
    """
    acc, plus = ratio(sums[..., 0], sums[..., 1]), ratio(sums[..., 2], sums[..., 3])
    scores = 100 * (acc + plus)

    def total(names: Sequence[str]) -> Array:
        places = [place for place, name in enumerate(categories) if name in names]
        return np.asarray(np.nansum(scores[..., places], axis=-1))

    def published(names: Sequence[str]) -> Array:
        places = [place for place, name in enumerate(categories) if name in CATEGORIES]
        return np.where((sums[..., places, 1] > 0).any(axis=-1), total(names), np.nan)

    found = {"total": total(categories), "perception": published(PERCEPTION), "cognition": published(COGNITION)}
    found["acc"] = ratio(sums[..., 0].sum(axis=-1), sums[..., 1].sum(axis=-1))
    found["acc_plus"] = ratio(sums[..., 2].sum(axis=-1), sums[..., 3].sum(axis=-1))
    for place, name in enumerate(categories):
        found |= {
            f"score[category={name}]": scores[..., place],
            f"acc[category={name}]": acc[..., place],
            f"acc_plus[category={name}]": plus[..., place],
        }
    return found


def read_questions(path: Path) -> tuple[list[YesNoQuestion], list[str] | None]:
    """MME's questions, whose part is their category, and the replies when they are there too.

    Either the official folder of results, ``CATEGORY.txt`` with picture, question, truth and reply between tabs, or
    JSON lines with question_id, category, image, question (or text) and answer (or label). Raises UserError for
    pictures that have not two questions.
    """
    if not path.is_dir():
        return _in_pairs(path, list(by_id(_rows(path)).values())), None
    files = sorted(path.glob("*.txt"))
    if not files:
        raise UserError(f"{path}: no CATEGORY.txt in this folder")
    questions, replies = [], []
    for file in files:
        found = list(_lines(file))
        if len(found) % 2:
            raise UserError(f"{file}: {len(found)} lines; each picture has two, one after the other")
        questions += [one for one, _ in found]
        replies += [reply for _, reply in found]
    return questions, replies


def score_files(references: Path, predictions: Path | None, allow_missing: bool = False) -> Scored:
    """MME: accuracy, accuracy+ and score of each category, perception and cognition.

    References are the official folder of CATEGORY.txt with replies, or JSON lines with id, category, image, question
    and answer, to which predictions, JSON lines with id and text, belong. Categories of one's own are scored alike.
    """
    questions, found = read_questions(references)
    if (predictions is None) == (found is None):
        wrong = (
            "holds the replies too; leave out --predictions" if predictions else "holds no replies; give --predictions"
        )
        raise UserError(f"{references}: {wrong}")
    replies: list[str | None] = list(found or [])
    if predictions is not None:
        ids = [one.id for one in questions]
        replies = pair(ids, read_replies(predictions, ids), references, predictions, allow_missing=allow_missing)
    return with_replies(score_mme(questions, answers(replies)), replies)


def samples(task: str, source: "Source") -> Iterator[Sample]:
    path = source_file(task, source)
    rows = {} if path.is_dir() else {row_id(row): row for _, row in read_rows(path)}
    for one in read_questions(path)[0]:
        picture = source_picture(task, source, one.image, rows.get(one.id, {"image": f"{one.part}/{one.image}"}))
        image, answer = f"{one.part}/{one.image}", "yes" if one.positive else "no"
        yield Sample(one.id, task, image, picture, one.text, (answer,), one, one.part)


def judge(samples: Sequence[Sample], replies: Sequence[str | None], _: Coordinates) -> Judged:
    """A picture whose other question was not answered counts for accuracy alone."""
    said = ["other" if reply is None else parse_answer(reply) for reply in replies]
    right = [one == ("yes" if sample.truth.positive else "no") for one, sample in zip(said, samples, strict=True)]
    pictures: dict[tuple[str, str], list[int]] = defaultdict(list)
    for number, sample in enumerate(samples):
        pictures[sample.truth.part, sample.truth.image].append(number)
    categories = [*CATEGORIES, *sorted({category for category, _image in pictures} - set(CATEGORIES))]
    vectors = np.zeros((len(samples), len(categories), 4))
    for (category, _image), numbers in pictures.items():
        place = categories.index(category)
        for number in numbers:
            vectors[number, place, :2] = right[number], 1.0
        if len(numbers) == 2:
            vectors[numbers[0], place, 2:] = all(right[number] for number in numbers), 1.0
    predictions = [None if one == "other" else one for one in said]
    return Judged(predictions, [float(one) for one in right], vectors.reshape(len(samples), -1))


def judged_metrics(sums: Array) -> dict[str, Array]:
    """Of all categories, the 14 published ones first; each by itself is a part of the task."""
    blocks = sums.reshape(*sums.shape[:-1], -1, 4)
    own = (f"own {number}" for number in range(blocks.shape[-2] - len(CATEGORIES)))
    return {name: value for name, value in summed_metrics(blocks, [*CATEGORIES, *own]).items() if "[" not in name}


def _rows(path: Path) -> Iterator[tuple[str, str, YesNoQuestion]]:
    for where, row in read_rows(path):
        answer = get_text(row, ("answer", "label"), where).strip().lower()
        if answer not in ("yes", "no"):
            raise UserError(f"{where}: answer {answer!r} is neither yes nor no")
        text = get_text(row, ("question", "text"), where)
        category, image = (get_id(row, names, where) for names in (("category",), ("image", "question_id")))
        key = get_id(row, ("id", "question_id"), where)
        yield key, where, YesNoQuestion(key, image, text, answer == "yes", category)


def _lines(file: Path) -> Iterator[tuple[YesNoQuestion, str]]:
    category = file.name.partition(".")[0]
    with open_text(file) as lines:
        for number, line in enumerate(lines, 1):
            columns = line.rstrip("\r\n").split("\t")
            if len(columns) != 4 or columns[2].strip().lower() not in ("yes", "no"):
                raise UserError(f"{file}:{number}: picture, question, yes or no, and reply between tabs are expected")
            image, text, truth, reply = columns
            yield YesNoQuestion(f"{category}:{number}", image, text, truth.strip().lower() == "yes", category), reply


def _in_pairs(path: Path, questions: Sequence[YesNoQuestion]) -> list[YesNoQuestion]:
    pictures: dict[tuple[str, str], list[YesNoQuestion]] = {}
    for one in questions:
        pictures.setdefault((one.part, one.image), []).append(one)
    for (category, image), asked in pictures.items():
        if len(asked) != 2:
            raise UserError(f"{path}: {category} {image} has {len(asked)} questions; each picture has two")
    return [one for asked in pictures.values() for one in asked]


TASK = Task(
    "mme",
    "MME",
    "Two yes/no questions a picture; 200 a category, 2800 for the published ones.",
    "total",
    samples,
    judge,
    judged_metrics,
    score_files,
    (
        click.option("--references", type=FILE, required=True, metavar="FILE|FOLDER"),
        click.option("--predictions", type=FILE, metavar="FILE"),
    ),
    by_picture=True,
)
