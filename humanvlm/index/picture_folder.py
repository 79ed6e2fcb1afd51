"""A folder of pictures as a table: their paths, with the texts of metadata files or of ``.txt`` files beside them.

A metadata file is ``metadata.csv``, ``metadata.jsonl`` or ``metadata.parquet`` with a column ``file_name``, relative to
its own folder, as the ImageFolder datasets of Hugging Face have it.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from humanvlm.index.layout import PATH_COLUMNS, find_layout
from humanvlm.index.parquet_files import parquet_table
from humanvlm.index.tables import PICTURES, Line, Table, common_type
from humanvlm.index.text_files import text_table

METADATA = ("metadata.csv", "metadata.tsv", "metadata.jsonl", "metadata.parquet")
ABSENT = "no_such_file"
PATH = "path"


def is_picture_folder(files: Iterable[Path]) -> bool:
    """Whether any of the files is named as pictures are."""
    return any(_is_picture(file) for file in files)


def _is_picture(file: Path) -> bool:
    return file.suffix.lower() in PICTURES


def picture_table(folder: Path, files: Sequence[Path], encoding: str | None = None) -> tuple[Table, set[Path]]:
    """The pictures among the files, and which files were used. Rows that metadata have come first, in their order, then
    the pictures that they do not name. A name without its file is counted as ``no_such_file``."""
    opened = [(file, _metadata(file, encoding)) for file in files if file.name.lower() in METADATA]
    metadata = [(file, table, column) for file, table in opened if (column := _path_column(table))]
    pictures = {file.relative_to(folder).as_posix(): file for file in files if _is_picture(file)}
    beside = set(files).intersection(file.with_suffix(".txt") for file in pictures.values())
    columns: dict[str, pa.DataType] = {PATH: pa.string()}
    for _, table, column in metadata:
        for name, kind in table.columns.items():
            if name not in (PATH, column):
                columns[name] = common_type(columns.get(name, pa.null()), kind)
    text = next(iter(find_layout(str(folder), [*columns]).texts), "text")
    columns.setdefault(text, pa.string())

    def read(wanted: Sequence[str]) -> Iterator[Line]:
        named: set[str] = set()
        for file, table, column in metadata:
            for line in _read(table, column, file.parent.relative_to(folder), wanted):
                path = (line.row or {}).get(PATH)
                named.add(path or "")
                yield line if path is None or path in pictures else Line(line.number, None, ABSENT)
        for number, (path, file) in enumerate(pictures.items(), 1):
            if path not in named:
                said = file.with_suffix(".txt")
                yield Line(number, {PATH: path, text: _text(said) if said in beside else None})

    used = {*pictures.values(), *beside, *(file for file, _, _ in metadata)}
    return Table(str(folder), columns, read, "row"), used


def _metadata(file: Path, encoding: str | None) -> Table:
    return parquet_table(file) if file.suffix == ".parquet" else text_table(file, file.suffix.lower(), encoding)


def _path_column(table: Table) -> str | None:
    known = {name.casefold(): name for name in reversed(list(table.columns))}
    return next((known[name] for name in ("file_name", *PATH_COLUMNS) if name in known), None)


def _read(table: Table, column: str, below: Path, wanted: Sequence[str]) -> Iterator[Line]:
    """Lines of a metadata file, its paths as those of the whole folder, in which its own is ``below``."""
    names = [name for name in wanted if name in table.columns and name not in (PATH, column)]
    for line in table.read([column, *names]):
        if line.row is None:
            yield line
            continue
        row: dict[str, Any] = {name: line.row.get(name) for name in names}
        name = line.row.get(column)
        row[PATH] = (below / name.strip()).as_posix() if isinstance(name, str) else None
        yield Line(line.number, row, line.reason)


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace")
