"""Columns of other people's tables that hold pictures: Hugging Face's ``Image`` struct, or plain bytes."""

import json
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from humanvlm.errors import UserError

BATCH = 16  # rows whose pictures are in memory


def may_hold_pictures(kind: pa.DataType) -> bool:
    """Whether a column of this type holds bytes, plain or in a struct with such a field."""
    if pa.types.is_struct(kind):
        place = kind.get_field_index("bytes")
        return place >= 0 and _is_bytes(kind.field(place).type)
    return _is_bytes(kind)


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def bytes_of(column: pa.Array) -> list[bytes | None]:
    """The pictures of such a column; None where a row has none, or only the path of one."""
    if pa.types.is_struct(column.type):
        column = column.flatten()[column.type.get_field_index("bytes")]
    found: list[bytes | None] = column.to_pylist()
    return [data or None for data in found]


def read_parquet(path: Path, name: str, rows: Sequence[int] | None = None) -> Iterator[tuple[int, bytes | None]]:
    """(row, picture) of a column of a Parquet file, a few at a time. rows: those wanted, ascending; all when None.

    Raises pa.ArrowException or OSError when the file is damaged, KeyError when it has no such column.
    """
    file = pq.ParquetFile(path, memory_map=True)  # a page, of which some writers make half a gigabyte, is not copied
    if name not in file.schema_arrow.names:
        raise KeyError(name)
    sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
    wanted = None if rows is None else np.asarray(rows, np.int64)
    for group, (start, stop) in enumerate(pairwise(np.cumsum([0, *sizes]).tolist())):
        here = None if wanted is None else wanted[(wanted >= start) & (wanted < stop)]
        if here is not None and not len(here):
            continue
        first = start
        for batch in file.iter_batches(BATCH, [group], [name], use_threads=False):
            column = batch.column(0)
            numbers = list(range(first, first + len(column))) if here is None else _within(here, first, len(column))
            wanted_here = pa.array(np.asarray(numbers, np.int64) - first)
            yield from zip(numbers, bytes_of(column.take(wanted_here)), strict=True)
            first += batch.num_rows
            if here is not None and first > here[-1]:
                break


def _within(rows: Any, first: int, count: int) -> list[int]:
    found: list[int] = rows[(rows >= first) & (rows < first + count)].tolist()
    return found


def open_saved(folder: Path) -> Any:
    """What ``datasets`` saved to a folder: a Dataset, or a DatasetDict of splits. Raises what ``datasets`` raises, and
    UserError when the folder names a file that is not in it: it may come from a stranger."""
    from datasets import load_from_disk

    _check_inside(folder)
    return load_from_disk(str(folder))


def _check_inside(folder: Path) -> None:
    """Raises UserError naming the list that has a file or split elsewhere; ValueError, KeyError or TypeError for what
    is no such list."""
    root = folder.resolve()
    for name, key in (("dataset_dict.json", "splits"), ("state.json", "_data_files")):
        path = folder / name
        if not path.is_file():
            continue
        try:
            listed = json.loads(path.read_text(encoding="utf-8"))[key]
        except RecursionError:
            raise ValueError(f"{name}: nested too deep") from None
        for entry in listed:
            file = folder / str(entry["filename"] if key == "_data_files" else entry)
            if root not in file.resolve().parents:
                raise UserError(f"{path}: names {str(entry)[:80]!r}, outside its folder; do not use this dataset")
            if key == "splits":
                _check_inside(file)


def read_saved(folder: Path, name: str, rows: Sequence[int] | None = None) -> Iterator[tuple[int, bytes | None]]:
    """The same of a split that ``datasets`` saved to a folder. Raises as ``open_saved``, and KeyError."""
    from datasets import Image

    split = open_saved(folder)
    if name not in (split.column_names or ()):
        raise KeyError(name)
    split = split.select_columns([name])
    if isinstance(split.features[name], Image):
        split = split.cast_column(name, Image(decode=False))
    for number in range(len(split)) if rows is None else rows:
        value = split[number][name]
        data = value.get("bytes") if isinstance(value, dict) else value
        yield number, data if isinstance(data, bytes) and data else None
