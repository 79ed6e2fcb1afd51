"""Read the URL index in ranges of rows, without ever holding all of it."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from humanvlm.errors import UserError
from humanvlm.shards import open_shard

OPTIONAL = ("text", "captions", "license", "sha256")
BATCH = 10_000


@dataclass(frozen=True)
class IndexRow:
    """One row of the index. texts: all texts, the first being ``text``; sha256: of the file, when it is known."""

    url: str
    text: str | None
    texts: tuple[str, ...]
    license: str | None
    sha256: str | None

    @property
    def id(self) -> str:
        return sample_id(self.url, self.text)


def sample_id(url: str, text: str | None) -> str:
    """The sample's id, from its content alone: the first 20 hex digits of sha256(url, newline, text)."""
    return hashlib.sha256(f"{url}\n{text or ''}".encode()).hexdigest()[:20]


def open_index(path: Path) -> pq.ParquetFile:
    """Open the index. Raises UserError naming the file and the column when it is missing or of the wrong type."""
    if not path.exists():
        raise UserError(f"{path}: no such file; make it with `humanvlm sample` or `humanvlm index SOURCE`")
    index = open_shard(path)
    schema = index.schema_arrow
    if "url" not in schema.names:
        raise UserError(
            f"{path}: no column 'url'; has {', '.join(schema.names)}; "
            f"import it with `humanvlm index {path} --url-column NAME`"
        )
    for name in ("url", *OPTIONAL):
        if name in schema.names:
            _check_type(path, name, schema.field(name).type)
    return index


def _check_type(path: Path, name: str, kind: pa.DataType) -> None:
    is_list = name == "captions"
    inner = kind.value_type if is_list and (pa.types.is_list(kind) or pa.types.is_large_list(kind)) else kind
    fits = pa.types.is_string(inner) or pa.types.is_large_string(inner) or (pa.types.is_null(inner) and name != "url")
    if not fits or (is_list and inner is kind and not pa.types.is_null(kind)):
        wanted = "a list of strings" if is_list else "a string"
        raise UserError(f"{path}: column {name!r} is {kind}, must be {wanted}; import it with `humanvlm index {path}`")


def read_index(path: Path, start: int, stop: int) -> Iterator[IndexRow]:
    """Rows ``start`` to ``stop`` of the index; only row groups that overlap are read."""
    index = open_index(path)
    columns = [name for name in ("url", *OPTIONAL) if name in index.schema_arrow.names]
    groups: list[int] = []
    first = seen = 0
    for group in range(index.num_row_groups):
        rows = index.metadata.row_group(group).num_rows
        if seen < stop and seen + rows > start:
            first = first if groups else seen
            groups.append(group)
        seen += rows
    if not groups:
        return
    for batch in index.iter_batches(BATCH, row_groups=groups, columns=columns):
        low, high = max(start - first, 0), min(stop - first, batch.num_rows)
        first += batch.num_rows
        if low < high:
            yield from map(_index_row, batch.slice(low, high - low).to_pylist())
        if first >= stop:
            return


def _index_row(row: dict[str, Any]) -> IndexRow:
    captions = [text for text in row.get("captions") or () if text]
    text = row.get("text") or (captions[0] if captions else None)
    texts = tuple(dict.fromkeys([text, *captions] if text else captions))
    return IndexRow(row["url"] or "", text, texts, row.get("license"), row.get("sha256"))


def duplicate_rows(path: Path) -> NDArray[np.int64]:
    """Row numbers, ascending, of rows whose url and text an earlier row already has.

    Holds 8 bytes a row (a 64-bit hash: at 50 million rows a false match has a chance of 1 in 14,000).
    """
    total = open_index(path).metadata.num_rows
    hashes = np.fromiter((int(row.id[:16], 16) for row in read_index(path, 0, total)), dtype=np.uint64, count=total)
    _, first = np.unique(hashes, return_index=True)
    repeated = np.ones(total, dtype=bool)
    repeated[first] = False
    return np.flatnonzero(repeated)
