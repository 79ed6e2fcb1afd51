"""Bring an index and the rows that earlier crawls left together, in bounded memory: what is to be fetched, what has
other metadata now, what has left the index.

A stored picture is known by its URL; all else that the index says of it is metadata, compared by a hash. The index is
read once. A 64-bit hash of each URL goes with its row number to one of some bucket files, by the leading bits of the
hash; the rows of the shards likewise; then one bucket at a time is sorted and joined. Held at once: 3 bytes a row of
the index, and one bucket at about 100 bytes a row (rows of one URL share a bucket).
"""

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from humanvlm.data.hashing import url_key
from humanvlm.scrape.plan import BATCH_ROWS, Flags, Plan, Slice, slices_of
from humanvlm.scrape.urls import IndexRow, further_fields, open_index, read_batches, read_index, sample_id

MAX_BUCKET_BITS = 8  # more bucket files than a process may open by default
# What a row of a shard is. Of the rows of one URL that are not repetitions the first kind stands, the newest of it.
PICTURE, STALE, DROP, AGAIN, REPEAT, FORGOTTEN = range(6)
REMOVED = np.uint64(2**64 - 1)  # in place of a row of the index

Hashes = NDArray[np.uint64]


@dataclass(frozen=True)
class Known:
    """The rows of a finished shard, kept ones first, in their order.

    kinds: PICTURE, STALE (a picture to fetch again, which stands until then), DROP, AGAIN (a drop to fetch again),
    REPEAT (its URL is another row's too), FORGOTTEN. keys: hashes of URLs; of ids where FORGOTTEN. states: hashes of
    the metadata of kept rows, and of the ids of dropped ones.
    """

    number: int
    kinds: NDArray[np.uint8]
    keys: Hashes
    states: Hashes


@dataclass
class Reconciled:
    """plan: what to fetch. gone, gone_pictures: rows of shards, and kept ones of them, whose URL the index no longer
    has. changed: rows of shards with other metadata in the index. removed: rows that leave the shards, gone or
    superseded. folder: where ``revisions`` are, until the block ends."""

    plan: Plan
    gone: int
    gone_pictures: int
    changed: int
    removed: int
    buckets: "Buckets"

    def revisions(self) -> Iterator[Hashes]:
        """Records (place, row of the index or REMOVED) in the order of places, some shards at a time. place: number of
        the shard, times 2^32, and the row in it."""
        for path in self.buckets.paths("revision"):
            records = _records(path, 3)[:, 1:]
            if len(records):
                yield records[np.argsort(records[:, 0])]


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


@contextmanager
def reconciled(
    index: Path,
    step: int,
    scratch: Path,
    known: Iterable[Known] = (),
    first_number: int = 0,
    bucket_rows: int = 1_000_000,
) -> Iterator[Reconciled]:
    """Compare the index with the rows of finished shards; cut what is to be fetched into shards of at most ``step``
    rows of work, numbered from ``first_number``.

    Of the rows of the index with one URL the first has the picture, or what became of it; the others are repetitions.
    Empty URLs are never repeated. Rows that are FORGOTTEN have no URL, and are found by their id. URLs are the same
    when their 64-bit BLAKE2b is: at 50 million rows, some pair is mistaken with a chance of 1 in 15,000, and no URL can
    be made to match another site's, as it can with hashes that are merely fast. Deterministic. ``scratch`` takes 16
    bytes a row, or 80 with known rows, until the block ends. Raises UserError as ``open_index`` does.
    """
    total = open_index(index).metadata.num_rows
    folder = scratch / "plan.work"
    shutil.rmtree(folder, ignore_errors=True)  # of a killed run
    buckets = Buckets(folder, min((total // bucket_rows).bit_length(), MAX_BUCKET_BITS))
    folder.mkdir(parents=True)
    try:
        shards, forgotten = _spill_known(known, buckets)
        _spill_index(index, total, buckets, compared=shards > 0, with_ids=forgotten)
        done, repeated = np.zeros(total, dtype=bool), np.zeros(total, dtype=bool)
        found = Reconciled(Plan(total, ()), 0, 0, 0, 0, buckets)
        with _Revisions(buckets, shards, found) as revisions:
            if forgotten:
                _find_forgotten(done, revisions)
            for urls, rows in zip(buckets.paths("url"), buckets.paths("known"), strict=True):
                _join(_records(urls, 4 if shards else 2), _records(rows, 3), done, repeated, revisions)
        slices = tuple(slices_of(~done, repeated, step, first_number))
        if not total and not shards:
            slices = (Slice(first_number, 0, 0, b"", b""),)
        found.plan = Plan(total, slices)
        yield found
    finally:
        shutil.rmtree(folder)


class _Revisions:
    """Collects revisions in buckets by shard, and counts them."""

    def __init__(self, buckets: Buckets, shards: int, found: Reconciled) -> None:
        self.buckets, self.found = buckets, found
        self._shift = np.uint64(64 - max(shards, 1).bit_length())
        self._stack = ExitStack()

    def __enter__(self) -> "_Revisions":
        self._spill = self._stack.enter_context(self.buckets.open("revision"))
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def change(self, places: Hashes, rows: Hashes) -> None:
        """These rows of shards have the metadata of those rows of the index."""
        self.found.changed += len(rows)
        self._add(places, rows)

    def remove(self, places: Hashes, gone: Flags) -> None:
        """These rows leave their shards; gone: whether because the index no longer has them."""
        kinds = _kinds(places)
        self.found.removed += len(places)
        self.found.gone += int(gone.sum())
        self.found.gone_pictures += int((gone & (kinds <= STALE)).sum())
        self._add(places, np.full(len(places), REMOVED))

    def _add(self, places: Hashes, rows: Hashes) -> None:
        places = places & np.uint64(2**60 - 1)
        self._spill((places >> np.uint64(32)) << self._shift, places, rows)


def url_hashes(urls: Sequence[bytes]) -> Hashes:
    return np.frombuffer(b"".join(map(url_key, urls)), dtype="<u8")


def id_hashes(ids: Iterable[str]) -> Hashes:
    """The first 16 hex digits of sample ids as numbers."""
    digits = "".join([id[:16] for id in ids])
    return np.frombuffer(bytes.fromhex(digits), dtype=">u8").astype(np.uint64)


def salt(fields: Iterable[pa.Field]) -> bytes:
    """What ``state`` is told of further columns: 16 bytes that stand for their names and types."""
    return blake2b(repr([(field.name, str(field.type)) for field in fields]).encode(), digest_size=16).digest()


def state(salt: bytes, text: str | None, texts: Sequence[str], license: str | None, further: Sequence[Any]) -> bytes:
    """Hash of the metadata of a kept row, 8 bytes."""
    values = repr((text, tuple(texts), license, tuple(further))).encode("utf-8", "surrogatepass")
    return blake2b(values, digest_size=8, person=salt).digest()


EMPTY = url_hashes([b""])[0]


def _spill_known(known: Iterable[Known], buckets: Buckets) -> tuple[int, bool]:
    """The greatest number of a shard and one; whether any row is FORGOTTEN."""
    shards, forgotten = 0, False
    with buckets.open("known") as spill, buckets.open("forgotten") as spill_forgotten:
        for shard in known:
            shards = max(shards, shard.number + 1)
            places = np.uint64(shard.number << 32) + np.arange(len(shard.kinds), dtype=np.uint64)
            places |= shard.kinds.astype(np.uint64) << np.uint64(60)
            unnamed = shard.kinds == FORGOTTEN
            spill(shard.keys[~unnamed], places[~unnamed], shard.states[~unnamed])
            spill_forgotten(shard.keys[unnamed], places[unnamed])
            forgotten |= bool(unnamed.any())
    return shards, forgotten


def _spill_index(index: Path, total: int, buckets: Buckets, compared: bool, with_ids: bool) -> None:
    """compared: with what there is to compare, else URLs alone, and only where there is one."""
    with buckets.open("url") as spill, buckets.open("id") as spill_id:
        if not compared:
            for first, batch in read_batches(index, ("url",), 0, total, rows=BATCH_ROWS):
                numbers = np.arange(first, first + batch.num_rows, dtype=np.uint64)
                urls = pc.fill_null(batch.column("url").cast(pa.large_binary()), b"")
                named = pc.not_equal(pc.binary_length(urls), 0).to_numpy(zero_copy_only=False)
                spill(url_hashes(urls.filter(named).to_numpy(zero_copy_only=False).tolist()), numbers[named])
            return
        fields = further_fields(index)
        salted = salt(fields.values())
        first = 0
        index_rows = read_index(index, 0, total, further=tuple(fields))
        while rows := list(islice(index_rows, BATCH_ROWS)):
            numbers = np.arange(first, first + len(rows), dtype=np.uint64)
            first += len(rows)
            ids = id_hashes(sample_id(row.url, row.text) for row in rows)  # in half the time of row.id
            spill(url_hashes([row.url.encode() for row in rows]), numbers, _states(salted, rows), ids)
            if with_ids:
                spill_id(ids, numbers)


def _states(salt: bytes, rows: Iterable[IndexRow]) -> Hashes:
    digests = [state(salt, row.text, row.texts, row.license, row.further) for row in rows]
    return np.frombuffer(b"".join(digests), dtype="<u8")


def _find_forgotten(done: Flags, revisions: _Revisions) -> None:
    """Mark the rows of the index whose id is that of a forgotten row: of as many as there are, the first."""
    for ids, rows in zip(revisions.buckets.paths("id"), revisions.buckets.paths("forgotten"), strict=True):
        index, known = _sorted(_records(ids, 2)), _sorted(_records(rows, 2))
        hit, at = _paired(index[:, 0], _ranks(index[:, 0]), known[:, 0])
        done[index[hit, 1].astype(np.int64)] = True
        left = np.ones(len(known), dtype=bool)
        left[at] = False
        revisions.remove(known[left, 1], ~_within(known[left, 0], index[:, 0]))


def _join(index: Hashes, known: Hashes, done: Flags, repeated: Flags, revisions: _Revisions) -> None:
    """Settle one bucket. index: records (hash, row, state, id); known: (hash, place, state)."""
    index = _sorted(index)
    listed = index[:, 0]
    index = index[~done[index[:, 1].astype(np.int64)]]
    keys, rows = index[:, 0], index[:, 1].astype(np.int64)
    ranks = _ranks(keys)
    again = (ranks > 0) & (keys != EMPTY)
    repeated[rows[again]] = True
    if not len(known):
        return
    kinds = _kinds(known[:, 1])
    single = (kinds < REPEAT) & (known[:, 0] != EMPTY)

    newest = ~(known[:, 1] & np.uint64(2**60 - 1))
    best = known[single][np.lexsort((newest[single], kinds[single], known[single, 0]))]
    first = _ranks(best[:, 0]) == 0
    revisions.remove(best[~first, 1], ~_within(best[~first, 0], listed))
    best = best[first]
    ask_again = _kinds(best[:, 1]) == AGAIN
    revisions.remove(best[ask_again, 1], ~_within(best[ask_again, 0], listed))
    for part, others in (
        (index[(ranks == 0) & (keys != EMPTY)], best[~ask_again]),
        (index[again | (keys == EMPTY)], _sorted(known[~single])),
    ):
        left = _settle(part, others, done, repeated, revisions)
        revisions.remove(left[:, 1], ~_within(left[:, 0], listed))


def _settle(index: Hashes, known: Hashes, done: Flags, repeated: Flags, revisions: _Revisions) -> Hashes:
    """Pair rows of the index with those of shards that have the same key, each in order; both are sorted. Returns the
    rows of shards that are left over."""
    hit, at = _paired(index[:, 0], _ranks(index[:, 0]), known[:, 0])
    index, matched = index[hit], known[at]
    kinds = _kinds(matched[:, 1])
    standing = index[kinds != STALE, 1].astype(np.int64)
    done[standing] = True
    repeated[standing] = False
    other = matched[:, 2] != np.where(kinds <= STALE, index[:, 2], index[:, 3])
    revisions.change(matched[other, 1], index[other, 1])
    left = np.ones(len(known), dtype=bool)
    left[at] = False
    return known[left]


def _paired(keys: Hashes, ranks: NDArray[np.int64], others: Hashes) -> tuple[Flags, NDArray[np.int64]]:
    """Which keys, each being the ``ranks``-th of its value, have a partner among the sorted others, and where."""
    at = np.searchsorted(others, keys, "left") + ranks
    hit = at < np.searchsorted(others, keys, "right")
    return hit, at[hit]


def _within(keys: Hashes, others: Hashes) -> Flags:
    """Which keys are among the sorted others."""
    return np.searchsorted(others, keys, "left") < np.searchsorted(others, keys, "right")


def _sorted(records: Hashes) -> Hashes:
    return records[np.lexsort((records[:, 1], records[:, 0]))]


def _ranks(keys: Hashes) -> NDArray[np.int64]:
    """Of each of the sorted keys, how many equal ones come before it."""
    return np.arange(len(keys)) - np.searchsorted(keys, keys)


def _kinds(places: Hashes) -> NDArray[np.uint8]:
    return (places >> np.uint64(60)).astype(np.uint8)


def _records(path: Path, width: int) -> Hashes:
    return np.fromfile(path, np.uint64).reshape(-1, width)
