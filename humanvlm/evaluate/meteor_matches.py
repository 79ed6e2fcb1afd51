"""All matches between candidates and references that METEOR's alignment chooses from, for a whole corpus at once.

A match joins words of a candidate with words of a reference: the same word, one with the same stem, a synonym, or a
phrase with a paraphrase of it in METEOR's table, in either direction.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from humanvlm.evaluate.meteor_words import WordData
from humanvlm.evaluate.paraphrases import ParaphraseTable
from humanvlm.evaluate.stems import stem

Ints = NDArray[Any]
EXACT, STEM, SYNONYM, PARAPHRASE = range(4)
_FROM_CANDIDATE = 4  # paraphrases of the candidate's phrases come after those of the reference's


@dataclass(frozen=True)
class Texts:
    """Normalised lines. words: of all lines in turn, as numbers in the vocabulary; starts: line n has the words
    starts[n]:starts[n + 1]."""

    lines: Sequence[Sequence[str]]
    vocabulary: Mapping[str, int]
    words: Ints
    starts: Ints

    @classmethod
    def of(cls, lines: Sequence[Sequence[str]]) -> "Texts":
        vocabulary: dict[str, int] = {}
        words = [vocabulary.setdefault(word, len(vocabulary)) for line in lines for word in line]
        starts = _starts(np.array([len(line) for line in lines], np.int64))
        return cls(lines, vocabulary, np.array(words, np.int64), starts)


@dataclass(frozen=True)
class Matches:
    """Rows sorted by pair, then by the reference's word ``at`` which they begin, then as METEOR 1.5 finds them.

    ``length`` words of the reference from ``at`` and ``size`` words of the candidate from ``start`` are joined.
    """

    pair: Ints
    at: Ints
    length: Ints
    start: Ints
    size: Ints
    kind: Ints


def find_matches(
    texts: Texts, candidate: Ints, reference: Ints, words: WordData, table: ParaphraseTable | None
) -> Matches:
    """The matches of pairs of texts, given by their numbers."""
    rows = [_word_matches(texts, candidate, reference, words)]
    if table is not None:
        rows += _phrase_matches(table, texts, candidate, reference)
    lines = texts.lines
    pair, at, length, start, size, kind, order = (np.concatenate(column) for column in zip(*rows, strict=True))
    same = np.array([lines[c] == lines[r] for c, r in zip(candidate.tolist(), reference.tolist(), strict=True)], bool)
    kept = ~same[pair] | (kind == EXACT)  # identical sentences need no others
    ranked = np.lexsort((order[kept], kind[kept], at[kept], pair[kept]))
    return Matches(*(column[kept][ranked] for column in (pair, at, length, start, size, np.minimum(kind, PARAPHRASE))))


def _starts(counts: Ints) -> Ints:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])


def _spans(starts: Ints, which: Ints) -> tuple[Ints, Ints]:
    """All rows of some groups, given where groups start: (number of the group among these, row)."""
    counts = starts[which + 1] - starts[which]
    rows = np.arange(counts.sum()) + np.repeat(starts[which] - np.cumsum(counts) + counts, counts)
    return np.repeat(np.arange(len(which)), counts), rows


def _join(keys: Ints, wanted: Ints) -> tuple[Ints, Ints]:
    """All (row of wanted, row of keys) that are equal; keys are sorted."""
    low = np.searchsorted(keys, wanted)
    inside = np.flatnonzero(low < len(keys))
    inside = inside[keys[low[inside]] == wanted[inside]]
    low, high = low[inside], np.searchsorted(keys, wanted[inside], "right")
    counts = high - low
    return np.repeat(inside, counts), np.arange(counts.sum()) + np.repeat(low - np.cumsum(counts) + counts, counts)


Row = tuple[Ints, Ints, Ints, Ints, Ints, Ints, Ints]
"""pair, at, length, start, size, kind, and the order among matches of one word and kind."""


def _word_matches(texts: Texts, candidate: Ints, reference: Ints, words: WordData) -> Row:
    word, other, kind = _relations(texts.vocabulary, words)
    starts = np.searchsorted(word, np.arange(len(texts.vocabulary) + 1))
    count = max(len(texts.vocabulary), 1)
    # The candidates' words, by (text, word).
    used = np.unique(candidate)
    text, token = _spans(texts.starts, used)
    keys = used[text] * count + texts.words[token]
    by_key = np.argsort(keys, kind="stable")
    keys, place = keys[by_key], (token - texts.starts[used[text]])[by_key]
    pair, token = _spans(texts.starts, reference)
    row, relation = _spans(starts, texts.words[token])
    left, right = _join(keys, candidate[pair[row]] * count + other[relation])
    row, relation = row[left], relation[left]
    one = np.ones(len(row), np.int64)
    at = (token - texts.starts[reference[pair]])[row]
    return pair[row], at, one, place[right], one, kind[relation], place[right]


def _relations(vocabulary: Mapping[str, int], words: WordData) -> tuple[Ints, Ints, Ints]:
    """(word, other, kind) for every word and itself, and every other word of its stem or of one of its synsets."""
    every = np.arange(len(vocabulary))
    stems = _sharing((number, (stem(word),)) for word, number in vocabulary.items())
    synonyms = _sharing((vocabulary[word], sets) for word, sets in words.synonyms(vocabulary))
    parts = [(every, every, EXACT), (*stems, STEM), (*synonyms, SYNONYM)]
    word, other = (np.concatenate([part[column] for part in parts]) for column in (0, 1))
    kind = np.concatenate([np.full(len(part[0]), part[2]) for part in parts])
    order = np.argsort(word, kind="stable")
    return word[order], other[order], kind[order]


def _sharing(keys: Iterable[tuple[int, Iterable[str]]]) -> tuple[Ints, Ints]:
    """Each two different words that share a key, once in each direction."""
    by_key: dict[str, list[int]] = {}
    for word, found in keys:
        for key in found:
            by_key.setdefault(key, []).append(word)
    pairs = {(a, b) for group in by_key.values() if len(group) > 1 for a in group for b in group if a != b}
    both = np.array(sorted(pairs), np.int64).reshape(-1, 2)
    return both[:, 0], both[:, 1]


def _phrase_matches(table: ParaphraseTable, texts: Texts, candidate: Ints, reference: Ints) -> list[Row]:
    found = table.occurrences(texts.vocabulary, texts.words, texts.starts)
    phrase, entry, other = table.among(found.node)
    if not len(phrase):
        return []
    useful = np.isin(found.node, np.concatenate([phrase, other]))
    text, start, size, node = (column[useful] for column in (found.text, found.start, found.size, found.node))
    starts = np.searchsorted(text, np.arange(len(texts.lines) + 1))
    pair, right = _spans(starts, reference)
    pair_, left = _spans(starts, candidate)
    rows = []
    for kind, (one, first), (two, second) in (
        (PARAPHRASE, (pair, right), (pair_, left)),
        (_FROM_CANDIDATE, (pair_, left), (pair, right)),
    ):
        a, b, nth = _paraphrased(one, node[first], two, node[second], phrase, entry, other)
        at, length = (column[(first[a] if kind == PARAPHRASE else second[b])] for column in (start, size))
        begin, count = (column[(second[b] if kind == PARAPHRASE else first[a])] for column in (start, size))
        order = (length << 40 | nth << 20 | begin) if kind == PARAPHRASE else (begin << 40 | count << 20 | nth)
        rows.append((one[a], at, length, begin, count, np.full(len(a), kind), order))
    return rows


def _paraphrased(
    one: Ints, node: Ints, two: Ints, other_node: Ints, phrase: Ints, entry: Ints, other: Ints
) -> tuple[Ints, Ints, Ints]:
    """Rows of the first side and of the second, of the same pair, where the second is a paraphrase of the first; and
    which one in the table."""
    a, relation = _join(phrase, node)
    span = int(max(node.max(initial=0), other.max(initial=0), other_node.max(initial=0))) + 1
    keys = two * span + other_node
    by_key = np.argsort(keys, kind="stable")
    row, hit = _join(keys[by_key], one[a] * span + other[relation])
    return a[row], by_key[hit], entry[relation[row]]
