"""Sources as tables: files, folders, patterns, addresses of files, saved Hugging Face datasets and those of the hub."""

import csv
import glob
import os
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from gzip import BadGzipFile
from pathlib import Path
from typing import Any, cast

import pyarrow as pa

from humanvlm.data.picture_columns import open_saved
from humanvlm.errors import UserError
from humanvlm.index.parquet_files import parquet_table
from humanvlm.index.picture_folder import PATH, is_picture_folder, picture_table
from humanvlm.index.pictures import undamaged, with_files, with_parquet, with_saved
from humanvlm.index.tables import Line, Table, scalar_type
from humanvlm.index.tars import tar_table
from humanvlm.index.text_files import text_table
from humanvlm.shown import shown
from humanvlm.weights.hub import is_pinned, open_hub, warn_of_change

KINDS = ((".tar",), (".parquet",), (".jsonl", ".ndjson"), (".csv", ".tsv"), (".json",), (".txt",))
SUFFIXES = [suffix for kind in KINDS for suffix in kind]
PATTERN = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class Opened:
    """tables: of one source, in order. skipped: files that were not read, by suffix."""

    tables: tuple[Table, ...]
    skipped: Counter[str] = field(default_factory=Counter)


def open_source(source: str, encoding: str | None = None, *, pictures: bool = False) -> Opened:
    """Open a file, a folder, a pattern (``parts/*.parquet``), an address that fsspec reads (``s3://``, ``https://``),
    or a dataset id of the hub, ``ORG/NAME[@REVISION]``.

    Files: txt, csv, tsv, jsonl, json (gzipped or not) and parquet. Folders: of pictures, with their metadata.csv or
    texts beside them; of lists; a saved dataset. encoding: of text files, found by itself when not given. pictures:
    with those that a source on this machine holds. Raises UserError naming what cannot be opened.
    """
    if "://" in source:
        with readable(source):
            return _joined(_open_path(path, encoding) for path in _remote(source))
    path = Path(source).expanduser()
    if path.exists():
        return _open_path(path, encoding, pictures)
    if PATTERN.search(source):
        found = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207  # of Path, absolute patterns are errors
        if not found:
            raise UserError(f"{source}: no file has such a name")
        return _joined(_open_path(Path(name), encoding, pictures) for name in found)
    if _suffix(path.name) in SUFFIXES or source.startswith((".", "/", "~")):
        raise UserError(f"{source}: no such file or folder")
    return Opened((_hub(source),))


def _joined(opened: Iterable[Opened]) -> Opened:
    every = list(opened)
    return Opened(
        tuple(table for one in every for table in one.tables), sum((one.skipped for one in every), Counter[str]())
    )


def _suffix(name: str) -> str:
    """The kind of a file: its suffix, without the one of gzip."""
    path = Path(name.lower())
    return Path(path.stem).suffix if path.suffix == ".gz" else path.suffix


@contextmanager
def readable(name: str) -> Iterator[None]:
    """What goes wrong while a source is opened or read, as one line without secrets. Raises UserError."""
    name, remote = shown(name), "://" in name
    try:
        yield
    except (EOFError, BadGzipFile, zlib.error) as error:
        raise UserError(f"{name}: damaged gzip file ({error}); get it again") from None
    except csv.Error as error:
        raise UserError(f"{name}: {error}; is it a table?") from None
    except UnicodeError as error:
        raise UserError(f"{name}: cannot be decoded ({error}); name its encoding with --encoding") from None
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        raise UserError(
            f"{name}: cannot be read ({error.strerror or shown(str(error))}); check the name and its rights"
        ) from None
    except UserError as error:
        raise UserError(shown(str(error))) from None
    except Exception as error:
        if not remote:
            raise
        # Each file system of fsspec has errors of its own: of aiohttp, botocore, the network.
        reason = (shown(" ".join(str(error).split())) or type(error).__name__)[:160]
        raise UserError(f"{name}: cannot be read ({reason}); check the address, the network and credentials") from None


def _remote(source: str) -> list[Any]:
    """The file at an address, or those that a pattern finds; the web has no patterns: ``?`` is part of an address."""
    from upath import UPath

    try:
        path = UPath(source)
        if source.startswith("http") or not PATTERN.search(source):
            return [path] if path.fs else []
        found = [UPath(path.fs.unstrip_protocol(name)) for name in sorted(path.fs.glob(path.path))]
    except ImportError as error:
        reason = " ".join(str(error).split())[:120]
        extra = " (`pip install 'humanvlm[s3]'`)" if source.startswith("s3") else ""
        raise UserError(f"{source}: a package is missing: {reason}{extra}") from None
    if not found:
        raise UserError(f"{source}: no file has such a name")
    return found


def _open_path(path: Path, encoding: str | None, pictures: bool = False) -> Opened:
    with readable(str(path)):
        if path.is_dir():
            return _folder(path, encoding, pictures)
        return Opened((_file(path, encoding, path.resolve() if pictures else None),))


def _file(path: Path, encoding: str | None, root: Path | None) -> Table:
    """root: the source on this machine that the file is in, or is, when its pictures are wanted."""
    suffix = _suffix(path.name.partition("?")[0])
    if suffix == ".parquet":
        return with_parquet(parquet_table(path), path, root) if root else parquet_table(path)
    if suffix == ".tar":
        if not root:
            raise UserError(f"{path}: tars are read from this machine only; download it, and leave out --base-url")
        return tar_table(path, root)
    if suffix in SUFFIXES:
        return text_table(path, suffix, encoding)
    raise UserError(f"{path}: unknown kind of file; must be one of {', '.join(sorted(SUFFIXES))}, or a folder")


def _folder(path: Path, encoding: str | None, pictures: bool) -> Opened:
    """A saved dataset, pictures, or lists of one kind: the first kind of ``KINDS`` that is there."""
    if (path / "dataset_info.json").exists() or (path / "dataset_dict.json").exists():
        with undamaged(path):
            saved = open_saved(path)
        table, splits = _dataset(str(path), saved), saved if isinstance(saved, dict) else {"": saved}
        return Opened((with_saved(table, path, splits) if pictures else table,))
    files = sorted((file for file in path.rglob("*") if file.is_file() and not _hidden(file, path)), key=str)
    if is_picture_folder(files):
        table, used = picture_table(path, files, encoding)
        if pictures:
            table = with_files(table, path, PATH)
        return Opened((table,), _suffixes(file for file in files if file not in used))
    kind = next((kind for kind in KINDS if any(_suffix(file.name) in kind for file in files)), None)
    if kind is None:
        raise UserError(f"{path}: no pictures, lists or saved dataset in this folder")
    lists = [file for file in files if _suffix(file.name) in kind]
    root = path.resolve() if pictures else None
    return Opened(
        tuple(_file(file, encoding, root) for file in lists),
        _suffixes(file for file in files if file not in set(lists)),
    )


def _hidden(file: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(folder).parts)


def _suffixes(files: Iterable[Path]) -> Counter[str]:
    return Counter(file.suffix.lower() or file.name for file in files)


def _hub(name: str) -> Table:
    may = open_hub()
    from datasets import load_dataset
    from datasets.exceptions import DatasetsError

    repository, _, revision = name.partition("@")
    if not is_pinned(revision):
        warn_of_change(f"hub dataset {name}", f"{repository}@COMMIT")
    try:
        loaded = load_dataset(repository, revision=revision or None, streaming=True, trust_remote_code=False)
        return _dataset(name, loaded)
    except (OSError, ValueError, DatasetsError) as error:
        reason = " ".join(str(error).split())[:160]
        remedy = "check the name and the network (HF_ENDPOINT), or set HF_TOKEN when it is private"
        if not may or os.environ.get("HF_DATASETS_OFFLINE"):
            remedy = "to ask the hub, unset HF_HUB_OFFLINE, TRANSFORMERS_OFFLINE and HF_DATASETS_OFFLINE"
        raise UserError(
            f"{name}: no such file or folder here, and as a Hugging Face dataset: {reason}; {remedy}"
        ) from None


def _dataset(name: str, dataset: Any) -> Table:
    """All splits of a dataset, in its order."""
    splits: list[Any] = list(dataset.values() if isinstance(dataset, dict) else [dataset])
    features = splits[0].features
    names = splits[0].column_names or list(next(iter(splits[0]), {}))
    types = {field.name: scalar_type(field.type) for field in features.arrow_schema} if features else {}

    def read(wanted: Sequence[str]) -> Iterator[Line]:
        rows = (row for split in splits for row in split.select_columns(list(wanted)))
        return (Line(number, cast(dict[str, Any], row)) for number, row in enumerate(rows, 1))

    return Table(name, {column: types.get(column, pa.string()) for column in names}, read, "row")
