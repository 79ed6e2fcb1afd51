"""What ImageNet labels may be called in a caption: sums of the probabilities of the labels that mean the same."""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files

import numpy as np
import numpy.typing as npt
import yaml

from humanvlm.data.facts import Guess

LABELS = 1000  # of ImageNet


@cache
def vocabulary() -> Mapping[str, Mapping[str, npt.NDArray[np.intp]]]:
    """Kind (settings, objects, garments, eyewear) -> words -> numbers of ImageNet labels."""
    text = files("humanvlm.caption.facts").joinpath("labels.yaml").read_text(encoding="utf-8")
    return {
        kind: {words: np.array(numbers_of(labels), dtype=np.intp) for words, labels in entries.items()}
        for kind, entries in yaml.safe_load(text).items()
    }


def numbers_of(labels: Sequence[int | str]) -> list[int]:
    """Label numbers of a list such as ``[3, "7-9"]``."""
    numbers: list[int] = []
    for label in labels:
        first, _, last = str(label).partition("-")
        numbers.extend(range(int(first), int(last or first) + 1))
    return numbers


def sums(kind: str, probabilities: npt.NDArray[np.float32]) -> dict[str, float]:
    """The probability of all labels of each of a kind's words. probabilities: [1000]."""
    return dict(zip(vocabulary()[kind], (_meant(kind) @ probabilities).tolist(), strict=True))


@cache
def _meant(kind: str) -> npt.NDArray[np.float32]:
    """[words, 1000]: 1 where a label has one of the kind's words. A product takes a twentieth of the sums' time."""
    entries = vocabulary()[kind].values()
    meant = np.zeros((len(entries), LABELS), dtype=np.float32)
    for row, numbers in zip(meant, entries, strict=True):
        row[numbers] = 1
    return meant


def best_guess(kind: str, probabilities: npt.NDArray[np.float32]) -> Guess:
    """The likeliest words of a kind. probabilities: [1000], as ``attributes.label_probabilities`` gives them."""
    found = sums(kind, probabilities)
    words = max(found, key=found.__getitem__)
    return Guess(words, round(min(found[words], 1.0), 3))
