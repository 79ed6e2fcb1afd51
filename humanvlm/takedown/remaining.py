"""What may still hold a forgotten sample and is not ours to delete: named, with what clears it."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from humanvlm.data.hashing import sha256_file
from humanvlm.data.places import Place
from humanvlm.data.shards import open_shard
from humanvlm.data.tombstones import Tombstones
from humanvlm.errors import UserError
from humanvlm.export import folder as exports
from humanvlm.takedown import dvc_cache
from humanvlm.takedown.artifacts import Artifact, project_files
from humanvlm.takedown.lines import count_lines
from humanvlm.takedown.rows import covers, keys_of

LISTED = 10


def remaining(
    root: Path,
    stones: Tombstones,
    artifacts: Sequence[Artifact],
    near_duplicates: Sequence[str],
    outdated: Sequence[str],
    current: frozenset[str],
) -> Iterator[str]:
    """Every copy that is known to be left, or may be, and what clears it. current: identities of clean artifacts."""
    yield from _in_data(root / "data", stones)
    if near_duplicates:
        listing = ", ".join(near_duplicates[:LISTED]) + (", ..." if len(near_duplicates) > LISTED else "")
        yield f"artifacts: {len(near_duplicates):,} near duplicates: {listing}; --near-duplicates takes them too"
    if outdated:
        yield f"{', '.join(outdated)}: made with forgotten samples; `humanvlm run` or `dvc repro` repeats them"
    for folder in (artifact.folder / ".work" for artifact in artifacts if not artifact.sharded):
        if (folder / "tokens").is_dir():
            yield f"{folder}: texts of a training under way; delete it to begin anew"
    yield from _exported(root, current)
    yield from _elsewhere(root, stones, [artifact.folder for artifact in artifacts])
    yield from _in_dvc(root)


def _exported(root: Path, current: frozenset[str]) -> Iterator[str]:
    """Exports that are not of an artifact as it is now."""
    found = {path.parent for path in project_files(root) if path.name == exports.LISTING}
    for folder in sorted(found | set(exports.noted(root))):
        if not folder.is_dir():
            yield f"{folder}: an export was there; copies of it may be elsewhere"
        elif not exports.is_of(folder, current):
            yield f"{folder}: an export of before; delete it, or export again to the same folder"


def _elsewhere(root: Path, stones: Tombstones, artifacts: Sequence[Path]) -> Iterator[str]:
    """Files in further folders of the project that hold, show or name a forgotten sample."""
    apart = [*artifacts, *{path.parent for path in project_files(root) if path.name == exports.LISTING}]
    for path in project_files(root):
        if any(path.is_relative_to(folder) for folder in apart):
            continue
        if path.suffix == ".html":
            if b"data:image/" in path.read_bytes():
                yield f"{path}: a page with pictures; delete it"
        elif path.suffix == ".parquet":
            if rows := _rows(path, stones):
                yield f"{path}: {rows:,} rows; delete them, or make it again"
        elif path.suffix in (".json", ".jsonl"):
            if lines := count_lines(path, stones):
                yield f"{path}: {lines:,} lines; delete them, or make it again"
        elif path.stat().st_size <= dvc_cache.LARGEST and stones.covers(sha256=sha256_file(path)):
            yield f"{path}: the picture; delete it"


def _rows(path: Path, stones: Tombstones) -> int:
    """Rows of a table with sample ids, or URLs, that are forgotten."""
    try:
        names = open_shard(path).schema_arrow.names
        return sum(covers(stones, {"id": None, **row}) for row in keys_of(path)) if {"id", "url"} & set(names) else 0
    except UserError:
        return 0  # not Parquet


def _in_dvc(root: Path) -> Iterator[str]:
    if (root / ".dvc").is_dir():
        yield "dvc.lock: names the artifacts of before; `dvc commit --force` records them as they are"
    if names := dvc_cache.remotes(root):
        yield f"DVC's remote {', '.join(names)}: after that, `dvc gc --workspace --cloud` for each"
    if copies := sorted((root / ".dvc" / "tmp" / "exps").glob("*/artifacts")):
        yield f"{copies[0].parents[1]}: {len(copies):,} copies of the project by `dvc exp`; delete them"


def _in_data(data: Path, stones: Tombstones) -> Iterator[str]:
    """Rows of the index, picture files, and lines of the other files that name one."""
    from humanvlm.scrape.urls import open_index, read_index

    index = data / "index.parquet"
    if index.exists():
        total = open_index(index).metadata.num_rows
        rows = 0
        here: list[Place] = []
        for row in read_index(index, 0, total):
            if stones.covers(row.id, row.url, row.sha256):
                rows += 1
                here += [row.place] if row.place and len(here) < LISTED else []
        if rows:
            yield f"{index}: {rows:,} rows; they are not fetched again, take them out of the list it was made from"
        yield from (f"{place}: the picture, in a source of the index; delete it there" for place in here)
    files = [path for path in sorted(data.rglob("*")) if path.is_file()] if stones.pictures else []
    pictures = [path for path in files if path != index and stones.covers(sha256=sha256_file(path))]
    for path in pictures[:LISTED]:
        yield f"{path}: the picture; delete it"
    if len(pictures) > LISTED:
        yield f"{data}: {len(pictures) - LISTED:,} more pictures; delete them"
    for path in sorted(data.rglob("*.jsonl")):
        names = {os.path.relpath(picture, folder) for picture in pictures for folder in (data, path.parent)}
        if lines := count_lines(path, stones, names):
            yield f"{path}: {lines:,} lines; delete them, or make it again"
