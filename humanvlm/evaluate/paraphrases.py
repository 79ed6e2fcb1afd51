"""METEOR's paraphrase table as arrays that are mapped into memory: only the pages a corpus touches are ever read.

The table has 5 million pairs of phrases in 272 MB of text. It is converted once into the model cache (HUMANVLM_CACHE):
all phrases as one trie, whose edges are sorted by (node, word), and for each phrase the nodes of its paraphrases in the
table's order.
"""

import gzip
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from humanvlm.errors import UserError

log = logging.getLogger("humanvlm")
Ints = NDArray[Any]
BinaryFile = IO[bytes] | gzip.GzipFile
_FILES = ("words", "edges", "children", "phrases", "starts", "paraphrases")
_BLOCK = 16 << 20  # bytes of text converted at a time


@dataclass(frozen=True)
class Occurrences:
    """Where phrases of the table occur in texts: rows of text, first word, number of words, and node, in this order."""

    text: Ints
    start: Ints
    size: Ints
    node: Ints


@dataclass(frozen=True)
class ParaphraseTable:
    """words: sorted, as bytes. edges: sorted node * len(words) + word, each leading to its node in children.

    phrases: sorted nodes that have paraphrases, which are at starts[n]:starts[n + 1] of paraphrases, in file order.
    """

    words: NDArray[np.bytes_]
    edges: Ints
    children: Ints
    phrases: Ints
    starts: Ints
    paraphrases: Ints

    def occurrences(self, vocabulary: Iterable[str], words: Ints, starts: Ints) -> Occurrences:
        """Every phrase of the table in every text: text n has the words starts[n]:starts[n + 1] of a vocabulary."""
        word = self._numbers(vocabulary)[words]
        text = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
        place = np.arange(len(word)) - starts[text]
        unknown = np.append(np.flatnonzero(word < 0), len(word))
        stop = np.minimum(starts[text + 1], unknown[np.searchsorted(unknown, np.arange(len(word)))])
        room = stop - np.arange(len(word))  # words up to the next unknown one or the end of the text
        node = np.zeros(len(word), np.int64)
        rows = np.arange(len(word))
        found: list[tuple[Ints, ...]] = []
        for size in range(1, int(room.max(initial=0)) + 1):
            rows, node = rows[room[rows] >= size], node[room[rows] >= size]
            wanted = node * len(self.words) + word[rows + size - 1]
            edge = np.minimum(np.searchsorted(self.edges, wanted), len(self.edges) - 1)
            known = self.edges[edge] == wanted
            rows, node = rows[known], self.children[edge[known]].astype(np.int64)
            if not len(rows):
                break
            found.append((text[rows], place[rows], np.full(len(rows), size), node))
        columns = [np.concatenate([part[column] for part in found] or [rows]) for column in range(4)]
        order = np.lexsort((columns[2], columns[1], columns[0]))
        return Occurrences(*(column[order] for column in columns))

    def among(self, nodes: Ints) -> tuple[Ints, Ints, Ints]:
        """The table's pairs of which both phrases are among these nodes, by phrase and in the table's order.

        Columns are the phrase's node, the number of the paraphrase among all of its phrase, and the paraphrase's node.
        """
        wanted = np.unique(nodes)
        at = np.minimum(np.searchsorted(self.phrases, wanted), len(self.phrases) - 1)
        at = at[self.phrases[at] == wanted]
        counts = (self.starts[at + 1] - self.starts[at]).astype(np.int64)
        nth = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        other = self.paraphrases[np.repeat(self.starts[at].astype(np.int64), counts) + nth].astype(np.int64)
        kept = np.isin(other, wanted)
        return np.repeat(self.phrases[at].astype(np.int64), counts)[kept], nth[kept], other[kept]

    def _numbers(self, vocabulary: Iterable[str]) -> Ints:
        """The number of each word in this table, -1 where it is not in it."""
        encoded = np.array([word.encode("utf-8", "replace") for word in vocabulary] or [b""])
        at = np.minimum(np.searchsorted(self.words, encoded), len(self.words) - 1)
        return np.where(self.words[at] == encoded, at, -1)


def load_paraphrases(table: Callable[[], Path], sha256: str, cache: Path) -> ParaphraseTable:
    """The table, converted into the cache on its first use (some 15 seconds and 1.5 GB of memory, once).

    table: finds and verifies the original, which is not touched once it is converted.
    """
    folder = cache / f"meteor-paraphrases-{sha256[:16]}"
    if not folder.is_dir():
        _convert(table(), folder)
    return ParaphraseTable(*(np.load(folder / f"{name}.npy", mmap_mode="r") for name in _FILES))


def _convert(table: Path, folder: Path) -> None:
    """Write the arrays beside ``folder`` and rename it into place: it is whole or absent, whoever else converts."""
    log.info("converting %s once into %s", table.name, folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f"{folder.name}-", dir=folder.parent))
    try:
        with gzip.open(table) as file:
            arrays = build_table(file)
        for name in _FILES:
            np.save(part / f"{name}.npy", arrays[name])
        part.chmod(0o755)
        part.replace(folder)
    except (OSError, EOFError) as error:
        if not folder.is_dir():  # else another process was first
            raise UserError(f"{table}: cannot be converted into {folder}: {error}") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)


def build_table(file: BinaryFile) -> Mapping[str, NDArray[Any]]:
    """The arrays of ParaphraseTable from the table's text: lines of probability, phrase, paraphrase, in turn."""
    words, sizes, vocabulary = _read(file)
    count = len(sizes)
    if count % 2:
        raise EOFError("a phrase without its paraphrase")
    order = np.argsort(vocabulary, kind="stable")
    rank = np.empty(len(order), np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    words = rank[words]
    begins = np.cumsum(sizes) - sizes
    node = np.zeros(count, np.int64)
    edges = [np.zeros(0, np.int64)]
    nodes = 1
    for depth in range(int(sizes.max(initial=0))):
        active = np.flatnonzero(sizes > depth)
        new, inverse = np.unique(node[active] * len(vocabulary) + words[begins[active] + depth], return_inverse=True)
        node[active] = nodes + inverse
        edges.append(new)
        nodes += len(new)
    edge = np.concatenate(edges)
    by_edge = np.argsort(edge, kind="stable")
    phrase, paraphrase = node[0::2], node[1::2]
    by_phrase = np.argsort(phrase, kind="stable")
    phrases, starts = np.unique(phrase[by_phrase], return_index=True)
    return {
        "words": vocabulary[order],
        "edges": edge[by_edge],
        "children": (by_edge + 1).astype(np.int32),
        "phrases": phrases.astype(np.int32),
        "starts": np.append(starts, len(phrase)).astype(np.int32),
        "paraphrases": paraphrase[by_phrase].astype(np.int32),
    }


def _read(file: BinaryFile) -> tuple[Ints, Ints, NDArray[np.bytes_]]:
    """The words of all phrases and paraphrases in turn, as numbers; how many words each has; and the vocabulary."""
    import pyarrow as pa
    import pyarrow.compute as pc

    vocabulary = pa.array([], pa.binary())
    words, sizes, line = [np.zeros(0, np.int32)], [np.zeros(0, np.int64)], 0
    for block in _blocks(file):
        lines = pc.split_pattern(pa.array([block], pa.binary()), b"\n").flatten()
        keep = (np.arange(len(lines)) + line) % 3 != 0  # the first of three is a probability, which METEOR ignores
        line += len(lines)
        split = pc.split_pattern(lines.filter(pa.array(keep)), b" ")
        flat = split.flatten()
        new = pc.unique(flat)
        new = new.filter(pc.invert(pc.is_in(new, value_set=vocabulary)))
        vocabulary = pa.concat_arrays([vocabulary, new])
        words.append(pc.index_in(flat, value_set=vocabulary).to_numpy())
        sizes.append(np.diff(split.offsets.to_numpy()).astype(np.int64))
    return np.concatenate(words), np.concatenate(sizes), np.array(vocabulary.to_pylist(), np.bytes_)


def _blocks(file: BinaryFile) -> Iterator[bytes]:
    """The text in pieces of whole lines, without the last line's end."""
    rest = b""
    while block := file.read(_BLOCK):
        head, _, rest_of_block = (rest + block).rpartition(b"\n")
        rest = rest_of_block
        if head:
            yield head
    if rest:
        yield rest
