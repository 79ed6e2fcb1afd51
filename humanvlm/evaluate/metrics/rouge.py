"""ROUGE-L as coco-caption computes it (Lin 2004): best precision and best recall over a picture's references."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

BETA = 1.2


def rouge_l(candidates: Sequence[Sequence[str]], references: Sequence[Sequence[Sequence[str]]]) -> NDArray[np.float64]:
    """The F-measure of each picture, in 0..1. The corpus score is the mean over pictures.

    As in the reference a text without words is one empty word, so an empty candidate fits an empty reference.
    """
    scores = []
    for candidate, group in zip(candidates, references, strict=True):
        words = candidate or ("",)
        places = _places(words)
        precision = recall = 0.0
        for reference in group:
            common = _common(places, len(words), reference or ("",))
            precision = max(precision, common / len(words))
            recall = max(recall, common / max(len(reference), 1))
        both = precision > 0 and recall > 0
        scores.append((1 + BETA**2) * precision * recall / (recall + BETA**2 * precision) if both else 0.0)
    return np.array(scores, dtype=np.float64)


def longest_common(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest common subsequence of two token lists."""
    return _common(_places(first), len(first), second)


def _places(tokens: Sequence[str]) -> dict[str, int]:
    """Where each token is, as bits."""
    places: dict[str, int] = {}
    for place, token in enumerate(tokens):
        places[token] = places.get(token, 0) | 1 << place
    return places


def _common(places: Mapping[str, int], size: int, tokens: Sequence[str]) -> int:
    """The longest common subsequence of a list of ``size`` tokens with another, bit-parallel (Hyyro 2004)."""
    open_places = everything = (1 << size) - 1
    for token in tokens:
        if token in places:
            met = open_places & places[token]
            open_places = (open_places + met) | (open_places - met)
    return (~open_places & everything).bit_count()
