"""Multiple choice with circular evaluation, as MMBench does it (Liu et al. 2023).

A question is asked once for each rotation of its options and counts only when every rotation is answered right. Letters
are taken from replies as VLMEvalKit's exact matching does (``matching_util.py``): a lone letter among the last words,
else the only option whose text is in a short enough reply. What cannot be read is wrong; no model is asked to judge.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from humanvlm.evaluate.stats.parts import ratio, with_parts
from humanvlm.evaluate.stats.scored import Array, Scored

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


def score_choice(rotations: Sequence[Rotation], replies: Sequence[str | None]) -> Scored:
    """``circular``: the share of questions with every rotation right; ``vanilla``: of those asked in their first order.

    Both in 0..1, over all questions, by split, category (L3) and broad category (L2). Samples are questions. A reply of
    None is missing, and wrong. counts: ``missing``, ``unparseable`` and ``refused`` replies, and ``rotations``.
    """
    chosen = [
        None if reply is None else parse_choice(reply, rotation.options)
        for rotation, reply in zip(rotations, replies, strict=True)
    ]
    groups: dict[str, list[int]] = defaultdict(list)
    for number, rotation in enumerate(rotations):
        groups[rotation.group].append(number)
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
            "missing": sum(reply is None for reply in replies),
            "unparseable": sum(
                reply is not None and letter is None for reply, letter in zip(replies, chosen, strict=True)
            ),
            "refused": chosen.count(REFUSED),
            "rotations": len(rotations),
        },
    )


def summed_metrics(sums: Array) -> dict[str, Array]:
    """Summed [circular, vanilla, 1] to the metrics."""
    return {"circular": ratio(sums[..., 0], sums[..., 2]), "vanilla": ratio(sums[..., 1], sums[..., 2])}


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
