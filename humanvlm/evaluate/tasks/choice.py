"""Multiple choice with circular evaluation, as MMBench does it (Liu et al. 2023).

A question is asked once for each rotation of its options and counts only when every rotation is answered right. Letters
are taken from replies as VLMEvalKit's exact matching does (``matching_util.py``): a lone letter among the last words,
else the only option whose text is in a short enough reply. What cannot be read is wrong; no model is asked to judge.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from humanvlm.errors import UserError
from humanvlm.evaluate.files import Row, by_id, get_id, get_text, pair, read_rows, read_tab_separated
from humanvlm.evaluate.stats.parts import ratio, with_parts
from humanvlm.evaluate.stats.scored import Array, Scored
from humanvlm.evaluate.tasks.base import Coordinates, Judged, Sample, Task, source_file
from humanvlm.evaluate.tasks.pictures import EncodedPicture
from humanvlm.evaluate.tasks.replies import REPLY, answers, reading_counts, unfinished, with_unfinished

if TYPE_CHECKING:
    from humanvlm.config.benchmark_scores import Source

PROMPT = "{question}\n{options}\nAnswer with the letter of the right option."
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ROTATIONS = 1_000_000  # MMBench: rotations of question n have the index n + k * 1,000,000

_REFUSALS = (
    "Sorry, I can't help with images of people yet.",
    "I can't process this file.",
    "I'm sorry, but without the image provided",
    "Cannot determine the answer",
)
_FAILED = "Failed to obtain answer via API"
_MARKS = str.maketrans(dict.fromkeys(".()[],:;!*#{}", " "))
_VERBOSE = re.compile(r"(?i)(?:correct\s+)?answer\s+is\s+\**([ABCD])\**")
REFUSED = "Z"


@dataclass(frozen=True)
class Rotation:
    """A question with its options in one order. group: the same for all rotations. options: letter to text."""

    id: str
    group: str
    image: str
    text: str
    options: Mapping[str, str]
    answer: str
    category: str = ""
    broad_category: str = ""
    split: str = ""


def parse_choice(reply: str, options: Mapping[str, str]) -> str | None:
    """The letter that a reply chooses, "Z" for a refusal, None when it cannot be told."""
    return _by_letter(reply, options) or _by_text(reply, options)


def parse_named_choice(reply: str, options: Mapping[str, str]) -> str | None:
    """As ``parse_choice``, but that texts of options count as whole words: the "no" in "I do not know" is none."""
    if letter := _by_letter(reply, options):
        return letter
    named = named_options(reply, list(options.values()))
    return next(letter for letter, text in options.items() if text == named[0]) if len(named) == 1 else None


def named_options(reply: str, options: Sequence[str]) -> list[str]:
    """The options in a reply, whatever the case; one that is only there inside of a longer one is not named."""
    left, found = reply.casefold(), set()
    for option in sorted(options, key=len, reverse=True):
        if option.strip():
            left, count = re.subn(rf"(?<!\w){re.escape(option.casefold().strip())}(?!\w)", "\n", left)
            if count:
                found.add(option)
    return [option for option in options if option in found]


def score_choice(rotations: Sequence[Rotation], replies: Sequence[str | None]) -> Scored:
    """``circular``: the share of questions with every rotation right; ``vanilla``: of those asked in their first order.

    Both in 0..1, over all questions, by split, category (L3) and broad category (L2). Samples are questions. A reply of
    None is missing, and wrong. counts: ``missing``, ``unparseable`` and ``refused`` replies, and ``rotations``.
    """
    chosen = [
        None if reply is None else parse_choice(reply, rotation.options)
        for rotation, reply in zip(rotations, replies, strict=True)
    ]
    groups = _groups(rotations)
    firsts = [rotations[numbers[0]] for numbers in groups.values()]
    right = [[chosen[number] == rotations[number].answer for number in numbers] for numbers in groups.values()]
    vectors = np.array([[all(found), found[0], 1.0] for found in right], dtype=np.float64)
    parts = {
        "split": [first.split for first in firsts],
        "l2": [first.broad_category for first in firsts],
        "l3": [first.category for first in firsts],
    }
    contributions, metrics = with_parts(vectors, parts, summed_metrics)
    return Scored(
        "choice",
        list(groups),
        [first.image for first in firsts],
        {
            "question": [first.text for first in firsts],
            "answers": [[rotations[number].answer for number in numbers] for numbers in groups.values()],
            "replies": [[replies[number] for number in numbers] for numbers in groups.values()],
            "chosen": [[chosen[number] for number in numbers] for numbers in groups.values()],
            "circular": vectors[:, 0].tolist(),
            "vanilla": vectors[:, 1].tolist(),
        }
        | parts,
        contributions,
        metrics,
        {
            **reading_counts(replies, chosen),
            "refused": chosen.count(REFUSED),
            "rotations": len(rotations),
        },
    )


def summed_metrics(sums: Array) -> dict[str, Array]:
    """Summed [circular, vanilla, 1] to the metrics."""
    return {"circular": ratio(sums[..., 0], sums[..., 2]), "vanilla": ratio(sums[..., 1], sums[..., 2])}


def read_rotations(path: Path) -> list[Rotation]:
    """MMBench's table: index, question, A, B, …, answer, and category, l2-category, split where it has them.

    Rotations of a question are rows whose ``g_index``, or index modulo 1,000,000, is the same; their first is the one
    with the smallest index.
    """
    found = []
    for where, row in read_tab_separated(path):
        index = _index(row, where)
        options = {letter: row[letter] for letter in LETTERS if row.get(letter)}
        answer = get_text(row, ("answer",), where).strip()
        if answer not in options:
            raise UserError(f"{where}: answer {answer!r} is none of the options {', '.join(options)}")
        group = row.get("g_index") or str(index % _ROTATIONS)
        text, labels = row.get("question", ""), [row.get(name, "") for name in ("category", "l2-category", "split")]
        found.append((index, where, Rotation(str(index), group, group, text, options, answer, *labels)))
    found.sort(key=lambda one: one[0])
    return list(by_id((str(index), where, rotation) for index, where, rotation in found).values())


def read_choices(path: Path) -> dict[str, str]:
    """Replies by index: a table with the columns index and prediction, or JSON lines."""
    rows: Iterator[tuple[str, Row]] = read_tab_separated(path) if ".tsv" in path.suffixes else read_rows(path)
    names = ("prediction", *REPLY)
    return by_id(
        (get_id(row, ("index", "question_id", "id"), where), where, get_text(row, names, where)) for where, row in rows
    )


def score_files(references: Path, predictions: Path, allow_missing: bool = False) -> Scored:
    """MMBench and the like: multiple choice, circular and vanilla.

    References are MMBench's tsv (index, question, A, B, …, answer, category, l2-category); predictions a tsv with index
    and prediction, or JSON lines with index and text.
    """
    rotations = read_rotations(references)
    found = read_choices(predictions)
    ids = [rotation.id for rotation in rotations]
    replies = pair(ids, found, references, predictions, allow_missing=allow_missing)
    scored = score_choice(rotations, answers(replies))
    raw = [[replies[number] for number in numbers] for numbers in _groups(rotations).values()]
    counts = with_unfinished(scored.counts, unfinished(replies))
    return replace(scored, per_sample={**scored.per_sample, "replies": raw}, counts=counts)


def samples(task: str, source: "Source") -> Iterator[Sample]:
    """Pictures are in the table itself, as base64; a short value is the index of the row that has it."""
    path = source_file(task, source)
    images = {row["index"]: row.get("image", "") for _, row in read_tab_separated(path)}
    for one in read_rotations(path):
        found = images[one.id]
        found = images.get(found, found) or images.get(one.group, "")
        if not found:
            raise UserError(f"{path}: index {one.id} has no picture; the column image holds it as base64")
        options = "\n".join(f"{letter}. {text}" for letter, text in one.options.items())
        prompt = PROMPT.format(question=one.text, options=options)
        yield Sample(one.id, task, one.group, EncodedPicture(found), prompt, (one.answer,), one, one.category)


def judge(samples: Sequence[Sample], replies: Sequence[str | None], _: Coordinates) -> Judged:
    """A question adds to the sums with the first of its rotations."""
    chosen = [
        None if reply is None else parse_choice(reply, sample.truth.options)
        for reply, sample in zip(replies, samples, strict=True)
    ]
    right = [letter == sample.truth.answer for letter, sample in zip(chosen, samples, strict=True)]
    vectors = np.zeros((len(samples), 3))
    for numbers in _groups([sample.truth for sample in samples]).values():
        vectors[numbers[0]] = all(right[number] for number in numbers), right[numbers[0]], 1.0
    return Judged(chosen, [float(one) for one in right], vectors)


def _groups(rotations: Sequence[Rotation]) -> dict[str, list[int]]:
    """The places of each question's rotations."""
    groups: dict[str, list[int]] = defaultdict(list)
    for number, rotation in enumerate(rotations):
        groups[rotation.group].append(number)
    return groups


def _index(row: Row, where: str) -> int:
    try:
        return int(get_text(row, ("index",), where))
    except ValueError as error:
        raise UserError(f"{where}: index {row['index']!r} is not an integer") from error


def _by_letter(reply: str, options: Mapping[str, str]) -> str | None:
    if _FAILED in reply:
        return None
    if any(refusal in reply for refusal in _REFUSALS):
        return REFUSED
    words = reply.translate(_MARKS).split()
    letters = [letter for letter in options if letter in words]
    if len(letters) == 1 and words.index(letters[0]) > len(words) - 5:
        return letters[0]
    if not letters and REFUSED in words:
        return REFUSED
    match = _VERBOSE.search(reply)
    return match.group(1).upper() if match and match.group(1).upper() in options else None


def _by_text(reply: str, options: Mapping[str, str]) -> str | None:
    text = reply.lower()
    if len(text) > 2 * sum(map(len, options.values())):
        return None
    found = [letter for letter, option in options.items() if option.lower() in text]
    return found[0] if len(found) == 1 else None


TASK = Task(
    "choice",
    "Multiple choice",
    "Right in every order of the options (circular), and in their first order (vanilla).",
    "circular",
    samples,
    judge,
    summed_metrics,
    score_files,
    by_picture=True,
)
