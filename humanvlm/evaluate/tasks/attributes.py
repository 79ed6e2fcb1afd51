"""Attributes of a person: yes/no answers about many attributes of each picture, as of CelebA's 40 or HumanHQ's."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from humanvlm.data.prompts import YES_NO
from humanvlm.errors import UserError
from humanvlm.evaluate.files import Row, by_id, get, get_id, get_text, open_text, pair, read_rows
from humanvlm.evaluate.stats.parts import ratio
from humanvlm.evaluate.stats.scored import Array, Scored
from humanvlm.evaluate.tasks.base import Coordinates, Judged, Sample, Task, own_sample, source_file
from humanvlm.evaluate.tasks.pictures import source_picture
from humanvlm.evaluate.tasks.replies import REPLY
from humanvlm.inference.replies import final_answer

if TYPE_CHECKING:
    from humanvlm.config.benchmark_scores import Source

LABEL_PROMPT = "Does this fit the person in the picture: {label}? Answer yes or no."

_ANSWER = re.compile(r"\b(yes|no)\b")
_SIGNS = {"1": True, "-1": False, "0": False, "true": True, "false": False}


@dataclass(frozen=True)
class Labels:
    """A picture and its attributes; one that is not in ``present`` is unknown, and not asked about."""

    id: str
    present: Mapping[str, bool]


def parse_answer(reply: str) -> str | None:
    """ "yes" or "no", whichever word the reply has; None when it has neither, or both and starts with neither."""
    text = reply.strip().lower()
    if starts := _ANSWER.match(text):
        return starts.group()
    found = set(_ANSWER.findall(text))
    return found.pop() if len(found) == 1 else None


def read_presence(value: str | bool | int | float) -> bool | None:
    """An answer about one attribute: a reply with yes or no, a truth value, or CelebA's 1 and -1; None: unreadable."""
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if text in _SIGNS:
        return _SIGNS[text]
    answer = parse_answer(text)
    return None if answer is None else answer == "yes"


def score_attributes(
    names: Sequence[str], truths: Sequence[Labels], answers: Sequence[Mapping[str, bool | None]]
) -> Scored:
    """Accuracy, balanced accuracy and F1 of "present" of each attribute, and their means over attributes; in 0..1.

    answers: one mapping a picture, attribute to what was read from the reply, None when nothing could be. An answer
    that is missing or unreadable is wrong. Of an attribute that all pictures have, or none, balanced accuracy is that
    of the only class, and F1 is 0 when it is absent throughout. counts: ``missing``, ``unparseable``, ``answers``.
    """
    vectors = np.zeros((len(truths), len(names), 4))
    missing = unparseable = asked = 0
    shares = []
    for row, (truth, said) in enumerate(zip(truths, answers, strict=True)):
        right = 0
        for column, name in enumerate(names):
            if name not in truth.present:
                continue
            present, answer = truth.present[name], said.get(name)
            missing += name not in said
            unparseable += name in said and answer is None
            right += answer == present
            vectors[row, column, 2 * (not present) + (answer != present)] = 1.0
        shares.append(right / len(truth.present) if truth.present else 0.0)
        asked += len(truth.present)

    def metrics(sums: Array) -> dict[str, Array]:
        return _metrics(sums.reshape(*sums.shape[:-1], len(names), 4), names)

    return Scored(
        "attributes",
        [truth.id for truth in truths],
        [truth.id for truth in truths],
        {"share_right": shares, "wrong": [_wrong(truth, said) for truth, said in zip(truths, answers, strict=True)]},
        vectors.reshape(len(truths), -1),
        metrics,
        {"missing": missing, "unparseable": unparseable, "answers": asked, "attributes": len(names)},
    )


def read_labels(path: Path) -> tuple[list[str], list[Labels], int | None]:
    """Attributes of pictures, their names, and how many pictures the first line promises (CelebA's may be wrong).

    Either CelebA's ``list_attr_celeba.txt`` (the number of pictures, the names, then a picture and 1 or -1 a line), or
    JSON lines with id (or image) and ``attributes``, name to truth value or 1, -1.
    """
    with open_text(path) as file:
        first = file.readline().strip()
        if not first.isdecimal():
            return *_label_rows(path), None
        names = file.readline().split()
        found = []
        for number, line in enumerate(file, 3):
            image, *values = line.split() or [""]
            where = f"{path}:{number}"
            if not image:
                continue
            if len(values) != len(names) or not set(values) <= {"1", "-1"}:
                raise UserError(f"{where}: {len(names)} values, each 1 or -1, are expected after the picture's name")
            present = {name: value == "1" for name, value in zip(names, values, strict=True)}
            found.append((image, where, Labels(image, present)))
    return names, list(by_id(found).values()), int(first)


def read_presences(path: Path) -> tuple[dict[str, dict[str, bool | None]], int]:
    """Answers about attributes by picture: a file as of ``read_labels``, or JSON lines with id, ``attribute``, reply;
    and how many thoughts never ended. What is no yes and no no is None."""
    with open_text(path) as file:
        if file.readline().strip().isdecimal():
            return {labels.id: dict(labels.present) for labels in read_labels(path)[1]}, 0
    found: dict[str, dict[str, bool | None]] = {}
    thoughts = 0
    for where, row in read_rows(path):
        image = get_id(row, ("id", "image"), where)
        said = row.get("attributes")
        if said is None:
            said = {get_text(row, ("attribute",), where): get_text(row, REPLY, where)}
        for name, value in _attributes(said, where).items():
            if name in found.setdefault(image, {}):
                raise UserError(f"{where}: {name} of {image} is there twice")
            answer = final_answer(value) if isinstance(value, str) else None
            thoughts += answer is not None and answer.unfinished
            given = answer.text if answer else value
            found[image][name] = None if given is None else read_presence(given)
    return found, thoughts


def score_files(references: Path, predictions: Path, allow_missing: bool = False) -> Scored:
    """CelebA, HumanHQ: accuracy, balanced accuracy and F1 of each attribute, and their means.

    References are CelebA's list_attr file or JSON lines with id and attributes (name to true or false); predictions
    either of these, or JSON lines with id, attribute and text.
    """
    names, truths, promised = read_labels(references)
    found, thoughts = read_presences(predictions)
    said = pair([truth.id for truth in truths], found, references, predictions, allow_missing=allow_missing)
    for truth, answers in zip(truths, said, strict=True):
        _check_names(truth.id, names, truth.present, answers or {}, references, predictions, allow_missing)
    scored = score_attributes(names, truths, [answers or {} for answers in said])
    unlike = 0 if promised is None else abs(promised - len(truths))
    ended = {"unfinished_thought": thoughts} if thoughts else {}
    return replace(scored, counts={**scored.counts, **ended, "header_off_by": unlike})


def samples(task: str, source: "Source") -> Iterator[Sample]:
    names, labels, _ = read_labels(source_file(task, source))
    for one in labels:
        picture = source_picture(task, source, one.id, {"image": one.id})
        for name in names:
            if name in one.present:
                prompt = LABEL_PROMPT.format(label=name.replace("_", " ").lower())
                answer = "yes" if one.present[name] else "no"
                yield Sample(f"{one.id} {name}", task, one.id, picture, prompt, (answer,), part=name)


def sample(row: Row, folder: Path) -> Sample:
    if row["answer"] not in ("yes", "no"):
        raise ValueError(f"answer {row['answer']!r} is neither yes nor no")
    prompt = YES_NO.format(question=row["question"])
    return own_sample(row, folder, "attributes", prompt, [row["answer"]], part=str(row["attribute"]))


def judge(samples: Sequence[Sample], replies: Sequence[str | None], _: Coordinates) -> Judged:
    """A sample is a question about one attribute, its ``part``; vectors have a block of five for each attribute."""
    said = [parse_answer(reply or "") for reply in replies]
    names = sorted({sample.part for sample in samples})
    place = {name: number for number, name in enumerate(names)}
    vectors = np.zeros((len(samples), len(names), 5))
    for row, (sample, answer) in enumerate(zip(samples, said, strict=True)):
        present, right = sample.references[0] == "yes", answer == sample.references[0]
        vectors[row, place[sample.part], 2 * (not present) + (not right)] = 1.0
        vectors[row, place[sample.part], 4] = answer is None
    scores = [float(answer == sample.references[0]) for answer, sample in zip(said, samples, strict=True)]
    return Judged(said, scores, vectors.reshape(len(samples), -1))


def judged_metrics(sums: Array) -> dict[str, Array]:
    """Means over attributes, as of ``score_attributes``, and the share of all replies that could not be read; each
    attribute by itself is a part of the task."""
    blocks = sums.reshape(*sums.shape[:-1], -1, 5)
    found = _metrics(blocks[..., :4], [str(number) for number in range(blocks.shape[-2])])
    unread = ratio(blocks[..., 4].sum(axis=-1), blocks[..., :4].sum(axis=(-2, -1)))
    return {name: value for name, value in found.items() if "[" not in name} | {"unparseable": unread}


def _check_names(
    image: str,
    names: Sequence[str],
    present: Mapping[str, bool],
    answers: Mapping[str, bool | None],
    references: Path,
    predictions: Path,
    allow_missing: bool,
) -> None:
    known = set(names)
    if extra := next((name for name in answers if name not in known), None):
        raise UserError(f"{predictions}: {image} has the attribute {extra}, which is not in {references}")
    if not allow_missing and (absent := next((name for name in present if name not in answers), None)):
        raise UserError(
            f"{predictions}: no answer about {absent} of {image} of {references}; --allow-missing scores it as wrong"
        )


def _label_rows(path: Path) -> tuple[list[str], list[Labels]]:
    found = []
    names: dict[str, None] = {}
    for where, row in read_rows(path):
        image = get_id(row, ("id", "image"), where)
        present = {}
        for name, value in _attributes(get(row, ("attributes",), where), where).items():
            if value is None:
                continue
            known = read_presence(value)
            if known is None:
                raise UserError(f"{where}: {name} is {value!r}; true or false is expected")
            present[name] = known
        names |= dict.fromkeys(present)
        found.append((image, where, Labels(image, present)))
    return list(names), list(by_id(found).values())


def _attributes(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict) or not all(
        one is None or isinstance(one, str | bool | int | float) for one in value.values()
    ):
        raise UserError(f"{where}: attributes is not an object of names and answers")
    return value


def _wrong(truth: Labels, said: Mapping[str, bool | None]) -> list[str]:
    return [name for name, present in truth.present.items() if said.get(name) != present]


def _metrics(sums: Array, names: Sequence[str]) -> dict[str, Array]:
    hit, miss, rejection, alarm = np.moveaxis(sums, -1, 0)  # of pictures with the attribute: said so, or not; without
    accuracy = ratio(hit + rejection, hit + miss + rejection + alarm)
    recalls = np.stack([ratio(hit, hit + miss), ratio(rejection, rejection + alarm)])
    known = ~np.isnan(recalls)
    balanced = ratio(np.where(known, recalls, 0.0).sum(axis=0), known.sum(axis=0))
    f1 = 2 * hit / np.maximum(2 * hit + miss + alarm, 1)
    f1 = np.where(np.isnan(accuracy), np.nan, f1)
    named = {"accuracy": accuracy, "balanced_accuracy": balanced, "f1": f1}
    return {name: _mean(values) for name, values in named.items()} | {
        f"{metric}[attribute={name}]": values[..., place]
        for metric, values in named.items()
        for place, name in enumerate(names)
    }


def _mean(values: Array) -> Array:
    """Over the attributes that occur."""
    known = ~np.isnan(values)
    return ratio(np.where(known, values, 0.0).sum(axis=-1), known.sum(axis=-1))


TASK = Task(
    "attributes",
    "Attributes",
    "Yes/no questions about how a person appears; scores are means over attributes.",
    "balanced_accuracy",
    samples,
    judge,
    judged_metrics,
    score_files,
    sample=sample,
    yes_no=True,
)
