"""Rows of one picture made one: texts joined, in the order of the list, in bounded memory.

Rows that follow each other are joined as they come. Rows of one address that lie apart are found by 64-bit hashes of
the addresses, a range of hashes at a time, and then carried to the first of them through files of some
``BUCKET_ROWS`` rows each. Held at once: 1 byte a row of the list, 16 bytes a row that comes again, and one such file.
Addresses are the same when their 64-bit BLAKE2b is: at 50 million rows, some pair is mistaken with a chance of 1 in
15,000.
"""

import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from humanvlm.data.atomic_io import move_file
from humanvlm.data.hashing import url_key
from humanvlm.data.places import COLUMN
from humanvlm.index.cells import MOST_TEXTS

GROUP_ROWS = 10_000
GROUP_CHARACTERS = 1 << 25
HASH_ROWS = 1 << 20
BUCKET_ROWS = 100_000
MOST_BUCKETS = 250  # fewer files than a process may have open
FIRST = "first"

Rows = NDArray[np.int64]
Entry = dict[str, Any]


@dataclass
class Merged:
    """rows: pictures written. with_text: of them. merged: entries that joined another. texts_left_out: beyond
    ``MOST_TEXTS`` of one picture. sampled_out: pictures that a sample does not have."""

    rows: int = 0
    with_text: int = 0
    merged: int = 0
    texts_left_out: int = 0
    sampled_out: int = 0


def write_merged(
    known: Iterable[Entry],
    entries: Iterable[Entry],
    schema: pa.Schema,
    path: Path,
    scratch: Path,
    sample: int | None = None,
    seed: int = 0,
) -> Merged:
    """Write one row a ``url`` to the Parquet file ``path``, in the order of first appearance.

    known, entries: rows of the schema, the known ones first. scratch: a folder for files that are gone afterwards.
    sample: so many pictures beyond the known ones, drawn by seed and address alone: a larger sample has those of a
    smaller one, and the order of the list does not matter.
    """
    shutil.rmtree(scratch, ignore_errors=True)  # of a killed run
    scratch.mkdir(parents=True)
    try:
        found = Merged()
        first_new = _spill(known, entries, schema, path, scratch / "hashes", found)
        hashes = np.memmap(scratch / "hashes", np.uint64, "r") if found.rows else np.empty(0, np.uint64)
        again, firsts = repeated(hashes)
        drawn = _drawn(hashes, again, first_new, sample, seed) if sample is not None else None
        if len(again) or drawn is not None:
            whole = scratch / "rows.parquet"
            move_file(path, whole)
            _join(whole, path, again, firsts, drawn, scratch, found)
        return found
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


class _Writer:
    """Row groups of bounded size, and counts of what went in."""

    def __init__(self, path: Path, schema: pa.Schema, found: Merged) -> None:
        self.file = pq.ParquetWriter(path, schema, compression="zstd")
        self.schema, self.found = schema, found
        self.rows: list[Entry] = []
        self.characters = 0

    def add(self, entry: Entry) -> None:
        self.rows.append(entry)
        self.characters += sum(map(len, entry["captions"]))
        if len(self.rows) >= GROUP_ROWS or self.characters >= GROUP_CHARACTERS:
            self.flush()

    @property
    def count(self) -> int:
        return self.found.rows + len(self.rows)

    def flush(self) -> None:
        if self.rows:
            self.file.write_table(pa.Table.from_pylist(self.rows, schema=self.schema))
            self.found.rows += len(self.rows)
            self.found.with_text += sum(bool(row["text"]) for row in self.rows)
        self.rows, self.characters = [], 0

    def close(self) -> None:
        self.flush()
        self.file.close()


def _spill(
    known: Iterable[Entry], entries: Iterable[Entry], schema: pa.Schema, path: Path, hashes: Path, found: Merged
) -> int:
    """Write the entries, neighbours of one address as one row, and the hashes of their addresses. Returns how many rows
    the known ones made."""
    writer, first_new = _Writer(path, schema, found), 0
    with hashes.open("wb") as file:
        for some in (known, entries):
            first_new = writer.count
            for entry in _neighbours(some, found):
                writer.add(entry)
                file.write(url_key(entry["url"].encode()))
    writer.close()
    return first_new


def _neighbours(entries: Iterable[Entry], found: Merged) -> Iterator[Entry]:
    held: Entry | None = None
    for entry in entries:
        if held is not None and held["url"] == entry["url"]:
            _add(held, entry, found)
            continue
        if held is not None:
            yield held
        held = entry
    if held is not None:
        yield held


def _add(entry: Entry, other: Entry, found: Merged) -> None:
    """Join another entry of the same address: its new texts come last, what the first lacks is taken from it. A picture
    that is here comes with its own hash, as it may be another file than the one at the address."""
    found.merged += 1
    known = set(entry["captions"])
    new = [text for text in dict.fromkeys(other["captions"]) if text not in known]
    room = max(MOST_TEXTS - len(entry["captions"]), 0)
    found.texts_left_out += len(new[room:])
    entry["captions"] = [*entry["captions"], *new[:room]]
    if other.get(COLUMN) and not entry.get(COLUMN):
        entry |= {name: other[name] for name in (COLUMN, "sha256", "md5")}
    for name, value in other.items():
        if entry.get(name) is None:
            entry[name] = value


def repeated(hashes: NDArray[np.uint64]) -> tuple[Rows, Rows]:
    """Rows whose hash an earlier row has, ascending, and the first row with it of each."""
    leading = np.array(hashes.view(np.uint8)[7::8])  # the highest byte of each, on little-endian machines
    width = -(-256 // min(-(-len(hashes) // HASH_ROWS), 256)) if len(hashes) else 256
    again, firsts = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for low in range(0, 256, width):
        rows = np.flatnonzero((leading >= low) & (leading <= low + width - 1))
        some = hashes[rows]
        order = np.argsort(some, kind="stable")
        new = np.ones(len(rows), dtype=bool)
        new[1:] = np.diff(some[order]) != 0
        group = np.cumsum(new) - 1
        again.append(rows[order[~new]])
        firsts.append(rows[order[new]][group[~new]])
    rows, first = np.concatenate(again), np.concatenate(firsts)
    order = np.argsort(rows)
    return rows[order], first[order]


def _drawn(hashes: NDArray[np.uint64], again: Rows, first_new: int, sample: int, seed: int) -> NDArray[np.bool_]:
    """Which rows a sample has: those before ``first_new``, and of the others, repeated ones left out, those with the
    least hashes of seed and address."""
    single = np.ones(len(hashes), dtype=bool)
    single[:first_new] = False
    single[again] = False
    rows = np.flatnonzero(single)
    marks = np.frombuffer(
        b"".join(
            blake2b(int(mark).to_bytes(8, "little"), digest_size=8, key=f"{seed}".encode()).digest()
            for mark in hashes[rows]
        ),
        np.uint64,
    )
    drawn = np.zeros(len(hashes), dtype=bool)
    drawn[:first_new] = True
    drawn[rows[np.argsort(marks, kind="stable")[:sample]]] = True
    return drawn


@dataclass
class _Buckets:
    """Rows that come again, in files by the row they join: file ``n`` has those that join rows before ``ends[n]``."""

    folder: Path
    ends: Rows
    tables: dict[int, list[Entry]] = field(default_factory=dict)
    loaded: int = -1

    def path(self, number: int) -> Path:
        return self.folder / f"again-{number:03d}.arrow"

    def of(self, row: int) -> list[Entry]:
        """Entries that join a row, in their order. Rows are asked for in ascending order."""
        number = int(np.searchsorted(self.ends, row, side="right"))
        if number != self.loaded:
            self.loaded, self.tables = number, {}
            if self.path(number).exists():
                with pa.ipc.open_stream(self.path(number)) as stream:
                    for batch in stream:
                        for entry in batch.to_pylist():
                            self.tables.setdefault(entry.pop(FIRST), []).append(entry)
        return self.tables.get(row, [])


def _join(
    whole: Path, path: Path, again: Rows, firsts: Rows, drawn: NDArray[np.bool_] | None, scratch: Path, found: Merged
) -> None:
    buckets = _Buckets(scratch, _ends(firsts))
    _spill_repeated(whole, again, firsts, buckets, found)
    found.rows = found.with_text = 0
    joined = np.unique(firsts)
    file = pq.ParquetFile(whole)
    writer, start = _Writer(path, file.schema_arrow, found), 0
    for batch in file.iter_batches(GROUP_ROWS, use_threads=False):
        skipped = set(_between(again, start, start + batch.num_rows).tolist())
        with_more = set(_between(joined, start, start + batch.num_rows).tolist())
        for row, entry in enumerate(batch.to_pylist(), start):
            if row in skipped:
                continue
            more = buckets.of(row) if row in with_more else []
            if drawn is not None and not drawn[row]:
                found.sampled_out += 1
                found.merged += len(more)
                continue
            for other in more:
                _add(entry, other, found)
            writer.add(entry)
        start += batch.num_rows
    writer.close()


def _ends(firsts: Rows) -> Rows:
    """Where files of repeated rows end: each has about ``BUCKET_ROWS``, all of one first row together."""
    step = max(BUCKET_ROWS, -(-len(firsts) // MOST_BUCKETS))
    return np.unique(np.sort(firsts)[step::step])


def _between(rows: Rows, start: int, stop: int) -> Rows:
    return rows[np.searchsorted(rows, start) : np.searchsorted(rows, stop)]


def _spill_repeated(whole: Path, again: Rows, firsts: Rows, buckets: _Buckets, found: Merged) -> None:
    """Write the repeated rows to their files, no more of one picture than it may have texts."""
    file, start = pq.ParquetFile(whole), 0
    schema = file.schema_arrow.append(pa.field(FIRST, pa.int64()))
    taken = _ranks(firsts) < MOST_TEXTS
    with ExitStack() as stack:
        writers: dict[int, Any] = {}
        for batch in file.iter_batches(GROUP_ROWS, use_threads=False):
            low, high = np.searchsorted(again, [start, start + batch.num_rows])
            left_out = again[low:high][~taken[low:high]] - start
            found.merged += len(left_out)
            found.texts_left_out += sum(map(len, batch.column("captions").take(pa.array(left_out)).to_pylist()))
            rows, first = again[low:high][taken[low:high]] - start, firsts[low:high][taken[low:high]]
            numbers = np.searchsorted(buckets.ends, first, side="right")
            order = np.argsort(numbers, kind="stable")
            bounds = np.flatnonzero(np.diff(numbers[order], prepend=-1, append=MOST_BUCKETS + 2))
            for one, other in pairwise(bounds):
                some = order[one:other]
                number = int(numbers[some[0]])
                if number not in writers:
                    writers[number] = stack.enter_context(pa.ipc.new_stream(buckets.path(number), schema))
                columns = [*batch.take(pa.array(rows[some])).columns, pa.array(first[some])]
                writers[number].write_batch(pa.record_batch(columns, schema=schema))
            start += batch.num_rows


def _ranks(firsts: Rows) -> Rows:
    """Of each repeated row, how many earlier ones join the same row."""
    order = np.argsort(firsts, kind="stable")
    ordered = firsts[order]
    ranks = np.empty(len(firsts), np.int64)
    ranks[order] = np.arange(len(firsts)) - np.searchsorted(ordered, ordered)
    return ranks


def scratch_of(path: Path) -> Path:
    """The folder beside a file in which its rows are joined."""
    return path.with_name(f".{path.name}.rows")
