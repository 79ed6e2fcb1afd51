"""The files of a crawl: shards of kept rows, shards of dropped rows, and one record a shard.

``shard-N.parquet`` holds the pictures, ``dropped/shard-N.parquet`` the rows without one and why, and
``records/shard-N.json`` the counts and statistics of both. The record is written last: a shard without one is not
there.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from humanvlm.data.atomic_io import write_json
from humanvlm.data.columns import TLS, further
from humanvlm.data.dropped import FOLDER, Drop, dropped_path, dropped_row, write_dropped
from humanvlm.data.shards import (
    IMAGE,
    ShardFile,
    file_sizes,
    open_shard,
    read_rows,
    shard_name,
    store_of,
    write_shard,
)
from humanvlm.data.tombstones import FORGOTTEN, Tombstones
from humanvlm.pipeline.contract import Counts, ShardResult
from humanvlm.scrape.journal import Journal
from humanvlm.scrape.reconcile import AGAIN, DROP, PICTURE, REPEAT, Known, id_hashes, salt, state, url_hashes
from humanvlm.scrape.reconcile import FORGOTTEN as FORGOTTEN_ROW
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
        (TLS, pa.string()),  # verified, unverified (raw_scrape.verify_tls: false); null without TLS, or not known
    ]
)
ADDED_TO_DROPPED = {"status": pa.int32(), "fetched_at": SECONDS}


def no_picture(
    row: IndexRow, reason: str, detail: str = "", status: int | None = None, at: int | None = None
) -> dict[str, Any]:
    """A row without a picture. at: seconds since the epoch; None when the web was not asked."""
    return dropped_row(row.id, row.url, Drop(reason, detail), status=status, fetched_at=at)


def schema_with(fields: Iterable[pa.Field]) -> pa.Schema:
    """The columns of a shard of kept rows. fields: further columns of the index."""
    return pa.schema([*SCHEMA, *fields])


def metadata_of(row: IndexRow, fields: Sequence[pa.Field]) -> dict[str, Any]:
    """The columns of a kept row that the index alone decides. fields: names of what ``row.further`` has."""
    found = {"id": row.id, "text": row.text, "captions": list(row.texts), "license": row.license}
    return found | {field.name: value for field, value in zip(fields, row.further, strict=True)}


def write(
    out: Path,
    number: int,
    journal: Journal,
    others: Mapping[int, Mapping[str, Any]],
    settings: Mapping[str, Any],
    fields: Sequence[pa.Field] = (),
    added: Mapping[int, Mapping[str, Any]] | None = None,
) -> ShardResult:
    """Write a shard and its record from a journal, in the order of the index.

    others: dropped rows not in it. settings: under which its pictures were stored. fields: further columns of the
    index, and in ``added`` their values.
    """
    outcomes: dict[int, Mapping[str, Any]] = {key: entry.row for key, entry in journal.entries.items()} | dict(others)
    kept: list[int] = []
    dropped: list[int] = []
    for key in sorted(outcomes):
        (dropped if "reason" in outcomes[key] else kept).append(key)

    def pictures() -> Iterator[dict[str, Any]]:
        for key in kept:
            data = journal.data(journal.entries[key])
            yield {**outcomes[key], "image": {"bytes": data, "path": None}, **(added or {}).get(key, {})}

    main, _ = shard_paths(out, number)
    drops = write_dropped(main.parent, main.name, (outcomes[key] for key in dropped), ADDED_TO_DROPPED)
    files = (write_shard(main, pictures(), schema_with(fields)), drops)
    value = record_of(files, (outcomes[key] for key in sorted(outcomes)), settings)
    write_json(record_path(out, number), value)
    return _result(value)


def record_of(
    files: Sequence[ShardFile], rows: Iterable[Mapping[str, Any]], settings: Mapping[str, Any]
) -> dict[str, Any]:
    """What the record of a shard says: counts and statistics of its rows, and under which settings it was made."""
    statistics = statistics_of(rows)
    counts = Counts(files[0].rows + files[1].rows, files[0].rows, statistics["reasons"])
    return {**asdict(ShardResult(counts, tuple(files), statistics)), "settings": dict(settings)}


def renew_record(out: Path, number: int) -> None:
    """Write the record of a shard that has one anew, from the files as they are."""
    main, drops = shard_paths(out, number)
    files = [
        ShardFile.of(path.parents[name.count("/")], name, open_shard(path).metadata.num_rows)
        for path, name in ((main, main.name), (drops, f"{FOLDER}/{drops.name}"))
    ]
    write_json(record_path(out, number), record_of(files, metadata_rows(main, drops), settings_of(out, number)))


def settings_of(out: Path, number: int) -> dict[str, Any]:
    """The settings under which the pictures of a finished shard were stored; empty when that is not known."""
    found: dict[str, Any] = json.loads(record_path(out, number).read_text()).get("settings", {})
    former = out / "records" / "settings.json"  # one for all shards, as crawls of version 0.1 left it
    return found or (json.loads(former.read_text()) if former.exists() else {})


def _result(value: Mapping[str, Any]) -> ShardResult:
    files = tuple(ShardFile(**file) for file in value["files"])
    return ShardResult(Counts(**value["counts"]), files, value["info"])


def record_path(out: Path, number: int) -> Path:
    return out / "records" / f"shard-{number:05d}.json"


def shard_paths(out: Path, number: int) -> tuple[Path, Path]:
    """The files of the kept and of the dropped rows of a shard."""
    folder = store_of(out)
    return folder / shard_name(number), dropped_path(folder, shard_name(number))


def read_record(out: Path, number: int) -> ShardResult:
    """The record of a shard that has one."""
    return _result(json.loads(record_path(out, number).read_text()))


def read_records(out: Path) -> dict[int, ShardResult]:
    """Finished shards by number. A record whose files have another size than it says is not believed."""
    found = {}
    sizes = file_sizes(store_of(out))
    for path in sorted((out / "records").glob("shard-*.json")):
        result = _result(json.loads(path.read_text()))
        if all(sizes.get(file.path) == file.bytes for file in result.files):
            found[int(path.stem.removeprefix("shard-"))] = result
    return found


def remove_unrecorded(out: Path, numbers: Iterable[int]) -> None:
    """Delete shard files and records whose number is not among ``numbers``: leftovers of a kill."""
    known = set(numbers)
    shards = store_of(out)
    for folder, pattern in ((shards, "*.parquet"), (shards / FOLDER, "*.parquet"), (out / "records", "*.json")):
        for path in folder.glob(f"shard-{pattern}"):
            if int(path.stem.removeprefix("shard-")) not in known:
                path.unlink()


def read_known(
    out: Path, number: int, fields: Sequence[pa.Field], ask_again: Callable[[str], bool], tombstones: Tombstones
) -> tuple[Known, bool]:
    """What the rows of a finished shard are, no picture being read; and whether the shard has to be written again
    whatever the index says, because rows were taken down, or its further columns are not ``fields``."""
    main, drops = shard_paths(out, number)
    schema = open_shard(main).schema_arrow
    own = [schema.field(name) for name in further(schema.names)]
    outdated = (salted := salt(own)) != salt(fields)
    kinds, keys, states = [], [], []
    columns = ("id", "url", "sha256", "text", "captions", "license")
    for row in read_rows(main, [*columns, *(field.name for field in own)]):
        outdated |= tombstones.covers(id=row["id"], url=row["url"], sha256=row["sha256"])
        kinds.append(PICTURE)
        keys.append(row["url"].encode())
        others = [row[field.name] for field in own]
        states.append(state(salted, row["text"], row["captions"], row["license"], others))
    ids, forgotten = [], []
    for row in read_rows(drops, ("id", "url", "reason")):
        kind = _kind(row["reason"], ask_again)
        outdated |= kind != FORGOTTEN_ROW and tombstones.covers(id=row["id"], url=row["url"])
        kinds.append(kind)
        keys.append((row["url"] or "").encode())
        ids.append(row["id"])
        forgotten.append(kind == FORGOTTEN_ROW)
    hashes, id_keys = url_hashes(keys), id_hashes(ids)
    hashes = np.concatenate([hashes[: len(states)], np.where(forgotten, id_keys, hashes[len(states) :])])
    kept = np.frombuffer(b"".join(states), "<u8")
    return Known(number, np.array(kinds, np.uint8), hashes, np.concatenate([kept, id_keys])), outdated


def _kind(reason: str, ask_again: Callable[[str], bool]) -> int:
    if reason == FORGOTTEN:
        return FORGOTTEN_ROW
    if reason == DUPLICATE:
        return REPEAT
    return AGAIN if ask_again(reason) else DROP


def metadata_rows(main: Path, drops: Path) -> Iterator[dict[str, Any]]:
    """All rows of a shard's two files without their pictures, kept ones first."""
    yield from read_rows(main, [name for name in SCHEMA.names if name != "image"])
    yield from read_rows(drops)
