"""The n-grams of a corpus of captions as numbers, and which of them a candidate shares with its references."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Tokens = Sequence[str]
MAX_N = 4


@dataclass(frozen=True)
class Shared:
    """N-grams that are in a candidate and in one of its references, a row each."""

    pair: Ints  # the candidate and reference
    candidate: Ints  # the candidate's entry of the n-gram
    reference: Ints  # the reference's entry of the n-gram


@dataclass(frozen=True)
class Corpus:
    """Distinct texts with the n-grams of order 1 to 4 in each, and pairs of a picture's candidate and a reference.

    words: all words of the distinct texts in turn. sizes: words of each text. first, order: of each n-gram, one place
    in ``words`` where it is, and its length. starts: text t has the entries starts[t]:starts[t + 1] of grams (which
    n-gram, ascending) and counts (how often). candidate: each picture's text. picture, reference: of each pair.
    """

    words: Sequence[str]
    sizes: Ints
    first: Ints
    order: Ints
    starts: Ints
    grams: Ints
    counts: Ints
    candidate: Ints
    picture: Ints
    reference: Ints

    @property
    def pictures(self) -> int:
        return len(self.candidate)

    @cached_property
    def shared(self) -> Shared:
        pair, reference = self.entries(self.reference)
        owner, candidate = self.entries(self.candidate)
        keys = owner * len(self.order) + self.grams[candidate]  # ascending
        wanted = self.picture[pair] * len(self.order) + self.grams[reference]
        at = np.minimum(np.searchsorted(keys, wanted), max(len(keys) - 1, 0))
        found = keys[at] == wanted if len(keys) else np.zeros(len(wanted), bool)
        return Shared(pair[found], candidate[at[found]], reference[found])

    def entries(self, texts: Ints) -> tuple[Ints, Ints]:
        """For each of some texts all its entries: (number of the text among these, entry)."""
        counts = self.starts[texts + 1] - self.starts[texts]
        rows = np.arange(counts.sum()) + np.repeat(self.starts[texts] - np.cumsum(counts) + counts, counts)
        return np.repeat(np.arange(len(texts)), counts), rows

    def strings(self) -> Iterator[str]:
        """Each n-gram, its words joined by blanks."""
        for first, order in zip(self.first.tolist(), self.order.tolist(), strict=True):
            yield " ".join(self.words[first : first + order])


def corpus(candidates: Sequence[Tokens], references: Sequence[Sequence[Tokens]]) -> Corpus:
    """The corpus of each picture's candidate and references, in the order of the pictures."""
    texts = [tuple(tokens) for tokens in candidates]
    texts += [tuple(tokens) for group in references for tokens in group]
    numbers = {text: number for number, text in enumerate(dict.fromkeys(texts))}
    number = [numbers[text] for text in texts]
    candidate, reference = number[: len(candidates)], number[len(candidates) :]
    picture = np.repeat(np.arange(len(references)), [len(group) for group in references])
    words = list(chain.from_iterable(numbers))
    sizes = np.array([len(tokens) for tokens in numbers], np.int64)
    return Corpus(words, sizes, *_count(words, sizes), *(_ints(values) for values in (candidate, picture, reference)))


def _ranked(values: Ints) -> tuple[Ints, Ints]:
    """A row of each distinct value, in ascending order, and which of them each value is (like ``unique``, faster)."""
    order = np.argsort(values)
    ordered = values[order]
    new = np.append(True, ordered[1:] != ordered[:-1])[: len(values)]
    rank = np.empty(len(values), np.int64)
    rank[order] = np.cumsum(new) - 1
    return order[new], rank


def numbered(words: Sequence[str]) -> tuple[dict[str, int], Ints]:
    """The distinct words with their numbers, in order of appearance, and the number of each word."""
    vocabulary = {word: number for number, word in enumerate(dict.fromkeys(words))}
    return vocabulary, np.fromiter(map(vocabulary.__getitem__, words), np.int64, len(words))


def _ints(values: Any) -> Ints:
    return np.asarray(values, dtype=np.int64)


def _count(words: Sequence[str], sizes: Ints) -> tuple[Ints, Ints, Ints, Ints, Ints]:
    vocabulary, word = numbered(words)
    text = np.repeat(np.arange(len(sizes)), sizes)
    room = np.repeat(np.cumsum(sizes), sizes) - np.arange(len(words))
    gram, place, total = np.zeros(len(words), np.int64), np.arange(len(words)), 0
    firsts, orders, texts, grams, counts = [], [], [], [], []
    for order in range(1, MAX_N + 1):
        kept = room[place] >= order
        place, gram = place[kept], gram[kept] * max(len(vocabulary), 1) + word[place[kept] + order - 1]
        first, gram = _ranked(gram)
        keys, count = np.unique(text[place] * max(len(first), 1) + gram, return_counts=True)
        firsts.append(place[first])
        orders.append(np.full(len(first), order))
        texts.append(keys // max(len(first), 1))
        grams.append(keys % max(len(first), 1) + total)
        counts.append(count)
        total += len(first)
    owner = np.concatenate(texts)
    by_text = np.argsort(owner, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=len(sizes)))])
    columns = (np.concatenate(firsts), np.concatenate(orders), starts)
    return *columns, np.concatenate(grams)[by_text], np.concatenate(counts)[by_text]
