"""The files of a crawl: shards of kept rows, shards of dropped rows, and one record a shard.

``shard-N.parquet`` holds the pictures, ``dropped/shard-N.parquet`` the rows without one and why, and
``records/shard-N.json`` the counts and statistics of both. The record is written last: a shard without one is not
there.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from humanvlm.data.atomic_io import write_json
from humanvlm.data.dropped import FOLDER, Drop, dropped_path, dropped_row, write_dropped
from humanvlm.data.shards import (
    IMAGE,
    ShardFile,
    file_sizes,
    filter_shard,
    read_rows,
    shard_name,
    store_of,
    write_shard,
)
from humanvlm.data.tombstones import FORGOTTEN, Tombstones
from humanvlm.pipeline.contract import Counts, ShardResult
from humanvlm.scrape.journal import Journal
from humanvlm.scrape.plan import Hashes, id_hashes, url_hashes
from humanvlm.scrape.statistics import statistics_of
from humanvlm.scrape.urls import IndexRow

DUPLICATE = "duplicate_url"
SECONDS = pa.timestamp("s", tz="UTC")
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("url", pa.string()),
        ("final_url", pa.string()),
        ("text", pa.string()),
        ("captions", pa.list_(pa.string())),
        ("license", pa.string()),
        ("image", IMAGE),
        ("bytes", pa.int32()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("format", pa.string()),
        ("sha256", pa.string()),  # of the stored bytes
        ("source_sha256", pa.string()),  # of the bytes as they were served
        ("status", pa.int32()),
        ("fetched_at", SECONDS),
        ("content_type", pa.string()),
        ("etag", pa.string()),
        ("last_modified", pa.string()),
        ("headers", pa.string()),  # JSON: the answer's headers on consent and licence
    ]
)
ADDED_TO_DROPPED = {"status": pa.int32(), "fetched_at": SECONDS}


def no_picture(
    row: IndexRow, reason: str, detail: str = "", status: int | None = None, at: int | None = None
) -> dict[str, Any]:
    """A row without a picture. at: seconds since the epoch; None when the web was not asked."""
    return dropped_row(row.id, row.url, Drop(reason, detail), status=status, fetched_at=at)


def write(out: Path, number: int, journal: Journal, others: Mapping[int, Mapping[str, Any]]) -> ShardResult:
    """Write a shard and its record from a journal, in the order of the index. others: dropped rows not in it."""
    outcomes: dict[int, Mapping[str, Any]] = {key: entry.row for key, entry in journal.entries.items()} | dict(others)
    kept: list[int] = []
    dropped: list[int] = []
    for key in sorted(outcomes):
        (dropped if "reason" in outcomes[key] else kept).append(key)

    def pictures() -> Iterator[dict[str, Any]]:
        for key in kept:
            data = journal.data(journal.entries[key])
            yield dict(outcomes[key]) | {"image": {"bytes": data, "path": None}}

    main, _ = shard_paths(out, number)
    drops = write_dropped(main.parent, main.name, (outcomes[key] for key in dropped), ADDED_TO_DROPPED)
    files = (write_shard(main, pictures(), SCHEMA), drops)
    return record(out, number, files, (outcomes[key] for key in sorted(outcomes)))


def record(out: Path, number: int, files: tuple[ShardFile, ...], rows: Iterable[Mapping[str, Any]]) -> ShardResult:
    """Write the record of a shard whose files are in place."""
    statistics = statistics_of(rows)
    counts = Counts(files[0].rows + files[1].rows, files[0].rows, statistics["reasons"])
    result = ShardResult(counts, files, statistics)
    write_json(record_path(out, number), asdict(result))
    return result


def record_path(out: Path, number: int) -> Path:
    return out / "records" / f"shard-{number:05d}.json"


def shard_paths(out: Path, number: int) -> tuple[Path, Path]:
    """The files of the kept and of the dropped rows of a shard."""
    folder = store_of(out)
    return folder / shard_name(number), dropped_path(folder, shard_name(number))


def read_records(out: Path) -> dict[int, ShardResult]:
    """Finished shards by number. A record whose files have another size than it says is not believed."""
    found = {}
    sizes = file_sizes(store_of(out))
    for path in sorted((out / "records").glob("shard-*.json")):
        value = json.loads(path.read_text())
        files = tuple(ShardFile(**file) for file in value["files"])
        if all(sizes.get(file.path) == file.bytes for file in files):
            found[int(path.stem.removeprefix("shard-"))] = ShardResult(Counts(**value["counts"]), files, value["info"])
    return found


def remove_unrecorded(out: Path, numbers: Iterable[int]) -> None:
    """Delete shard files and records whose number is not among ``numbers``: leftovers of a kill."""
    known = set(numbers)
    shards = store_of(out)
    for folder, pattern in ((shards, "*.parquet"), (shards / FOLDER, "*.parquet"), (out / "records", "*.json")):
        for path in folder.glob(f"shard-{pattern}"):
            if int(path.stem.removeprefix("shard-")) not in known:
                path.unlink()


@dataclass(frozen=True)
class Ids:
    """Id hashes of a finished shard's rows.

    known: kept and dropped rows that stand. again: dropped rows to ask for again. repeated: rows dropped as
    duplicate_url. covered: kept and dropped rows that were taken down since. again_urls, repeated_urls: hashes of URLs.
    """

    known: Hashes
    again: Hashes
    again_urls: Hashes
    repeated: Hashes
    repeated_urls: Hashes
    covered: Hashes

    def asking_again(self, urls: Hashes) -> "Ids":
        """The same, with repetitions of the URLs (sorted hashes) among the rows to ask for again."""
        also = np.isin(self.repeated_urls, urls)
        again = np.concatenate([self.again, self.repeated[also]])
        left = {"repeated": self.repeated[~also], "repeated_urls": self.repeated_urls[~also]}
        return replace(self, again=again, **left)


def read_ids(out: Path, number: int, ask_again: Callable[[str], bool], tombstones: Tombstones) -> Ids:
    """Sort the rows of a finished shard; no picture is read."""
    known: list[str] = []
    again: list[tuple[str, str]] = []
    repeated: list[tuple[str, str]] = []
    covered: list[str] = []
    main, drops = shard_paths(out, number)
    for row in read_rows(main, ("id", "url", "sha256")):
        gone = tombstones.covers(id=row["id"], url=row["url"], sha256=row["sha256"])
        (covered if gone else known).append(row["id"])
    for row in read_rows(drops, ("id", "url", "reason")):
        reason = row["reason"]
        if reason == FORGOTTEN:
            known.append(row["id"])
        elif tombstones.covers(id=row["id"], url=row["url"]):
            covered.append(row["id"])
        elif reason == DUPLICATE:
            repeated.append((row["id"], row["url"]))
        elif ask_again(reason):
            again.append((row["id"], row["url"]))
        else:
            known.append(row["id"])
    return Ids(id_hashes(known), *_both_hashes(again), *_both_hashes(repeated), id_hashes(covered))


def _both_hashes(rows: Sequence[tuple[str, str]]) -> tuple[Hashes, Hashes]:
    return id_hashes(id for id, _ in rows), url_hashes([(url or "").encode() for _, url in rows])


def all_ids(out: Path, number: int) -> Hashes:
    """Id hashes of all rows of a finished shard."""
    return id_hashes(row["id"] for path in shard_paths(out, number) for row in read_rows(path, ("id",)))


def without(out: Path, number: int, result: ShardResult, *, kept: Hashes, dropped: Hashes) -> ShardResult:
    """Take rows out of a finished shard: kept rows and dropped rows whose id hash is in the sorted arrays.

    Both files are replaced whole, then the record; interrupted, it may be called again.
    """
    main, drops = result.files
    main_path, drops_path = shard_paths(out, number)
    left = filter_shard(main_path, partial(_absent, kept))
    left_drops = filter_shard(drops_path, partial(_absent, dropped))
    if left is None and left_drops is None:
        return result
    files = (left or main, replace(left_drops, path=drops.path) if left_drops else drops)
    return record(out, number, files, metadata_rows(out, number))


def _absent(hashes: Hashes, ids: list[str]) -> list[bool]:
    return list(~np.isin(id_hashes(ids), hashes))


def metadata_rows(out: Path, number: int) -> Iterator[dict[str, Any]]:
    """All rows of a shard without their pictures, kept ones first."""
    main, drops = shard_paths(out, number)
    yield from read_rows(main, [name for name in SCHEMA.names if name != "image"])
    yield from read_rows(drops)
