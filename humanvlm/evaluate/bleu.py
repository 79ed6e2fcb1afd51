"""BLEU-1 to 4 with coco-caption's semantics (Papineni et al. 2002): clipped counts, closest reference length."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MAX_N = 4
# coco-caption's smoothing: keeps the product defined when an order has no match.
_TINY, _SMALL = 1e-15, 1e-9


def ngrams(tokens: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    """How often each n-gram of one order occurs."""
    return Counter(zip(*(tokens[start:] for start in range(n)), strict=False))


def bleu_counts(candidate: Sequence[str], references: Sequence[Sequence[str]]) -> NDArray[np.float64]:
    """The contribution of one picture: [length, closest reference length, possible n-grams x4, matched n-grams x4].

    Contributions add up, so any sample of pictures (a bootstrap's too) is scored by their sum.
    """
    length = len(candidate)
    closest = min((abs(len(reference) - length), len(reference)) for reference in references)[1]
    matched = []
    for n in range(1, MAX_N + 1):
        most: Counter[tuple[str, ...]] = Counter()
        for reference in references:
            most |= ngrams(reference, n)
        matched.append(sum((ngrams(candidate, n) & most).values()))
    possible = [max(0, length - n + 1) for n in range(1, MAX_N + 1)]
    return np.array([length, closest, *possible, *matched], dtype=np.float64)


def bleu(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """BLEU-1..4 of summed contributions: counts (..., 10) to scores (..., 4), each in 0..1."""
    length, closest = counts[..., 0:1], counts[..., 1:2]
    possible, matched = counts[..., 2 : 2 + MAX_N], counts[..., 2 + MAX_N :]
    precision = np.cumprod((matched + _TINY) / (possible + _SMALL), axis=-1) ** (1 / np.arange(1, MAX_N + 1))
    ratio = (length + _TINY) / (closest + _SMALL)
    score: NDArray[np.float64] = precision * np.exp(np.minimum(0.0, 1.0 - 1.0 / ratio))
    return score
