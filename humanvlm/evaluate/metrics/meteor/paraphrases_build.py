"""From METEOR's paraphrase table, 5 million pairs of phrases in 272 MB of text, to the arrays of ``paraphrases.py``.

Each distinct phrase of a block of text is split into words once, and phrases are sorted as numbers of 16 bits a word,
so that their prefixes are the nodes of a trie. All passes over the text are Arrow's and NumPy's.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[Any]


class Binary(Protocol):
    """A file of bytes that is open for reading."""

    def read(self, size: int, /) -> bytes: ...


_BLOCK = 32 << 20  # bytes of text read at a time
_MOST_WORDS = 7  # of a phrase
_BITS = 16  # of a word's number in a phrase
_PACKED = 64 // _BITS  # words that are sorted as one number
_BLANK, _END = b" \n"


def build(file: Binary) -> dict[str, NDArray[Any]]:
    """The arrays of ParaphraseTable from the table's text: lines of probability, phrase, paraphrase, in turn.

    Raises ValueError when the text is no such table.
    """
    numbers: dict[bytes, int] = {}
    phrases, lines, count, line = [np.zeros((0, _MOST_WORDS), np.uint16)], [np.zeros(0, np.int32)], 0, 0
    for block in _blocks(file):
        found, which, read = _phrases(block, line, numbers)
        phrases.append(found)
        lines.append(which + count)
        count, line = count + len(found), line + read
    if line % 3:
        raise ValueError(f"its {line} lines are no threes of probability, phrase and paraphrase")
    words = np.array([*numbers] or [b""])
    order = np.argsort(words)
    rank = np.zeros(len(words) + 1, np.uint16)
    rank[order + 1] = np.arange(1, len(words) + 1)
    node, edges = _trie(rank[np.concatenate(phrases)], len(words))
    nodes = node[np.concatenate(lines)]
    return {"words": words[order], "edges": edges, **_grouped(nodes[0::2], nodes[1::2])}


def _blocks(file: Binary) -> Iterator[bytes]:
    """The text in pieces of whole lines. The next one is unpacked while one is worked on."""
    rest = b""
    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(file.read, _BLOCK)
        while block := ahead.result():
            ahead = pool.submit(file.read, _BLOCK)
            cut = block.rfind(b"\n") + 1
            if cut:
                yield rest + block[:cut]
                rest = b""
            rest += block[cut:]
    if rest:
        yield rest + b"\n"


def _phrases(block: bytes, line: int, numbers: dict[bytes, int]) -> tuple[Ints, Ints, int]:
    """The distinct phrases of a block (rows of word numbers, from 1, padded with 0), that of each line which is not a
    probability, and the number of lines. ``line``: how many came before; ``numbers``: of the words so far, added to."""
    import pyarrow as pa

    every = _pieces(pa.py_buffer(block), np.flatnonzero(np.frombuffer(block, np.uint8) == _END))
    kept = np.ones(len(every), bool)
    kept[-line % 3 :: 3] = False  # the first of three is a probability, which METEOR ignores
    encoded = every.filter(pa.array(kept)).dictionary_encode()
    distinct = encoded.dictionary
    _, offsets, data = distinct.buffers()
    text = np.frombuffer(data, np.uint8, np.frombuffer(offsets, np.int32)[len(distinct)] if len(distinct) else 0)
    ends = np.flatnonzero((text == _BLANK) | (text == _END))
    words = _pieces(data, ends).dictionary_encode()
    known = [numbers.setdefault(word[:-1], len(numbers)) for word in words.dictionary.to_pylist()]
    if len(numbers) >= 1 << _BITS:
        raise ValueError(f"more than {(1 << _BITS) - 1} different words")
    number = np.array(known, np.uint16)[words.indices.to_numpy()] + np.uint16(1)
    last = np.flatnonzero(text[ends] == _END)
    sizes = np.diff(last, prepend=-1)
    if sizes.max(initial=0) > _MOST_WORDS:
        raise ValueError(f"a phrase of {sizes.max()} words, more than {_MOST_WORDS}")
    rows = np.zeros((len(distinct), _MOST_WORDS), np.uint16)
    rows[np.repeat(np.arange(len(rows)), sizes), np.arange(len(number)) - np.repeat(last - sizes + 1, sizes)] = number
    return rows, encoded.indices.to_numpy(), len(every)


def _pieces(buffer: Any, ends: Ints) -> Any:
    """Parts of a buffer, each with the byte that ends it, as an Arrow array of binary."""
    import pyarrow as pa

    offsets = np.zeros(len(ends) + 1, np.int32)
    offsets[1:] = ends + 1
    return pa.Array.from_buffers(pa.binary(), len(ends), [None, pa.py_buffer(offsets), buffer])


def _trie(phrases: Ints, words: int) -> tuple[Ints, Ints]:
    """The node of each phrase, and the edges, sorted: node * words + word. Edge n leads to node n + 1.

    phrases: rows of word numbers in the order of the words, from 1, padded with 0.
    """
    packed = np.zeros(len(phrases), np.uint64)
    for depth in range(_PACKED):
        packed |= phrases[:, depth].astype(np.uint64) << np.uint64(_BITS * (_PACKED - 1 - depth))
    order = np.argsort(packed)
    packed, phrases = packed[order], phrases[order]
    node = np.zeros(len(phrases), np.int64)
    edges, nodes = [np.zeros(0, np.int64)], 1
    for depth in range(_MOST_WORDS):
        rows = np.flatnonzero(phrases[:, depth])
        keys = node[rows] * words + phrases[rows, depth] - 1
        if depth < _PACKED:  # equal prefixes are neighbours
            prefix = packed[rows] >> np.uint64(_BITS * (_PACKED - 1 - depth))
            new = np.append(True, prefix[1:] != prefix[:-1])[: len(rows)]
            number, keys = np.cumsum(new) - 1, keys[new]
        else:
            keys, number = np.unique(keys, return_inverse=True)
        node[rows] = nodes + number
        edges.append(keys)
        nodes += len(keys)
    found = np.empty(len(node), np.int32)
    found[order] = node
    return found, np.concatenate(edges)


def _grouped(phrase: Ints, paraphrase: Ints) -> dict[str, Ints]:
    """The paraphrases of each phrase, in the table's order. Most pairs of a phrase follow each other."""
    begin = np.flatnonzero(np.append(True, phrase[1:] != phrase[:-1])[: len(phrase)])
    size = np.diff(begin, append=len(phrase))
    order = np.argsort(phrase[begin], kind="stable")
    begin, size = begin[order], size[order]
    rows = np.arange(len(phrase)) + np.repeat(begin - np.cumsum(size) + size, size)
    phrases, first = np.unique(phrase[rows], return_index=True)
    starts = np.append(first, len(phrase)).astype(np.int32)
    return {"phrases": phrases.astype(np.int32), "starts": starts, "paraphrases": paraphrase[rows].astype(np.int32)}
