"""What else may hold a forgotten sample: cached pages, which are deleted, and the rest, which is named."""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from humanvlm.data.hashing import sha256_file
from humanvlm.data.places import Place
from humanvlm.data.tombstones import Tombstones
from humanvlm.inference.cache import forget_replies, store_folder

LISTED = 10


def remove_pages(root: Path) -> Iterator[str]:
    """Delete the cached pages of ``humanvlm show``."""
    pages = sorted(root.glob(".state/show/*.html"))
    for page in pages:
        page.unlink()
    if pages:
        yield f"{root / '.state' / 'show'}: {len(pages)} pages removed"


def remove_replies(root: Path, stones: Tombstones) -> Iterator[str]:
    """Delete the kept replies of models that tell of a forgotten picture, and name those that may."""
    folder = root / store_folder()
    unknown = 0
    for path, removed, silent in forget_replies(folder, lambda picture: stones.covers(sha256=picture)):
        unknown += silent
        if removed:
            yield f"{path}: {removed:,} replies removed"
    if unknown:
        yield f"{folder}: {unknown:,} replies do not say of which picture they tell; delete their files to be sure"


def remove_records(folder: Path, stones: Tombstones) -> Iterator[str]:
    """Delete the per-sample records of an evaluation that name a forgotten sample, and the page made from them."""
    records = [path for path in sorted(folder.rglob("*.jsonl")) if count_lines(path, stones)]
    for path in [*(folder.glob("*.html") if records else ()), *records]:  # the page first: records tell that it is due
        path.unlink()
        yield f"{path}: removed; `humanvlm {folder.name}` makes it again"


def remaining(root: Path, stones: Tombstones, near_duplicates: Sequence[str], outdated: Sequence[str]) -> list[str]:
    """Lines that name every copy that is known to be left, or may be, and what clears it."""
    lines = list(_in_data(root / "data", stones))
    if near_duplicates:
        listing = ", ".join(near_duplicates[:LISTED]) + (", ..." if len(near_duplicates) > LISTED else "")
        lines.append(
            f"artifacts: {len(near_duplicates):,} near duplicates: {listing}; --near-duplicates takes them too"
        )
    if outdated:
        lines.append(f"{', '.join(outdated)}: made with forgotten samples; `humanvlm run` or `dvc repro` repeats them")
    if (root / ".dvc").is_dir():
        lines.append("DVC's cache: `dvc commit --force`, then `dvc gc --workspace` (with --cloud: remotes too)")
    if (root / ".state" / "mlflow.db").exists() or os.environ.get("MLFLOW_TRACKING_URI", "none") != "none":
        lines.append("MLflow: earlier runs hold contact sheets and reports; delete these runs, then `mlflow gc`")
    return ["may still hold copies:", *(f"  {line}" for line in lines)] if lines else []


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


def count_lines(path: Path, stones: Tombstones, names: set[str] | None = None) -> int:
    """Lines of a JSONL file in which some text is a forgotten id, URL or hash, or one of ``names``."""
    with path.open(encoding="utf-8", errors="replace") as file:
        return sum(any(_names(text, stones, names or set()) for text in _texts(line)) for line in file)


def _names(text: str, stones: Tombstones, names: set[str]) -> bool:
    return text in names or stones.covers(text, text if "://" in text else None, text)


def _texts(line: str) -> Iterator[str]:
    """All strings in a line of JSON; none when it is not JSON."""
    try:
        values: list[Any] = [json.loads(line)]
    except (ValueError, RecursionError):
        return
    while values:
        value = values.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            values += value.values()
        elif isinstance(value, list):
            values += value
