"""Parquet files as tables: texts are read as bytes and decoded here, so what is not UTF-8 costs a letter, no more."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from humanvlm.errors import UserError
from humanvlm.index.tables import Line, Table, scalar_type

BATCH = 1000


def parquet_table(path: Path) -> Table:
    """The table in a Parquet file. Raises UserError when it is damaged or none."""
    schema = _open(path).schema_arrow

    def read(columns: Sequence[str]) -> Iterator[Line]:
        file, number = _open(path), 0
        try:
            for batch in file.iter_batches(BATCH, columns=list(columns), use_threads=False):
                for row in _rows(batch):
                    number += 1
                    yield Line(number, row)
        except (pa.ArrowException, OSError) as error:
            raise _damaged(path, error, f" after row {number}") from None

    return Table(str(path), {field.name: scalar_type(field.type) for field in schema}, read, "row")


def _open(path: Path) -> pq.ParquetFile:
    """A file whose texts stay as they are stored: a long one that all rows share is there once, not once a row."""
    try:
        schema = pq.read_schema(path if isinstance(path, Path) else path.open("rb"))
        texts = [field.name for field in schema if _texts_in(field.type) and not pa.types.is_nested(field.type)]
        return pq.ParquetFile(path if isinstance(path, Path) else path.open("rb"), read_dictionary=texts)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception, where: str = "") -> UserError:
    reason = str(error).splitlines()[0][:160]
    return UserError(f"{path}: damaged{where}, or not Parquet ({reason}); get it again, or leave it out")


def _rows(batch: pa.RecordBatch) -> Iterator[dict[str, Any]]:
    columns = {name: _values(column) for name, column in zip(batch.schema.names, batch.columns, strict=True)}
    for values in zip(*columns.values(), strict=True):
        yield dict(zip(columns, values, strict=True))


def _values(column: pa.Array) -> list[Any]:
    if pa.types.is_dictionary(column.type):
        places = column.indices.drop_null().unique()
        known = {None: None, **dict(zip(places.to_pylist(), _values(column.dictionary.take(places)), strict=True))}
        return [known[place] for place in column.indices.to_pylist()]
    if not _texts_in(column.type):
        return column.to_pylist()  # type: ignore[no-any-return]
    with suppress(pa.ArrowException):  # where there is no such cast it is read as it is
        column = column.cast(_as_bytes(column.type))
    return [_decoded(value) for value in column.to_pylist()]


def _texts_in(kind: pa.DataType) -> bool:
    return pa.types.is_nested(kind) or kind in (pa.string(), pa.large_string(), pa.string_view()) or _is_bytes(kind)


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))


def _as_bytes(kind: pa.DataType) -> pa.DataType:
    """The type with bytes in place of texts."""
    if kind in (pa.string(), pa.large_string(), pa.string_view()):
        return pa.large_binary()
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.large_list(pa.field("item", _as_bytes(kind.value_type)))
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(field.name, _as_bytes(field.type)) for field in kind])
    return kind


def _decoded(value: Any) -> Any:
    """Bytes as UTF-8, all the way down."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, list):
        return [_decoded(item) for item in value]
    if isinstance(value, Mapping):
        return {name: _decoded(item) for name, item in value.items()}
    return value
