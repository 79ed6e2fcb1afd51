"""Finished shards written again: other metadata of the index, other settings, rows that leave.

The new files of a shard are written whole beside the old ones, its new record last; only then they take their places.
Killed before the record is there, the old shard stands; killed after it, ``mend`` completes the change.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from humanvlm.config.raw_scrape import RawScrape
from humanvlm.data.atomic_io import move_file, write_json
from humanvlm.data.columns import further
from humanvlm.data.dropped import Drop, dropped_path, dropped_row, write_dropped
from humanvlm.data.shards import ShardError, file_sizes, open_shard, read_rows, store_of, write_shard
from humanvlm.data.tombstones import FORGOTTEN, Tombstones
from humanvlm.scrape import store
from humanvlm.scrape.reasons import RefusedError
from humanvlm.scrape.recheck import withdrawals
from humanvlm.scrape.reconcile import salt
from humanvlm.scrape.settings import ENCODINGS, changed, derived, matter, needs_download, settings
from humanvlm.scrape.urls import IndexRow


@dataclass(frozen=True)
class Revision:
    """What a finished shard becomes. rows: of the index, by the places (kept rows first) of the rows that have their
    metadata. removed: places of rows that leave. config, fields, tombstones: those of this crawl. What was answered
    when sites were asked again is read from its journal (``recheck``)."""

    out: Path
    number: int
    rows: Mapping[int, IndexRow]
    removed: frozenset[int]
    config: RawScrape
    fields: Sequence[pa.Field]
    tombstones: Tombstones

    def covers(self, row: Mapping[str, Any]) -> bool:
        """Whether a row was taken down since."""
        return self.tombstones.covers(id=row["id"], url=row["url"], sha256=row.get("sha256"))


def revise(task: Revision) -> int:
    """Write a shard again; return how many pictures stand as other settings made them, for want of a download."""
    main, drops = store.shard_paths(task.out, task.number)
    old = store.settings_of(task.out, task.number)
    keys = matter(changed(old, task.config), old, task.config)
    kept = open_shard(main).metadata.num_rows
    files = list(store.read_record(task.out, task.number).files)
    staged = _staged(task.out)
    gone = withdrawals(task.out, task.number)
    left: list[int] = []
    dropped: list[dict[str, Any]] = []
    if gone or _concerns_pictures(task, main, kept, keys):
        rows = _kept_rows(task, main, keys, gone, dropped, left)
        files[0] = write_shard(staged / main.name, rows, store.schema_with(task.fields))
        main = staged / main.name
    if dropped or _concerns_drops(task, drops, kept):
        dropped = [*_dropped_rows(task, drops, kept), *dropped]
        files[1] = write_dropped(staged, drops.name, dropped, store.ADDED_TO_DROPPED)
        drops = staged / files[1].path
    record = store.record_of(files, store.metadata_rows(main, drops), settings(task.config))
    write_json(staged / f"shard-{task.number:05d}.json", record)
    _take_place(task.out, task.number)
    return len(left)


def mend(out: Path) -> None:
    """Complete what a kill left: changes whose files are whole, and records of shards that changed after them."""
    for path in sorted(_staged(out).glob("shard-*.json")):
        _take_place(out, int(path.stem.removeprefix("shard-")))
    shutil.rmtree(_staged(out), ignore_errors=True)
    sizes = file_sizes(store_of(out))
    for path in sorted((out / "records").glob("shard-*.json")):
        number = int(path.stem.removeprefix("shard-"))
        if any(sizes.get(file.path) != file.bytes for file in store.read_record(out, number).files):
            try:
                store.renew_record(out, number)
            except (ShardError, OSError):  # a damaged file: its rows are fetched again
                continue


def _staged(out: Path) -> Path:
    return out / ".work" / "revised"


def _concerns_pictures(task: Revision, main: Path, kept: int, keys: tuple[str, ...]) -> bool:
    schema = open_shard(main).schema_arrow
    return (
        not set(keys) <= set(ENCODINGS)
        or any(place < kept for places in (task.rows, task.removed) for place in places)
        or not set(store.SCHEMA.names) <= set(schema.names)  # of before: shards have the same columns
        or salt(schema.field(name) for name in further(schema.names)) != salt(task.fields)
        or any(task.covers(row) for row in read_rows(main, ("id", "url", "sha256")))
    )


def _concerns_drops(task: Revision, drops: Path, kept: int) -> bool:
    return any(place >= kept for places in (task.rows, task.removed) for place in places) or any(
        row["reason"] != FORGOTTEN and task.covers(row) for row in read_rows(drops, ("id", "url", "reason"))
    )


def _kept_rows(
    task: Revision,
    main: Path,
    keys: tuple[str, ...],
    gone: Mapping[str, Mapping[str, Any]],
    dropped: list[dict[str, Any]],
    left: list[int],
) -> Iterator[dict[str, Any]]:
    """The rows that stay; those that are refused now are appended to ``dropped``, places of those that would need a
    download to ``left``."""
    for place, row in enumerate(read_rows(main)):
        if place in task.removed:
            continue
        if found := task.rows.get(place):
            row |= store.metadata_of(found, task.fields)
        if task.covers(row):
            dropped.append(dropped_row(row["id"], row["url"], Drop(FORGOTTEN), status=None, fetched_at=None))
            continue
        if answer := gone.get(row["url"]):
            drop = Drop(answer["reason"], answer["detail"])
            asked = {name: answer[name] for name in ("status", "fetched_at")}
            dropped.append(dropped_row(row["id"], row["url"], drop, **asked))
            continue
        if needs_download(row, keys, task.config):
            left.append(place)
        try:
            picture = derived(row, row["image"]["bytes"], keys, task.config) if keys else None
        except RefusedError as refusal:
            drop = Drop(refusal.reason, refusal.detail)
            asked = {name: row[name] for name in ("status", "fetched_at")}
            dropped.append(dropped_row(row["id"], row["url"], drop, **asked))
            continue
        if picture:
            row |= {"image": {"bytes": picture.data, "path": None}, "bytes": len(picture.data)}
            row |= {name: getattr(picture, name) for name in ("width", "height", "format", "sha256")}
        yield row


def _dropped_rows(task: Revision, drops: Path, kept: int) -> Iterator[dict[str, Any]]:
    for place, row in enumerate(read_rows(drops), kept):
        if place in task.removed:
            continue
        if found := task.rows.get(place):
            row["id"] = found.id
        if row["reason"] != FORGOTTEN and task.covers(row):
            row |= dropped_row(row["id"], "", Drop(FORGOTTEN))
        yield row


def _take_place(out: Path, number: int) -> None:
    """Move the staged files of a shard, as far as they are still there, and its record into their places."""
    main, drops = store.shard_paths(out, number)
    staged = _staged(out)
    for source, target in ((staged / main.name, main), (dropped_path(staged, drops.name), drops)):
        if source.exists():
            _move(source, target)
    record = staged / f"shard-{number:05d}.json"
    move_file(record, store.record_path(out, number))


def _move(source: Path, target: Path) -> None:
    if not isinstance(target, Path):
        target.fs.put_file(str(source), target.path)
        source.unlink()
        return
    move_file(source, target)
