"""ROUGE-L as coco-caption computes it (Lin 2004): best precision and best recall over a picture's references."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BETA = 1.2


def rouge_l(candidates: Sequence[Sequence[str]], references: Sequence[Sequence[Sequence[str]]]) -> NDArray[np.float64]:
    """The F-measure of each picture, in 0..1. The corpus score is the mean over pictures.

    As in the reference a text without words is one empty word, so an empty candidate fits an empty reference.
    """
    known: dict[tuple[tuple[str, ...], tuple[str, ...]], tuple[float, float]] = {}
    scores = []
    for candidate, group in zip(candidates, references, strict=True):
        words = tuple(candidate) or ("",)
        best = [0.0, 0.0]
        for reference in group:
            pair = words, tuple(reference) or ("",)
            if pair not in known:
                common = longest_common(*pair)
                known[pair] = common / len(pair[0]), common / len(pair[1])
            best = [max(best[0], known[pair][0]), max(best[1], known[pair][1])]
        precision, recall = best
        both = precision > 0 and recall > 0
        scores.append((1 + BETA**2) * precision * recall / (recall + BETA**2 * precision) if both else 0.0)
    return np.array(scores, dtype=np.float64)


def longest_common(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest common subsequence of two token lists, bit-parallel (Hyyro 2004)."""
    places: dict[str, int] = {}
    for place, token in enumerate(first):
        places[token] = places.get(token, 0) | 1 << place
    everything = (1 << len(first)) - 1
    open_places = everything
    for token in second:
        if token in places:
            met = open_places & places[token]
            open_places = (open_places + met) | (open_places - met)
    return (~open_places & everything).bit_count()
