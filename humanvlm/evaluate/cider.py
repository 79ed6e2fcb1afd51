"""CIDEr as pycocoevalcap computes it (Vedantam et al. 2015; the clipped, length-penalised CIDEr-D with sigma 6).

The score of a picture depends on the corpus through the document frequencies, so they are a value of their own: made
once from the references of a benchmark, then pinned. Scores with other frequencies cannot be compared or averaged.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from humanvlm.evaluate.bleu import MAX_N, ngrams

SIGMA = 6.0
Ngram = tuple[str, ...]


@dataclass(frozen=True)
class Frequencies:
    """In how many pictures' references each n-gram occurs, of how many pictures."""

    pictures: int
    counts: Mapping[Ngram, int]


@dataclass(frozen=True)
class _Vector:
    weights: Sequence[Mapping[Ngram, float]]
    norms: Sequence[float]
    length: int


def frequencies(corpus: Iterable[Sequence[Sequence[str]]]) -> Frequencies:
    """Document frequencies of a benchmark: for each picture, the tokens of its references."""
    counts: Counter[Ngram] = Counter()
    pictures = 0
    for references in corpus:
        pictures += 1
        counts.update({ngram for tokens in references for n in range(1, MAX_N + 1) for ngram in ngrams(tokens, n)})
    return Frequencies(pictures, counts)


def cider(candidate: Sequence[str], references: Sequence[Sequence[str]], idf: Frequencies) -> float:
    """The score of one picture, in 0..10. The corpus score is the mean over pictures."""
    hypothesis = _vector(candidate, idf)
    return 10.0 * sum(_similarity(hypothesis, _vector(tokens, idf)) for tokens in references) / len(references)


def _vector(tokens: Sequence[str], idf: Frequencies) -> _Vector:
    log_pictures = math.log(max(idf.pictures, 1))
    weights = [
        {
            ngram: count * (log_pictures - math.log(max(1, idf.counts.get(ngram, 0))))
            for ngram, count in ngrams(tokens, n).items()
        }
        for n in range(1, MAX_N + 1)
    ]
    norms = [math.sqrt(sum(weight**2 for weight in order.values())) for order in weights]
    # The reference implementation measures length in bigrams.
    return _Vector(weights, norms, max(0, len(tokens) - 1))


def _similarity(hypothesis: _Vector, reference: _Vector) -> float:
    penalty = math.exp(-((hypothesis.length - reference.length) ** 2) / (2 * SIGMA**2))
    total = 0.0
    for order, other, norm, other_norm in zip(
        hypothesis.weights, reference.weights, hypothesis.norms, reference.norms, strict=True
    ):
        if norm and other_norm:
            product = sum(min(weight, other[ngram]) * other[ngram] for ngram, weight in order.items() if ngram in other)
            total += product / (norm * other_norm)
    return penalty * total / MAX_N
