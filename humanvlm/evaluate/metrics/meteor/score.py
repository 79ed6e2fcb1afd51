"""METEOR 1.5 (Denkowski & Lavie 2014) as coco-caption runs it (``-l en -norm -stdio``), without Java.

Each candidate is aligned to each reference; the best reference counts, and a corpus is scored from the summed
statistics of the pictures, not from the mean of their scores. Words match exactly, by stem, as WordNet synonyms, and as
paraphrases of up to seven words; function words weigh less than others; a penalty grows with the number of pieces in
which the words match.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import chain, pairwise
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray

from humanvlm.evaluate.metrics.meteor.align import Step, align, listed
from humanvlm.evaluate.metrics.meteor.matches import EXACT, Matches, Texts, find_matches
from humanvlm.evaluate.metrics.meteor.tables import Resources, installed
from humanvlm.evaluate.metrics.meteor.words import normalise
from humanvlm.evaluate.metrics.ngrams import numbered

__all__ = ["installed", "meteor", "meteor_statistics", "started", "summable"]
Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
ALPHA, BETA, GAMMA, DELTA = 0.85, 0.2, 0.6, 0.75
WEIGHTS = np.array([1.0, 0.6, 0.8, 0.6])
# The columns of a picture's statistics: words and function words of candidate and reference; for each kind of match
# content and function words of both; chunks; all matched words of both.
STATISTICS = 4 + 4 * 4 + 3
MANY = 2000  # pictures from which on a second process is worth its start


def meteor_statistics(
    candidates: Sequence[str], references: Sequence[Sequence[str]], resources: Resources | None = None
) -> Array:
    """The statistics of each picture's best reference, (pictures, STATISTICS). Texts are tokens joined by blanks.

    Of references with equal scores the first counts. ``resources`` are what is installed when not given.
    """
    data = resources or installed()
    texts, text = numbered([*candidates, *chain.from_iterable(references)])
    picture = np.repeat(np.arange(len(references)), [len(group) for group in references])
    lines = [normalise(line, data.words.prefixes) for line in texts]
    # Each pair of texts is aligned once.
    pairs = text[picture] * len(texts) + text[len(candidates) :]
    distinct, inverse = np.unique(pairs, return_inverse=True)
    statistics = _statistics(lines, distinct // max(len(texts), 1), distinct % max(len(texts), 1), data)
    found: Array = statistics[inverse[_best(meteor(statistics)[inverse], picture)]]
    return found


def started(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> Callable[[], Array]:
    """``meteor_statistics``; of many pictures, most in a second process that starts at once.

    The returned function, to be called once, does the rest and gives all.
    """
    cut = len(candidates) * 2 // 3
    if len(candidates) < MANY:
        return partial(meteor_statistics, candidates, references)
    pool = ProcessPoolExecutor(1, get_context("spawn"))
    most = pool.submit(meteor_statistics, candidates[:cut], references[:cut])

    def finished() -> Array:
        with pool:
            rest = meteor_statistics(candidates[cut:], references[cut:])
            return np.concatenate([most.result(), rest])

    return finished


def meteor(statistics: Array) -> Array:
    """Scores of statistics, of one picture or summed: (..., STATISTICS) to (...), each in 0..1."""
    lengths, functions = statistics[..., 0:2], statistics[..., 2:4]
    matched = statistics[..., 4:20].reshape(*statistics.shape[:-1], 4, 2, 2)  # kind, content or function, side
    count, words = statistics[..., 20], statistics[..., 21:23]
    share = np.array([DELTA, 1.0 - DELTA])
    with np.errstate(divide="ignore", invalid="ignore"):
        weighted = np.einsum("...kcs,k,c->...s", matched, WEIGHTS, share)
        precision, recall = np.moveaxis(weighted / (DELTA * (lengths - functions) + (1.0 - DELTA) * functions), -1, 0)
        mean = 1.0 / ((1.0 - ALPHA) / precision + ALPHA / recall)
        whole = (words == lengths).all(axis=-1) & (count == 1)
        pieces = np.where(whole, 0.0, count / (words.sum(axis=-1) / 2))
        score: Array = np.maximum(np.nan_to_num(mean * (1.0 - GAMMA * pieces**BETA), nan=0.0), 0.0)
    return score


def summable(statistics: Array) -> Array:
    """Statistics as the corpus adds them up: a picture whose words all match in one piece adds no chunk."""
    whole = (statistics[:, 21:23] == statistics[:, 0:2]).all(axis=-1) & (statistics[:, 20] == 1)
    added = statistics.copy()
    added[whole, 20] = 0
    return added


def _best(scores: Array, picture: NDArray[np.int64]) -> NDArray[np.int64]:
    """The row of each picture's first highest score."""
    order = np.lexsort((np.arange(len(scores)), -scores, picture))
    _, first = np.unique(picture[order], return_index=True)
    return order[first]


def _statistics(lines: Sequence[Sequence[str]], candidate: Ints, reference: Ints, data: Resources) -> Array:
    """The statistics of pairs of lines."""
    texts = Texts.of(lines)
    found = find_matches(texts, candidate, reference, data.synonyms, data.paraphrases)
    sizes, begin = np.diff(texts.starts), texts.starts[:-1]
    chosen = _aligned(found, sizes[candidate], sizes[reference])
    function = np.array([word in data.words.function_words for word in texts.vocabulary], bool)
    before = np.concatenate([[0], np.cumsum(function[texts.words])])  # function words before each word of all lines
    functions = before[begin + sizes] - before[begin]
    pair, kind = found.pair[chosen], found.kind[chosen]
    counts = np.zeros((len(candidate), 4, 2, 2), np.int64)
    for side, text, first, count in ((0, candidate, found.start, found.size), (1, reference, found.at, found.length)):
        start = begin[text[pair]] + first[chosen]
        inside = before[start + count[chosen]] - before[start]
        for function_words, number in ((0, count[chosen] - inside), (1, inside)):
            cells = np.bincount(pair * 4 + kind, weights=number, minlength=4 * len(candidate))
            counts[:, :, function_words, side] = cells.reshape(-1, 4)
    columns = [sizes[candidate], sizes[reference], functions[candidate], functions[reference], counts.reshape(-1, 16)]
    chunks = np.bincount(pair[_chunk_starts(found, chosen)], minlength=len(candidate))
    return np.column_stack([*columns, chunks, counts.sum(axis=(1, 2))]).astype(np.float64)


def _aligned(found: Matches, candidate_sizes: Ints, reference_sizes: Ints) -> Ints:
    """The rows that the alignments consist of, in their order."""
    certain = _certain(found, candidate_sizes, reference_sizes)
    searched = np.flatnonzero(~certain)
    columns = [column[searched] for column in (found.at, found.length, found.start, found.size)]
    exact = found.kind[searched] == EXACT
    matches = listed(zip(*(column.tolist() for column in (*columns, exact, searched)), strict=True))
    gains = np.array([one[4] for one in matches], np.int64)
    chosen = [align(steps, matches) for steps in _steps(found, certain, gains, reference_sizes)]
    return np.sort(np.concatenate([np.flatnonzero(certain), np.array(list(chain.from_iterable(chosen)), np.int64)]))


def _steps(found: Matches, certain: Bools, gains: Ints, reference_sizes: Ints) -> Iterator[Sequence[Step]]:
    """The steps of each pair that has a choice. ``gains``: of the matches that are not certain."""
    ends = np.cumsum(reference_sizes)
    place = (ends - reference_sizes)[found.pair] + found.at  # among the words of all pairs' references
    total = int(reference_sizes.sum())
    searched = place[~certain]
    is_open = _covers(searched, found.length[~certain], total) > 0
    first, last = np.full(total, -1), np.full(total, -1)
    first[place[certain]] = found.start[certain]
    last[(place + found.length)[certain] - 1] = (found.start + found.size)[certain]
    pair = np.repeat(np.arange(len(reference_sizes)), reference_sizes)
    # A step begins at each open word, after it, and where a pair begins.
    begins = is_open.copy()
    begins[1:] |= is_open[:-1] | (pair[1:] != pair[:-1])
    begins[:1] = True
    step = np.flatnonzero(begins & np.isin(pair, found.pair[~certain]))
    stop = np.minimum(np.append(step[1:], total), ends[pair[step]])
    of, one = pair[step], is_open[step]
    low, high = np.searchsorted(searched, step, "left"), np.searchsorted(searched, step, "right")
    most = np.zeros(len(step), np.int64)
    most[low < high] = np.maximum.reduceat(gains, low[low < high]) if len(gains) else 0
    columns = (
        np.where(one, step - (ends - reference_sizes)[of], first[step]),
        np.where(one, 0, last[stop - 1]),
        np.where(one, most, 0),
        np.where(one, low, -1),
        np.where(one, high, -1),
    )
    rows = list(zip(*(column.tolist() for column in columns), strict=True))
    bounds = [*np.flatnonzero(np.diff(of, prepend=-1)).tolist(), len(of)]
    return (rows[begin:end] for begin, end in pairwise(bounds))


def _certain(found: Matches, candidate_sizes: Ints, reference_sizes: Ints) -> Bools:
    """Which matches no other match of their pair overlaps."""
    certain = np.ones(len(found.pair), bool)
    for sizes, first, count in ((candidate_sizes, found.start, found.size), (reference_sizes, found.at, found.length)):
        start = (np.cumsum(sizes) - sizes)[found.pair] + first
        several = np.concatenate([[0], np.cumsum(_covers(start, count, int(sizes.sum())) > 1)])
        certain &= several[start + count] == several[start]
    return certain


def _covers(start: Ints, count: Ints, total: int) -> Ints:
    """How many of the spans each of ``total`` words is in."""
    edges = np.bincount(start, minlength=total + 1) - np.bincount(start + count, minlength=total + 1)
    return np.cumsum(edges)[:total]


def _chunk_starts(found: Matches, chosen: Ints) -> Bools:
    """Which matches of alignments do not go on where the one before ends, in both sentences."""
    pair, at, start = found.pair[chosen], found.at[chosen], found.start[chosen]
    after, after_start = at + found.length[chosen], start + found.size[chosen]
    starts = np.ones(len(chosen), bool)
    starts[1:] = (pair[1:] != pair[:-1]) | (at[1:] != after[:-1]) | (start[1:] != after_start[:-1])
    return starts
