"""BLEU-1 to 4 with coco-caption's semantics (Papineni et al. 2002): clipped counts, closest reference length."""

import numpy as np
from numpy.typing import NDArray

from humanvlm.evaluate.metrics.ngrams import MAX_N, Corpus

Array = NDArray[np.float64]
# coco-caption's smoothing: keeps the product defined when an order has no match.
_TINY, _SMALL = 1e-15, 1e-9


def bleu_counts(corpus: Corpus) -> Array:
    """The contributions of pictures: [length, closest reference length, possible n-grams x4, matched n-grams x4].

    Contributions add up, so any sample of pictures (a bootstrap's too) is scored by their sum. Of two reference lengths
    that are equally close the shorter counts.
    """
    length = corpus.sizes[corpus.candidate]
    possible = np.maximum(length[:, None] - np.arange(MAX_N), 0)
    return np.column_stack([length, _closest(corpus, length), possible, _matched(corpus)]).astype(np.float64)


def bleu(counts: Array) -> Array:
    """BLEU-1..4 of summed contributions: counts (..., 10) to scores (..., 4), each in 0..1."""
    length, closest = counts[..., 0:1], counts[..., 1:2]
    possible, matched = counts[..., 2 : 2 + MAX_N], counts[..., 2 + MAX_N :]
    precision = np.cumprod((matched + _TINY) / (possible + _SMALL), axis=-1) ** (1 / np.arange(1, MAX_N + 1))
    ratio = (length + _TINY) / (closest + _SMALL)
    score: Array = precision * np.exp(np.minimum(0.0, 1.0 - 1.0 / ratio))
    return score


def _closest(corpus: Corpus, length: NDArray[np.int64]) -> NDArray[np.int64]:
    size = corpus.sizes[corpus.reference]
    order = np.lexsort((size, np.abs(size - length[corpus.picture]), corpus.picture))
    _, first = np.unique(corpus.picture[order], return_index=True)
    return size[order[first]]


def _matched(corpus: Corpus) -> NDArray[np.int64]:
    """For each picture and order, how many n-grams of the candidate are in a reference, each at most as often."""
    shared = corpus.shared
    picture, gram = corpus.picture[shared.pair], corpus.grams[shared.candidate]
    clipped = np.minimum(corpus.counts[shared.candidate], corpus.counts[shared.reference])
    order = np.lexsort((clipped, gram, picture))
    picture, gram, clipped = picture[order], gram[order], clipped[order]
    last = np.append((np.diff(picture) != 0) | (np.diff(gram) != 0), True)[: len(gram)]  # the reference with most
    cell = picture[last] * MAX_N + corpus.order[gram[last]] - 1
    sums = np.bincount(cell, weights=clipped[last], minlength=corpus.pictures * MAX_N)
    return sums.astype(np.int64).reshape(-1, MAX_N)
