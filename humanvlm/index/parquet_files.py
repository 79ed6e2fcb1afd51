"""Parquet files as tables: texts are read as bytes and decoded here, so what is not UTF-8 costs a letter, no more."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from humanvlm.errors import UserError
from humanvlm.index.tables import Line, Table, scalar_type

BATCH = 1000
TEXTS = ("STRING", "NONE", "JSON", "BSON", "ENUM")  # logical types of texts and bytes
MOST_DEPTH = 64  # levels of lists and structs
# Bytes of a column of a row group that may be any number of times as large unpacked; beyond them, how many times.
MOST_UNPACKED = 1 << 28
MOST_TIMES = 1000


def parquet_table(path: Path) -> Table:
    """The table in a Parquet file. Raises UserError when it is damaged or none, or claims more than it has."""
    schema = _open(path).schema_arrow

    def read(columns: Sequence[str]) -> Iterator[Line]:
        file, number = _open(path), 0
        _check_claims(path, file.metadata, columns)
        try:
            for group in range(
                file.num_row_groups
            ):  # each has dictionaries of its own, which Arrow does not join in lists
                for batch in file.iter_batches(BATCH, [group], columns=list(columns), use_threads=False):
                    for row in _rows(batch):
                        number += 1
                        yield Line(number, row)
        except (pa.ArrowException, OSError) as error:
            raise _damaged(path, str(error), f" after row {number}") from None
        if number != file.metadata.num_rows:
            raise _damaged(path, f"it claims {file.metadata.num_rows:,} rows", f" after row {number}")

    return Table(str(path), {field.name: scalar_type(field.type) for field in schema}, read, "row")


def _open(path: Path) -> pq.ParquetFile:
    """A file whose texts stay as they are stored, in lists too: a long one that all rows share is there once, not once
    a row."""
    try:
        schema = pq.read_metadata(path if isinstance(path, Path) else path.open("rb")).schema
        texts = [column.path for column in map(schema.column, range(len(schema))) if _is_text(column)]
        file = pq.ParquetFile(path if isinstance(path, Path) else path.open("rb"), read_dictionary=texts)
        deepest = max((column.path.count(".") for column in map(schema.column, range(len(schema)))), default=0)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, str(error)) from None
    if deepest > MOST_DEPTH:
        raise _damaged(path, f"nested {deepest} deep, at most {MOST_DEPTH} are read")
    return file


def _is_text(column: pq.ColumnSchema) -> bool:
    """Whether a column, of a list or struct too, is one that can be read as it is stored."""
    return column.physical_type == "BYTE_ARRAY" and column.logical_type.type in TEXTS


def _check_claims(path: Path, metadata: pq.FileMetaData, columns: Sequence[str]) -> None:
    """Raises UserError for a column that unpacks to more than any list of texts does."""
    wanted = set(columns)
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        for column in map(group.column, range(group.num_columns)):
            size, packed = column.total_uncompressed_size, column.total_compressed_size
            if column.path_in_schema.partition(".")[0] in wanted and size > max(MOST_UNPACKED, MOST_TIMES * packed):
                where = f"row group {number}, column {column.path_in_schema}"
                raise UserError(
                    f"{path}: {where}: {packed:,} bytes that unpack to {size:,}; do not use this file, or write it "
                    "again with smaller row groups"
                )


def _damaged(path: Path, error: str, where: str = "") -> UserError:
    reason = error.splitlines()[0][:160]
    return UserError(f"{path}: damaged{where}, or not Parquet ({reason}); get it again, or leave it out")


def _rows(batch: pa.RecordBatch) -> Iterator[dict[str, Any]]:
    columns = {name: _values(column) for name, column in zip(batch.schema.names, batch.columns, strict=True)}
    for values in zip(*columns.values(), strict=True):
        yield dict(zip(columns, values, strict=True))


def _values(column: pa.Array) -> list[Any]:
    """The values of a column, in which those that are the same place of a dictionary are the same object."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        places = column.indices.drop_null().unique()
        known = {None: None, **dict(zip(places.to_pylist(), _values(column.dictionary.take(places)), strict=True))}
        return [known[place] for place in column.indices.to_pylist()]
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        items = iter(_values(column.flatten()))
        return [None if size is None else list(islice(items, size)) for size in column.value_lengths().to_pylist()]
    there = column.is_valid().to_pylist()
    if pa.types.is_map(kind):
        pairs = list(zip(_values(column.keys), _values(column.items), strict=True))
        spans = zip(there, pairwise(column.offsets.to_pylist()), strict=True)
        return [pairs[start:stop] if is_there else None for is_there, (start, stop) in spans]
    if pa.types.is_struct(kind) and kind.num_fields:
        names = [field.name for field in kind]
        rows = zip(there, *map(_values, column.flatten()), strict=True)
        return [dict(zip(names, row, strict=True)) if is_there else None for is_there, *row in rows]
    if not _texts_in(kind):
        return column.to_pylist()  # type: ignore[no-any-return]
    with suppress(pa.ArrowException):  # where there is no such cast it is read as it is
        column = column.cast(_as_bytes(kind))
    return [_decoded(value) for value in column.to_pylist()]


def _texts_in(kind: pa.DataType) -> bool:
    return pa.types.is_nested(kind) or kind in (pa.string(), pa.large_string(), pa.string_view()) or _is_bytes(kind)


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))


def _as_bytes(kind: pa.DataType) -> pa.DataType:
    """The type with bytes in place of texts."""
    return pa.large_binary() if kind in (pa.string(), pa.large_string(), pa.string_view()) else kind


def _decoded(value: Any) -> Any:
    """Bytes as UTF-8, all the way down."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, list):
        return [_decoded(item) for item in value]
    if isinstance(value, Mapping):
        return {name: _decoded(item) for name, item in value.items()}
    return value
