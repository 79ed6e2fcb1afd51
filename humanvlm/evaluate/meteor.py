"""METEOR 1.5 (Denkowski & Lavie 2014) as coco-caption runs it (``-l en -norm -stdio``), without Java.

Each candidate is aligned to each reference; the best reference counts, and a corpus is scored from the summed
statistics of the pictures, not from the mean of their scores. Words match exactly, by stem, as WordNet synonyms, and as
paraphrases of up to seven words; function words weigh less than others; a penalty grows with the number of pieces in
which the words match.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, distribution

import numpy as np
from numpy.typing import NDArray

from humanvlm.evaluate.meteor_align import align, match
from humanvlm.evaluate.meteor_matches import EXACT, Matches, Texts, find_matches
from humanvlm.evaluate.meteor_words import WordData, load_words, normalise
from humanvlm.evaluate.paraphrases import ParaphraseTable, load_paraphrases

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
ALPHA, BETA, GAMMA, DELTA = 0.85, 0.2, 0.6, 0.75
WEIGHTS = np.array([1.0, 0.6, 0.8, 0.6])
MODEL = "meteor-1.5"
# The columns of a picture's statistics: words and function words of candidate and reference; for each kind of match
# content and function words of both; chunks; all matched words of both.
STATISTICS = 4 + 4 * 4 + 3


@dataclass(frozen=True)
class Resources:
    """METEOR's data. ``paraphrases`` is None, and ``words`` empty, where it is not installed."""

    words: WordData = field(default_factory=WordData)
    paraphrases: ParaphraseTable | None = None

    @property
    def name(self) -> str:
        """What the metric is called with this data: ``meteor`` only when all of it is there."""
        if self.paraphrases is not None:
            return "meteor"
        return "meteor_exact_stem_synonym" if self.words.synsets else "meteor_exact_stem"


@cache
def installed() -> Resources:
    """METEOR's data as far as it is installed. Raises ModelError when a file is not the declared one."""
    from humanvlm.model.language import cache_folder
    from humanvlm.models import model_entry, model_file

    try:
        distribution(model_entry(MODEL).package or "")
    except PackageNotFoundError:
        return Resources()
    sha256 = model_entry(MODEL).part("paraphrases").sha256
    table = load_paraphrases(partial(model_file, MODEL, "paraphrases"), sha256, cache_folder())
    return Resources(load_words(model_file(MODEL)), table)


def meteor_statistics(
    candidates: Sequence[str], references: Sequence[Sequence[str]], resources: Resources | None = None
) -> Array:
    """The statistics of each picture's best reference, (pictures, STATISTICS). Texts are tokens joined by blanks.

    Of references with equal scores the first counts. ``resources`` are what is installed when not given.
    """
    data = resources or installed()
    texts: dict[str, int] = {}
    candidate = [texts.setdefault(text, len(texts)) for text in candidates]
    reference = [texts.setdefault(text, len(texts)) for group in references for text in group]
    picture = np.repeat(np.arange(len(references)), [len(group) for group in references])
    lines = [normalise(text, data.words.prefixes) for text in texts]
    # Each pair of texts is aligned once.
    pairs = np.array(candidate, np.int64)[picture] * len(texts) + np.array(reference, np.int64)
    distinct, inverse = np.unique(pairs, return_inverse=True)
    statistics = _statistics(lines, distinct // max(len(texts), 1), distinct % max(len(texts), 1), data)
    best = _best(meteor(statistics)[inverse], picture)
    return statistics[inverse[best]]


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
    found = find_matches(texts, candidate, reference, data.words, data.paraphrases)
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
    starts = np.searchsorted(found.pair, np.arange(len(reference_sizes) + 1))
    open_pairs = np.unique(found.pair[~certain])
    is_open = np.zeros(len(reference_sizes), bool)
    is_open[open_pairs] = True
    chosen = np.flatnonzero(~is_open[found.pair]).tolist()
    exact = (found.kind == EXACT).tolist()
    columns = (column.tolist() for column in (found.at, found.length, found.start, found.size))
    matches = [match(*row) for row in zip(*columns, exact, range(len(exact)), strict=True)]
    fixed = set(np.flatnonzero(certain).tolist())
    for pair in open_pairs.tolist():
        chosen += align(int(reference_sizes[pair]), matches[starts[pair] : starts[pair + 1]], fixed)
    return np.sort(np.array(chosen, np.int64))


def _certain(found: Matches, candidate_sizes: Ints, reference_sizes: Ints) -> NDArray[np.bool_]:
    """Which matches no other match of their pair overlaps."""
    certain = np.ones(len(found.pair), bool)
    for sizes, first, count in ((candidate_sizes, found.start, found.size), (reference_sizes, found.at, found.length)):
        start = (np.cumsum(sizes) - sizes)[found.pair] + first
        covers = np.zeros(sizes.sum() + 1, np.int64)
        np.add.at(covers, start, 1)
        np.add.at(covers, start + count, -1)
        several = np.concatenate([[0], np.cumsum(np.cumsum(covers) > 1)])
        certain &= several[start + count] == several[start]
    return certain


def _chunk_starts(found: Matches, chosen: Ints) -> NDArray[np.bool_]:
    """Which matches of alignments do not go on where the one before ends, in both sentences."""
    pair, at, start = found.pair[chosen], found.at[chosen], found.start[chosen]
    after, after_start = at + found.length[chosen], start + found.size[chosen]
    starts = np.ones(len(chosen), bool)
    starts[1:] = (pair[1:] != pair[:-1]) | (at[1:] != after[:-1]) | (start[1:] != after_start[:-1])
    return starts
