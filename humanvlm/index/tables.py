"""Open whatever holds a list of URLs or pictures as a table: column names, and rows that are read as a stream."""

import csv
import gzip
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, TextIO

from humanvlm.data.shards import open_shard
from humanvlm.errors import UserError
from humanvlm.weights.hub import open_hub

PICTURES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".avif", ".bmp", ".tif", ".tiff", ".jp2"}
SUFFIXES = {".txt", ".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet"}
PEEK = 100
BATCH = 1000

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """columns: names found. read: rows with at least the columns asked for; None stands for a malformed row."""

    columns: tuple[str, ...]
    read: Callable[[Sequence[str]], Iterator[Row | None]]


def open_table(source: str) -> Table:
    """Open a folder of pictures or of Parquet files, a txt, csv, tsv, jsonl, json or parquet file (text files may be
    gzipped), a saved Hugging Face dataset, or a dataset id. Raises UserError naming what cannot be opened."""
    path = Path(source)
    if path.is_dir():
        return _folder(path)
    suffix = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
    if path.is_file():
        return _file(path, suffix.lower())
    if suffix.lower() in SUFFIXES or source.startswith((".", "/", "~")):
        raise UserError(f"{source}: no such file or folder")
    return _hub(source)


def _folder(path: Path) -> Table:
    if (path / "dataset_info.json").exists() or (path / "dataset_dict.json").exists():
        from datasets import load_from_disk

        return _dataset(load_from_disk(str(path)))
    parquet = sorted(path.rglob("*.parquet"))
    if parquet:
        return _parquet(parquet)
    if not any(_pictures(path)):
        raise UserError(f"{path}: no pictures, Parquet files or saved dataset in this folder")
    return Table(("path", "text"), lambda columns: ({"path": name, "text": text} for name, text in _captioned(path)))


def _pictures(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURES and path.is_file())


def _captioned(folder: Path) -> Iterator[tuple[str, str | None]]:
    for path in _pictures(folder):
        sidecar = path.with_suffix(".txt")
        text = sidecar.read_text(encoding="utf-8", errors="replace") if sidecar.exists() else None
        yield path.relative_to(folder).as_posix(), text


def _file(path: Path, suffix: str) -> Table:
    if suffix == ".parquet":
        return _parquet([path])
    if suffix == ".txt":
        return Table(("url", "text"), lambda columns: _lines(path))
    if suffix in (".csv", ".tsv"):
        return _csv(path, "\t" if suffix == ".tsv" else ",")
    if suffix in (".jsonl", ".ndjson"):
        return _peeked(path, lambda: _json_lines(path))
    if suffix == ".json":
        return _peeked(path, lambda: _json(path))
    raise UserError(f"{path}: unknown kind of file; must be one of {', '.join(sorted(SUFFIXES))}, or a folder")


def _text(path: Path) -> TextIO:
    """Text with or without a byte order mark; bytes that are not UTF-8 become replacement characters."""
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", errors="replace", newline="")
    return path.open(encoding="utf-8-sig", errors="replace", newline="")


def _lines(path: Path) -> Iterator[Row]:
    """One URL a line, with its text after a tab; blank lines do not count."""
    with _text(path) as file:
        for line in file:
            url, _, text = line.strip("\r\n").partition("\t")
            if url.strip() or text:
                yield {"url": url, "text": text}


def _csv(path: Path, delimiter: str) -> Table:
    csv.field_size_limit(sys.maxsize)

    def read(columns: Sequence[str]) -> Iterator[Row]:
        with _text(path) as file:
            reader = csv.DictReader(file, delimiter=delimiter)
            try:
                yield from reader
            except csv.Error as error:
                raise UserError(f"{path}: line {reader.line_num}: {error}") from None

    with _text(path) as file:
        header = next(csv.reader(file, delimiter=delimiter), [])
    return Table(tuple(header), read)


def _json_lines(path: Path) -> Iterator[Row | None]:
    with _text(path) as file:
        for line in file:
            if line.strip():
                yield _object(line)


def _object(line: str) -> Row | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _json(path: Path) -> Iterator[Row | None]:
    """A list of objects, read whole; a file that holds one object a line is read as such."""
    with _text(path) as file:
        try:
            value = json.load(file)
        except (ValueError, RecursionError):
            value = None
    if not isinstance(value, list):
        yield from _json_lines(path)
        return
    yield from (row if isinstance(row, dict) else None for row in value)


def _peeked(path: Path, read: Callable[[], Iterator[Row | None]]) -> Table:
    """Columns are the keys of the first rows, in order of appearance."""
    rows = [row for row in islice(read(), PEEK) if row is not None]
    if not rows:
        raise UserError(f"{path}: none of its first {PEEK} rows is a JSON object")
    return Table(tuple(dict.fromkeys(chain.from_iterable(rows))), lambda columns: read())


def _parquet(paths: Sequence[Path]) -> Table:
    def read(columns: Sequence[str]) -> Iterator[Row]:
        for path in paths:
            file = open_shard(path)
            missing = set(columns) - set(file.schema_arrow.names)
            if missing:
                raise UserError(f"{path}: no column {min(missing)!r}, which {paths[0]} has")
            for batch in file.iter_batches(BATCH, columns=list(columns)):
                yield from batch.to_pylist()

    return Table(tuple(open_shard(paths[0]).schema_arrow.names), read)


def _hub(name: str) -> Table:
    may = open_hub()
    from datasets import load_dataset
    from datasets.exceptions import DatasetsError

    try:
        return _dataset(load_dataset(name, streaming=True))
    except (OSError, ValueError, DatasetsError) as error:
        reason = " ".join(str(error).split())[:160]
        remedy = "check the name and the network (HF_ENDPOINT), or set HF_TOKEN when it is private"
        if not may or os.environ.get("HF_DATASETS_OFFLINE"):
            remedy = "to ask the hub, unset HF_HUB_OFFLINE, TRANSFORMERS_OFFLINE and HF_DATASETS_OFFLINE"
        raise UserError(
            f"{name}: no such file or folder here, and as a Hugging Face dataset: {reason}; {remedy}"
        ) from None


def _dataset(dataset: Any) -> Table:
    """All splits of a dataset, in its order."""
    splits: Iterable[Any] = dataset.values() if isinstance(dataset, dict) else [dataset]
    splits = list(splits)
    columns = splits[0].column_names or list(next(iter(splits[0]), {}))

    def read(wanted: Sequence[str]) -> Iterator[Row]:
        for split in splits:
            yield from split.select_columns(list(wanted))

    return Table(tuple(columns), read)
