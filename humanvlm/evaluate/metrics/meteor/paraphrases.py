"""METEOR's paraphrase table as arrays that are mapped into memory: only the pages a corpus touches are ever read.

All phrases are one trie, whose edges are sorted by (node, word), and each phrase has the nodes of its paraphrases in
the table's order. ``paraphrases_build.py`` makes the arrays.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from humanvlm.evaluate.metrics.meteor.wordnet import encoded, find

Ints = NDArray[Any]


@dataclass(frozen=True)
class Occurrences:
    """Where phrases of the table occur in texts: rows of text, first word, number of words, and node, in no order."""

    text: Ints
    start: Ints
    size: Ints
    node: Ints


@dataclass(frozen=True)
class ParaphraseTable:
    """words: sorted, as bytes. edges: sorted node * len(words) + word; edge n leads to node n + 1, and 0 is the root.

    phrases: sorted nodes that have paraphrases, which are at starts[n]:starts[n + 1] of paraphrases, in file order.
    """

    words: NDArray[np.bytes_]
    edges: Ints
    phrases: Ints
    starts: Ints
    paraphrases: Ints

    def occurrences(self, vocabulary: Sequence[str], words: Ints, starts: Ints) -> Occurrences:
        """Every phrase of the table in every text: text n has the words starts[n]:starts[n + 1] of a vocabulary."""
        word = self._numbers(vocabulary)[words]
        text = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
        place = np.arange(len(word)) - starts[text]
        unknown = np.append(np.flatnonzero(word < 0), len(word))
        stop = np.minimum(starts[text + 1], unknown[np.searchsorted(unknown, np.arange(len(word)))])
        room = stop - np.arange(len(word))  # words up to the next unknown one or the end of the text
        node = np.zeros(len(word), np.int64)
        rows = np.arange(len(word))
        found: list[tuple[Ints, Ints, Ints]] = []
        for size in range(1, int(room.max(initial=0)) + 1):
            rows, node = rows[room[rows] >= size], node[room[rows] >= size]
            edge, known = find(self.edges, node * len(self.words) + word[rows + size - 1])
            rows, node = rows[known], edge[known] + 1
            if not len(rows):
                break
            found.append((rows, np.full(len(rows), size), node))
        rows, sizes, node = (np.concatenate([rows[:0], *(part[column] for part in found)]) for column in range(3))
        return Occurrences(text[rows], place[rows], sizes, node)

    def among(self, nodes: Ints) -> tuple[Ints, Ints, Ints]:
        """The table's pairs of which both phrases are among these nodes, by phrase and in the table's order.

        Columns are the phrase's node, the number of the paraphrase among all of its phrase, and the paraphrase's node.
        """
        wanted = np.unique(nodes)
        at, known = find(self.phrases, wanted)
        at = at[known]
        counts = (self.starts[at + 1] - self.starts[at]).astype(np.int64)
        nth = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        other = self.paraphrases[np.repeat(self.starts[at].astype(np.int64), counts) + nth].astype(np.int64)
        kept = np.isin(other, wanted)
        return np.repeat(self.phrases[at].astype(np.int64), counts)[kept], nth[kept], other[kept]

    def _numbers(self, vocabulary: Sequence[str]) -> Ints:
        """The number of each word in this table, -1 where it is not in it."""
        at, known = find(self.words, encoded(vocabulary))
        return np.where(known, at, -1)
