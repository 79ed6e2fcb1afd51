"""Attributes of a person: yes/no answers about many attributes of each picture, as of CelebA's 40 or HumanHQ's."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from humanvlm.evaluate.stats.parts import ratio
from humanvlm.evaluate.stats.scored import Array, Scored

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


def balanced_accuracy(correct: Sequence[float], answers: Sequence[str]) -> float:
    """Mean of the accuracies on the samples of each true answer, in 0..1: always saying "yes" scores one half."""
    classes = sorted(set(answers))
    per_class = [
        [value for value, answer in zip(correct, answers, strict=True) if answer == label] for label in classes
    ]
    return sum(sum(values) / len(values) for values in per_class) / len(classes) if classes else 0.0


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
