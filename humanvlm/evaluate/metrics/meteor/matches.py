"""All matches between candidates and references that METEOR's alignment chooses from, for a whole corpus at once.

A match joins words of a candidate with words of a reference: the same word, one with the same stem, a synonym, or a
phrase with a paraphrase of it in METEOR's table, in either direction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from humanvlm.evaluate.metrics.meteor.paraphrases import ParaphraseTable
from humanvlm.evaluate.metrics.meteor.stems import stem
from humanvlm.evaluate.metrics.meteor.wordnet import WordNet
from humanvlm.evaluate.metrics.ngrams import numbered

Ints = NDArray[Any]
EXACT, STEM, SYNONYM, PARAPHRASE = range(4)
_FROM_CANDIDATE = 4  # paraphrases of the candidate's phrases come after those of the reference's


@dataclass(frozen=True)
class Texts:
    """Normalised lines. words: of all lines in turn, as numbers in the vocabulary; starts: line n has the words
    starts[n]:starts[n + 1]."""

    vocabulary: Mapping[str, int]
    words: Ints
    starts: Ints

    @classmethod
    def of(cls, lines: Sequence[Sequence[str]]) -> "Texts":
        starts = np.cumsum([0, *(len(line) for line in lines)])
        return cls(*numbered(list(chain.from_iterable(lines))), starts)


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


@dataclass(frozen=True)
class _Spans:
    """Words or phrases in texts, and which: text n has the rows starts[n]:starts[n + 1]."""

    start: Ints
    size: Ints
    what: Ints
    starts: Ints


@dataclass(frozen=True)
class _Relations:
    """Which word or phrase of a candidate matches which one of a reference, sorted by the former; how, and which one
    among several it is in the paraphrase table."""

    ours: Ints
    theirs: Ints
    kind: Ints
    nth: Ints

    @classmethod
    def of(cls, ours: Ints, theirs: Ints, kind: Ints, nth: Ints) -> "_Relations":
        order = np.argsort(ours, kind="stable")
        return cls(ours[order], theirs[order], kind[order], nth[order])


def find_matches(
    texts: Texts, candidate: Ints, reference: Ints, synonyms: WordNet | None, table: ParaphraseTable | None
) -> Matches:
    """The matches of pairs of texts, given by their numbers."""
    found = [_words(texts, synonyms), *([_phrases(texts, table)] if table is not None else [])]
    parts = [_joined(spans, relations, candidate, reference) for spans, relations in found]
    pair, at, length, start, size, kind, nth = (np.concatenate(column) for column in zip(*parts, strict=True))
    sizes = np.diff(texts.starts)
    in_place = np.bincount(pair[(kind == EXACT) & (at == start)], minlength=len(reference))
    same = (in_place == sizes[candidate]) & (in_place == sizes[reference])
    kept = ~same[pair] | (kind == EXACT)  # identical sentences need no others
    order = np.where(kind == _FROM_CANDIDATE, start << 40 | size << 20 | nth, length << 40 | nth << 20 | start)
    ranked = np.lexsort((order[kept], kind[kept], at[kept], pair[kept]))
    return Matches(*(column[kept][ranked] for column in (pair, at, length, start, size, np.minimum(kind, PARAPHRASE))))


def _joined(spans: _Spans, relations: _Relations, candidate: Ints, reference: Ints) -> tuple[Ints, ...]:
    """(pair, at, length, start, size, kind, nth) of each span of a reference that one of its candidate matches."""
    count = int(spans.what.max(initial=0)) + 1
    used = np.unique(candidate)
    text, own = _rows(spans.starts, used)
    row, relation = _join(relations.ours, spans.what[own])
    keys = used[text[row]] * count + relations.theirs[relation]
    by_key = np.argsort(keys)
    pair, other = _rows(spans.starts, reference)
    left, right = _join(keys[by_key], candidate[pair] * count + spans.what[other])
    right = by_key[right]
    own, other, relation = own[row[right]], other[left], relation[right]
    sides = (spans.start[other], spans.size[other], spans.start[own], spans.size[own])
    return pair[left], *sides, relations.kind[relation], relations.nth[relation]


def _words(texts: Texts, synonyms: WordNet | None) -> tuple[_Spans, _Relations]:
    """Every word matches itself, and every other word of its stem or of one of its sets of synonyms."""
    every = np.arange(len(texts.vocabulary))
    words = list(texts.vocabulary)
    parts = [(every, every, EXACT), (*_sharing(every, numbered([stem(word) for word in words])[1]), STEM)]
    if synonyms is not None:
        parts.append((*_sharing(*synonyms.senses(words)), SYNONYM))
    ours, theirs = (np.concatenate([part[column] for part in parts]) for column in (0, 1))
    kind = np.concatenate([np.full(len(part[0]), part[2]) for part in parts])
    one = np.ones(len(texts.words), np.int64)
    start = np.arange(len(texts.words)) - np.repeat(texts.starts[:-1], np.diff(texts.starts))
    return _Spans(start, one, texts.words, texts.starts), _Relations.of(ours, theirs, kind, np.zeros_like(ours))


def _phrases(texts: Texts, table: ParaphraseTable) -> tuple[_Spans, _Relations]:
    """Phrases of the table, which match in either direction."""
    found = table.occurrences(list(texts.vocabulary), texts.words, texts.starts)
    phrase, nth, other = table.among(found.node)
    useful = np.flatnonzero(np.isin(found.node, np.concatenate([phrase, other])))
    useful = useful[np.argsort(found.text[useful], kind="stable")]
    starts = np.searchsorted(found.text[useful], np.arange(len(texts.starts)))
    kind = np.repeat([PARAPHRASE, _FROM_CANDIDATE], len(phrase))
    ours, theirs = np.concatenate([other, phrase]), np.concatenate([phrase, other])
    relations = _Relations.of(ours, theirs, kind, np.concatenate([nth, nth]))
    return _Spans(found.start[useful], found.size[useful], found.node[useful], starts), relations


def _sharing(word: Ints, key: Ints) -> tuple[Ints, Ints]:
    """Each two different words that share a key, once in each direction."""
    order = np.argsort(key, kind="stable")
    word, key = word[order], key[order]
    first = np.flatnonzero(np.append(True, key[1:] != key[:-1])[: len(key)])
    group = np.repeat(np.arange(len(first)), np.diff(first, append=len(key)))
    row, other = _rows(np.append(first, len(key)), group)
    count = int(word.max(initial=0)) + 1
    pairs = np.unique((word[row] * count + word[other])[word[row] != word[other]])
    return pairs // count, pairs % count


def _rows(starts: Ints, which: Ints) -> tuple[Ints, Ints]:
    """All rows of some groups, given where groups start: (number of the group among these, row)."""
    counts = starts[which + 1] - starts[which]
    rows = np.arange(counts.sum()) + np.repeat(starts[which] - np.cumsum(counts) + counts, counts)
    return np.repeat(np.arange(len(which)), counts), rows


def _join(keys: Ints, wanted: Ints) -> tuple[Ints, Ints]:
    """All (row of wanted, row of keys) that are equal; keys are sorted."""
    order = np.argsort(wanted)  # looked up in sorted order, which the processor's caches like
    ordered = wanted[order]
    low = np.searchsorted(keys, ordered)
    counts = np.searchsorted(keys, ordered, "right") - low
    return np.repeat(order, counts), np.arange(counts.sum()) + np.repeat(low - np.cumsum(counts) + counts, counts)
