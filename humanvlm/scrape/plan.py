"""Plan a crawl in bounded memory: which rows of the index each shard fetches, whatever the size of the index.

The index is read once. A 64-bit hash of each URL (and of each sample id, when an earlier crawl is continued) goes with
its row number to one of some bucket files, by the leading bits of the hash; then one bucket at a time is sorted and
compared. Held at once: 3 bytes a row of the index, and one bucket at 50 bytes a row (rows of one URL share a bucket).
"""

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import blake2b, sha256
from itertools import pairwise
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from humanvlm.data.atomic_io import atomic_file
from humanvlm.errors import UserError
from humanvlm.scrape.urls import open_index, read_batches

PLAN = "plan.npz"
MAX_BUCKET_BITS = 8  # more bucket files than a process may open by default
BATCH_ROWS = 1 << 16

Hashes = NDArray[np.uint64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Slice:
    """The work of one shard: rows ``start`` to ``stop`` of the index, a bit each (``np.packbits``).

    fetch: rows to download. repeated: rows whose URL another row has, which is earlier in the index or in the artifact.
    Rows in neither are in the artifact.
    """

    number: int
    start: int
    stop: int
    fetch: bytes
    repeated: bytes

    @property
    def rows(self) -> int:
        """Rows of the index that get an outcome here."""
        return int((int.from_bytes(self.fetch) | int.from_bytes(self.repeated)).bit_count())

    def flags(self) -> tuple[Flags, Flags]:
        """``fetch`` and ``repeated`` as one bool a row."""
        fetch, repeated = (
            np.unpackbits(np.frombuffer(bits, np.uint8), count=self.stop - self.start).view(np.bool_)
            for bits in (self.fetch, self.repeated)
        )
        return fetch, repeated


@dataclass(frozen=True)
class Plan:
    """total: rows of the index. slices: of the shards that have something to do. gone: id hashes, ascending, of known
    rows that the index no longer has, as often as they are missing."""

    total: int
    slices: tuple[Slice, ...]
    gone: Hashes


@dataclass(frozen=True)
class Buckets:
    """Files of records (hash, ...), one for each value of the leading ``bits`` of the hash."""

    folder: Path
    bits: int

    def paths(self, name: str) -> list[Path]:
        return [self.folder / f"{name}-{bucket:03d}" for bucket in range(1 << self.bits)]

    @contextmanager
    def open(self, name: str) -> Iterator[Callable[..., None]]:
        """A function that appends records, given as columns of which the first is the hash, in their order."""
        with ExitStack() as stack:
            files = [stack.enter_context(path.open("wb")) for path in self.paths(name)]

            def spill(hashes: Hashes, *others: Hashes) -> None:
                leading = hashes >> np.uint64(63 - self.bits) >> np.uint64(1)  # a shift by 64 is not defined
                buckets = leading.astype(np.uint8)
                records = np.column_stack((hashes, *others))[np.argsort(buckets, kind="stable")]
                bounds = np.cumsum([0, *np.bincount(buckets, minlength=len(files))])
                for file, (low, high) in zip(files, pairwise(bounds), strict=True):
                    file.write(records[low:high].tobytes())

            yield spill


def plan(
    index: Path,
    step: int,
    scratch: Path,
    known: Iterable[Hashes] = (),
    first_number: int = 0,
    bucket_rows: int = 1_000_000,
) -> Plan:
    """Cut the index into shards of at most ``step`` rows of work, numbered from ``first_number``.

    known: hashes of the ids (see ``id_hashes``) of rows that the artifact has. Of an id that is known n times, the
    first n rows of the index are done. Of the other rows with one URL the first is fetched, unless a row that is done
    has that URL; empty URLs are never repeated. URLs are the same when their 64-bit BLAKE2b is: at 50 million rows,
    some pair is mistaken with a chance of 1 in 15,000, and no URL can be made to match another site's, as it can with
    hashes that are merely fast. Deterministic. ``scratch`` takes 16 bytes a row, or 40 with known rows, until the end.
    Raises UserError as ``open_index`` does.
    """
    total = open_index(index).metadata.num_rows
    folder = scratch / "plan.work"
    shutil.rmtree(folder, ignore_errors=True)  # of a killed run
    buckets = Buckets(folder, min((total // bucket_rows).bit_length(), MAX_BUCKET_BITS))
    folder.mkdir(parents=True)
    try:
        has_known = _spill_known(known, buckets)
        _spill_index(index, total, buckets, with_ids=has_known)
        done = np.zeros(total, dtype=bool)
        gone = _mark_done(done, buckets) if has_known else np.empty(0, dtype=np.uint64)
        repeated = _repeated(done, buckets)
    finally:
        shutil.rmtree(folder)
    slices = tuple(_slices(~done, repeated, step, first_number))
    if not total and not has_known:
        slices = (Slice(first_number, 0, 0, b"", b""),)
    return Plan(total, slices, gone)


def id_hashes(ids: Iterable[str]) -> Hashes:
    """The first 16 hex digits of sample ids as numbers."""
    digits = "".join([id[:16] for id in ids])
    return np.frombuffer(bytes.fromhex(digits), dtype=">u8").astype(np.uint64)


def _spill_known(known: Iterable[Hashes], buckets: Buckets) -> bool:
    """Whether there are any."""
    count = 0
    with buckets.open("known") as spill:
        for hashes in known:
            spill(hashes)
            count += len(hashes)
    return count > 0


def _spill_index(index: Path, total: int, buckets: Buckets, with_ids: bool) -> None:
    columns = ("url", "text", "captions") if with_ids else ("url",)
    with buckets.open("url") as spill_url, buckets.open("id") as spill_id:
        for first, batch in read_batches(index, columns, 0, total, rows=BATCH_ROWS):
            rows = np.arange(first, first + batch.num_rows, dtype=np.uint64)
            urls = _binary(batch.column("url"))
            named = _filled(urls)
            spill_url(url_hashes(_list(urls.filter(named))), rows[named])
            if with_ids:
                newline = pa.scalar(b"\n", pa.large_binary())
                contents = pc.binary_join_element_wise(urls, first_texts(batch), newline)
                spill_id(_content_hashes(_list(contents)), rows)


def url_hashes(urls: Sequence[bytes]) -> Hashes:
    return np.frombuffer(b"".join([blake2b(url, digest_size=8).digest() for url in urls]), dtype="<u8")


def _content_hashes(contents: Sequence[bytes]) -> Hashes:
    """The hash of ``sample_id`` of (url, newline, text)."""
    digests = np.frombuffer(b"".join([sha256(content).digest() for content in contents]), dtype=">u8")
    return digests[::4].astype(np.uint64)


def first_texts(batch: pa.RecordBatch) -> pa.Array:
    """The text of each row as ``IndexRow`` has it (``text``, or else the first caption that is not empty), or b""."""
    names = batch.schema.names
    texts = _binary(batch.column("text") if "text" in names else pa.nulls(batch.num_rows))
    if "captions" not in names or pa.types.is_null(batch.column("captions").type):
        return texts
    captions = batch.column("captions")
    values = _binary(pc.list_flatten(captions))
    filled = np.flatnonzero(_filled(values))
    rows, places = np.unique(pc.list_parent_indices(captions).to_numpy()[filled], return_index=True)
    taken = np.full(batch.num_rows, -1)
    taken[rows] = filled[places]
    first = pc.fill_null(values.take(pa.array(taken, mask=taken < 0)), b"")
    return pc.if_else(pa.array(_filled(texts)), texts, first)


def _binary(column: pa.Array) -> pa.Array:
    """Strings as bytes, null as b"": nothing need be valid UTF-8 here."""
    return pc.fill_null(column.cast(pa.large_binary()), b"")


def _filled(column: pa.Array) -> Flags:
    return pc.not_equal(pc.binary_length(column), 0).to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]


def _list(column: pa.Array) -> list[bytes]:
    return column.to_numpy(zero_copy_only=False).tolist()  # type: ignore[no-any-return]  # faster than to_pylist


def _mark_done(done: Flags, buckets: Buckets) -> Hashes:
    """Mark the rows whose id is known; return the known ids that are left over, ascending."""
    rest = buckets.folder / "gone"
    with rest.open("wb") as file:
        for ids, known in zip(buckets.paths("id"), buckets.paths("known"), strict=True):
            hashes, counts = np.unique(np.fromfile(known, np.uint64), return_counts=True)
            rows, used = _matches(_records(ids), hashes, counts)
            done[rows] = True
            file.write(np.repeat(hashes, counts - used).tobytes())  # bucket after bucket, so ascending
    return np.fromfile(rest, np.uint64)


def _matches(records: Hashes, hashes: Hashes, counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of records (id, row): rows whose id is among the first ``counts`` of its ``hashes``; how often each matched."""
    if not len(hashes):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    records = records[np.argsort(records[:, 0], kind="stable")]
    ids = records[:, 0]
    rank = np.arange(len(ids)) - np.searchsorted(ids, ids)
    place = np.minimum(np.searchsorted(hashes, ids), len(hashes) - 1)
    match = (hashes[place] == ids) & (rank < counts[place])
    return records[match, 1].astype(np.int64), np.bincount(place[match], minlength=len(hashes))


def _repeated(done: Flags, buckets: Buckets) -> Flags:
    """Rows, not done, whose URL an earlier row has, or one that is done."""
    repeated = np.zeros(len(done), dtype=bool)
    for path in buckets.paths("url"):
        records = _records(path)
        hashes, rows = np.ascontiguousarray(records[:, 0]), records[:, 1].astype(np.int64)
        order = np.lexsort((~done[rows], hashes))  # stable: done rows first, then in the order of the index
        again = np.flatnonzero(np.diff(hashes[order]) == 0) + 1
        repeated[rows[order[again]]] = True
    return repeated & ~done


def _records(path: Path) -> Hashes:
    return np.fromfile(path, np.uint64).reshape(-1, 2)


def _slices(todo: Flags, repeated: Flags, step: int, first_number: int) -> Iterator[Slice]:
    for number, (start, stop) in enumerate(_cuts(todo, step), first_number):
        again = repeated[start:stop]
        fetch = todo[start:stop] & ~again
        yield Slice(number, start, stop, np.packbits(fetch).tobytes(), np.packbits(again).tobytes())


def _cuts(todo: Flags, step: int) -> list[tuple[int, int]]:
    """Ranges from the first to the last of each ``step`` rows to do."""
    starts: list[int] = []
    stops: list[int] = []
    seen = end = 0
    for offset in range(0, len(todo), BATCH_ROWS):  # row numbers take 8 bytes each
        rows = offset + np.flatnonzero(todo[offset : offset + BATCH_ROWS])
        place = (seen + np.arange(len(rows))) % step
        starts += rows[place == 0].tolist()
        stops += (rows[place == step - 1] + 1).tolist()
        seen += len(rows)
        end = int(rows[-1]) + 1 if len(rows) else end
    return list(zip(starts, [*stops, end] if seen % step else stops, strict=True))


def save_plan(plan: Plan, folder: Path) -> None:
    """Write the plan atomically and durably, so that a killed crawl continues with the same shards."""
    path = folder / PLAN
    table = np.array([(part.number, part.start, part.stop) for part in plan.slices], dtype=np.int64).reshape(-1, 3)
    fetch, repeated = (
        np.frombuffer(b"".join(parts), np.uint8)
        for parts in ([part.fetch for part in plan.slices], [part.repeated for part in plan.slices])
    )
    with atomic_file(path) as work, work.open("wb") as file:
        np.savez(file, total=plan.total, slices=table, fetch=fetch, repeated=repeated, gone=plan.gone)


def load_plan(folder: Path) -> Plan:
    """The plan that ``save_plan`` wrote. Raises UserError naming the file when it is missing or damaged."""
    path = folder / PLAN
    try:
        with np.load(path, allow_pickle=False) as file:  # a zip: what it holds is checksummed
            total, table, fetch, repeated, gone = (
                file[name] for name in ("total", "slices", "fetch", "repeated", "gone")
            )
    except (OSError, EOFError, ValueError, KeyError, BadZipFile) as error:
        raise UserError(
            f"{path}: no plan of a crawl ({error}); delete {folder} and run `humanvlm raw_scrape`"
        ) from None
    bounds = pairwise(np.cumsum([0, *((table[:, 2] - table[:, 1] + 7) // 8)]))
    slices = tuple(
        Slice(number, start, stop, fetch[low:high].tobytes(), repeated[low:high].tobytes())
        for (number, start, stop), (low, high) in zip(table.tolist(), bounds, strict=True)
    )
    return Plan(int(total), slices, gone)
