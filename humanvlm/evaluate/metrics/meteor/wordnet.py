"""WordNet's synonyms as arrays that are mapped into memory: which sets of synonyms the words of a corpus are in."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[Any]
# Endings and what they become (Morphy): of nouns, verbs and adjectives.
_ENDINGS = (
    ("s", ""), ("ses", "s"), ("xes", "x"), ("zes", "z"), ("ches", "ch"), ("shes", "sh"), ("men", "man"), ("ies", "y"),
    ("s", ""), ("ies", "y"), ("es", "e"), ("es", ""), ("ed", "e"), ("ed", ""), ("ing", "e"), ("ing", ""),
    ("er", ""), ("est", ""), ("er", "e"), ("est", "e"),
)  # fmt: skip
_BY_LAST = {last: [pair for pair in _ENDINGS if pair[0][-1] == last] for last in {pair[0][-1] for pair in _ENDINGS}}


@dataclass(frozen=True)
class WordNet:
    """words: sorted, as bytes; word n is in the sets starts[n]:starts[n + 1] of ``sets``.

    forms: sorted irregular forms, as bytes; form n is of the words base_starts[n]:base_starts[n + 1] of ``bases``.
    """

    words: NDArray[np.bytes_]
    starts: Ints
    sets: Ints
    forms: NDArray[np.bytes_]
    base_starts: Ints
    bases: Ints

    def senses(self, vocabulary: Sequence[str]) -> tuple[Ints, Ints]:
        """The sets of the words of a vocabulary and of their base forms: (number of the word, set), some rows twice."""
        texts = encoded(vocabulary)
        own, has_own = find(self.words, texts)
        form, irregular = find(self.forms, texts)
        regular = [number for number, known in enumerate(irregular.tolist()) if not known]
        rows, bases = _spans(self.base_starts, form[irregular])
        number, base = self._regular_bases(vocabulary, regular)
        numbers = [np.flatnonzero(has_own), np.flatnonzero(irregular)[rows], number]
        word = np.concatenate([own[has_own], self.bases[bases], base])
        rows, sets = _spans(self.starts, word)
        return np.concatenate(numbers)[rows], self.sets[sets]

    def _regular_bases(self, vocabulary: Sequence[str], numbers: Iterable[int]) -> tuple[Ints, Ints]:
        """(number in the vocabulary, its base form), the first that is a word, of those that have one."""
        tried = [
            (number, word[: -len(ending)] + target)
            for number in numbers
            if len(word := vocabulary[number]) > 2 and not word.endswith("ss")
            for ending, target in _BY_LAST.get(word[-1], ())
            if word.endswith(ending)
        ]
        base, known = find(self.words, encoded([text for _, text in tried]))
        number, first = np.unique(np.array([number for number, _ in tried], np.int64)[known], return_index=True)
        return number, base[known][first]


def build(synsets: Iterable[tuple[str, Sequence[int]]], forms: Iterable[tuple[str, Sequence[str]]]) -> WordNet:
    """From the sets of each word, and the base forms of irregular words; bases that are no words are left out."""
    entries = sorted((word.encode(), sets) for word, sets in synsets)
    number = {word: place for place, (word, _) in enumerate(entries)}
    irregular = sorted(
        (form.encode(), [number[base.encode()] for base in bases if base.encode() in number]) for form, bases in forms
    )
    columns = []
    for rows in (entries, irregular):
        values = [value for _, group in rows for value in group]
        columns += [np.array([key for key, _ in rows] or [b""]), _starts(rows), np.array(values, np.int32)]
    return WordNet(*columns)


def find(keys: NDArray[Any], wanted: NDArray[Any]) -> tuple[Ints, NDArray[np.bool_]]:
    """Where each value is among sorted keys, and whether it is. In sorted order, which the processor's caches like."""
    order = np.argsort(wanted)
    at = np.empty(len(wanted), np.int64)
    at[order] = np.minimum(np.searchsorted(keys, wanted[order]), max(len(keys) - 1, 0))
    return at, keys[at] == wanted if len(keys) else np.zeros(len(wanted), bool)


def encoded(words: Sequence[str]) -> NDArray[np.bytes_]:
    return np.array([word.encode("utf-8", "replace") for word in words] or [b""], np.bytes_)[: len(words)]


def _starts(rows: Sequence[tuple[bytes, Sequence[int]]]) -> Ints:
    return np.cumsum([0, *(len(group) for _, group in rows)]).astype(np.int32)


def _spans(starts: Ints, which: Ints) -> tuple[Ints, Ints]:
    """All rows of some groups, given where groups start: (number of the group among these, row)."""
    first = starts[which].astype(np.int64)
    counts = starts[which + 1] - first
    rows = np.arange(counts.sum()) + np.repeat(first - np.cumsum(counts) + counts, counts)
    return np.repeat(np.arange(len(which)), counts), rows
