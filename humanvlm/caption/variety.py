"""How varied texts are, of a sample: each figure depends on how many texts are looked at, and on nothing else."""

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import islice, pairwise

import numpy as np

MOST_N = 4
# As coco-caption smooths BLEU: the product stays defined when an order has no match.
TINY, SMALL = 1e-15, 1e-9


def words_of(text: str) -> list[str]:
    """Lower-case words: letters and figures, with apostrophes and hyphens inside."""
    return re.findall(r"\w+(?:['’-]\w+)*", text.lower())


def variety(texts: Sequence[str], skeleton: Callable[[str], str]) -> dict[str, float]:
    """Figures of a sample of texts; none of an empty one.

    vocabulary: different words. distinct_1, distinct_2: different words and pairs by all of them (Li et al. 2016).
    self_bleu: mean BLEU-4 of each text against all others (Zhu et al. 2018). skeletons: texts that differ in more than
    what ``skeleton`` leaves out, by all texts; commonest_skeleton: share of the one that most texts have.
    """
    lines = [words for text in texts if (words := words_of(text))]
    if not lines:
        return {}
    singles = Counter(word for line in lines for word in line)
    pairs = Counter(pair for line in lines for pair in pairwise(line))
    shapes = Counter(map(skeleton, texts))
    return {
        "vocabulary": len(singles),
        "distinct_1": round(len(singles) / singles.total(), 4),
        "distinct_2": round(len(pairs) / max(pairs.total(), 1), 4),
        **({"self_bleu": round(self_bleu(lines), 4)} if len(lines) > 1 else {}),
        "skeletons": round(len(shapes) / len(texts), 4),
        "commonest_skeleton": round(max(shapes.values()) / len(texts), 4),
    }


def self_bleu(lines: Sequence[Sequence[str]]) -> float:
    """Mean BLEU-4 of each line of words against all others, two lines at least; 0..1, 1 where all are the same.

    Of each n-gram the two lines that have most of it are kept, so no pair of lines is compared.
    """
    most: dict[tuple[str, ...], tuple[int, int, int]] = {}  # n-gram: most in a line, that line, most in another
    counted = [Counter(_grams(line)) for line in lines]
    for number, grams in enumerate(counted):
        for gram, count in grams.items():
            first, owner, second = most.get(gram, (0, -1, 0))
            most[gram] = (count, number, first) if count > first else (first, owner, max(second, count))
    lengths = sorted(map(len, lines))
    scores = []
    for number, (line, grams) in enumerate(zip(lines, counted, strict=True)):
        matched = np.zeros(MOST_N)
        for gram, count in grams.items():
            first, owner, second = most[gram]
            matched[len(gram) - 1] += min(count, second if owner == number else first)
        possible = np.maximum(len(line) - np.arange(MOST_N), 0)
        precision = np.prod((matched + TINY) / (possible + SMALL)) ** (1 / MOST_N)
        ratio = (len(line) + TINY) / (_closest(lengths, len(line)) + SMALL)
        scores.append(precision * np.exp(min(0.0, 1.0 - 1.0 / ratio)))
    return float(np.mean(scores))


def _grams(line: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for n in range(1, MOST_N + 1):
        yield from zip(*(islice(line, start, None) for start in range(n)), strict=False)


def _closest(lengths: Sequence[int], own: int) -> int:
    """The length closest to ``own`` among the others, which are sorted and include it; of two the shorter."""
    place = bisect_left(lengths, own)
    others = [*lengths[max(place - 1, 0) : place], *lengths[place + 1 : place + 2]]
    return min(others, key=lambda length: (abs(length - own), length))
