"""POPE: does a model see objects that are not there? (Li et al. 2023)

Answers are read as the official ``evaluate.py`` reads them: of the first sentence, without commas, the words between
blanks; "No", "no" or "not" among them is a no, and everything else is a yes.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from humanvlm.evaluate.stats.parts import ratio, with_parts
from humanvlm.evaluate.stats.scored import Array, Scored

_NO = frozenset(("No", "not", "no"))
_ANY = re.compile(r"\b(?:yes|no|not)\b", re.I)


@dataclass(frozen=True)
class Probe:
    """A yes/no question. part: random, popular or adversarial."""

    id: str
    image: str
    text: str
    positive: bool
    part: str = ""


def says_yes(reply: str) -> bool:
    """The official reading, its quirks included: "NO" is a yes, as is an empty reply."""
    return _NO.isdisjoint(reply.split(".")[0].replace(",", "").split(" "))


def is_answer(reply: str) -> bool:
    """Whether a reply holds yes, no or not, in any case; the official reading takes all others for a yes."""
    return bool(_ANY.search(reply))


def score_pope(probes: Sequence[Probe], replies: Sequence[str | None]) -> Scored:
    """Accuracy, precision, recall, F1 of "yes", and the share of yes; in 0..1, over all probes and by part.

    A reply of None is missing, and wrong. counts: ``missing``, and ``unparseable``, replies that hold neither yes nor
    no nor not, in any case, which the official reading takes for a yes.
    """
    said = [
        not probe.positive if reply is None else says_yes(reply) for probe, reply in zip(probes, replies, strict=True)
    ]
    yes, positive = np.array(said, dtype=bool), np.array([probe.positive for probe in probes], dtype=bool)
    vectors = np.column_stack([yes & positive, yes & ~positive, ~yes & ~positive, ~yes & positive]).astype(np.float64)
    contributions, metrics = with_parts(vectors, {"split": [probe.part for probe in probes]}, summed_metrics)
    return Scored(
        "pope",
        [probe.id for probe in probes],
        [probe.image for probe in probes],
        {
            "question": [probe.text for probe in probes],
            "split": [probe.part for probe in probes],
            "label": ["yes" if probe.positive else "no" for probe in probes],
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
