"""The shard store: the one way rows and images are written and read.

A shard is one Parquet file of a few thousand rows. Picture bytes sit in a ``struct<bytes, path>`` column that Hugging
Face ``datasets`` decodes as its ``Image`` feature; the other columns are zstd-compressed. Row groups are small, so one
picture can be read without its neighbours, and readers of metadata project columns and never touch picture bytes.
Scalar columns have bounds in every row group. A shard without rows has no row group.
"""

import base64
import json
import tempfile
from bisect import bisect_right
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, islice
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq

from humanvlm.data.atomic_io import atomic_file
from humanvlm.data.hashing import sha256_file
from humanvlm.errors import UserError
from humanvlm.shown import masked

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
ROW_GROUP_ROWS = 64
STORE = "store.json"
MOST_FOOTERS = 1024  # whose row counts a reader at random keeps: some kB each


class ShardError(UserError):
    """A shard that is missing, truncated or lacks a column."""


@dataclass(frozen=True)
class ShardFile:
    """One finished file of an artifact: path relative to the artifact, rows, size in bytes, sha256 of the file."""

    path: str
    rows: int
    bytes: int
    sha256: str

    @classmethod
    def of(cls, folder: Path, name: str, rows: int = 0) -> "ShardFile":
        """The file ``name`` of the artifact in ``folder``, as it is now. rows: 0 for what has none, such as a plot."""
        path = folder / name
        return cls(name, rows, path.stat().st_size, sha256_file(path))


def shard_name(index: int) -> str:
    return f"shard-{index:05d}.parquet"


def open_store(url: str) -> Path:
    """A folder, or anything fsspec reaches (``s3://bucket/folder``), which has the interface of a Path.

    Raises ShardError for credentials in it, which would be stored with the artifact.
    """
    if "://" not in url:
        return Path(url)
    if masked(url) != url:
        raise ShardError(f"{masked(url)}: holds credentials; give them as the file system takes them (AWS_… and so on)")
    from upath import UPath

    return cast(Path, UPath(url))


def store_of(folder: Path) -> Path:
    """Where an artifact's shards are stored: its own folder, or the store that its ``store.json`` names."""
    pointer = folder / STORE
    return open_store(json.loads(pointer.read_text())["store"]) if pointer.exists() else folder


def file_sizes(folder: Path) -> dict[str, int]:
    """Bytes of every file below a folder or store, by relative path; one listing, not one request a file."""
    if isinstance(folder, Path):
        return {str(path.relative_to(folder)): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    folder.fs.invalidate_cache()
    root = f"{folder.path.rstrip('/')}/"
    found = folder.fs.find(root, detail=True)
    return {path.removeprefix(root): int(details["size"]) for path, details in found.items()}


def find_shards(folder: Path) -> list[Path]:
    """Shards of an artifact in order, of which there may be none."""
    return sorted(store_of(folder).glob("shard-*.parquet"), key=lambda path: path.name)


def list_shards(folder: Path) -> list[Path]:
    """Shards of an artifact in order. Raises ShardError when there are none."""
    shards = find_shards(folder)
    if not shards:
        raise ShardError(f"{folder}: no shards (shard-*.parquet); run the stage that writes it")
    return shards


def schema_with_images(schema: pa.Schema) -> pa.Schema:
    """The schema, its Image columns marked so that ``datasets.load_dataset("parquet")`` decodes them."""
    features = {field.name: {"_type": "Image"} for field in schema if field.type == IMAGE}
    if not features:
        return schema
    return schema.with_metadata({"huggingface": json.dumps({"info": {"features": features}})})


def write_shard(path: Path, rows: Iterable[Mapping[str, Any]], schema: pa.Schema) -> ShardFile:
    """Write rows atomically (work file, fsync, rename): the shard is either whole or absent.

    One row group of rows is in memory at a time.
    """
    schema = schema_with_images(schema)
    return _write(path, schema, _tables(iter(rows), schema))


def filter_shard(
    path: Path, keep: Callable[[list[str]], list[bool]], edit: Callable[[pa.Table], pa.Table] | None = None
) -> ShardFile | None:
    """Rewrite a shard, atomically and a row group at a time, with the rows whose ``id`` is to be kept.

    keep: given ids, whether each one is. edit: changes values of the rows of a row group, none of their types. Returns
    None, and writes nothing, when all are kept and there is nothing to edit; else the shard is the one that
    ``write_shard`` makes of what is left. Raises ShardError when the shard is damaged.
    """
    kept = keep([row["id"] for row in read_rows(path, ("id",))])
    if all(kept) and edit is None:
        return None
    shard = open_shard(path)
    tables = _kept_tables(path, shard, kept)
    return _write(path, schema_with_images(_written_schema(shard)), map(edit, tables) if edit else tables)


def _written_schema(shard: pq.ParquetFile) -> pa.Schema:
    """The schema a shard was written with; the one that is read back calls the items of lists otherwise."""
    stored = (shard.metadata.metadata or {}).get(b"ARROW:schema")
    schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(stored))) if stored else shard.schema_arrow
    return schema.remove_metadata()


def _tables(rows: Iterator[Mapping[str, Any]], schema: pa.Schema) -> Iterator[pa.Table]:
    """The rows in tables of one row group each."""
    while chunk := list(islice(rows, ROW_GROUP_ROWS)):
        yield pa.Table.from_pylist(chunk, schema=schema)


def _kept_tables(path: Path, shard: pq.ParquetFile, kept: list[bool]) -> Iterator[pa.Table]:
    table, start = shard.schema_arrow.empty_table(), 0
    for group in range(shard.num_row_groups):
        try:
            rows = shard.read_row_group(group)
        except (pa.ArrowInvalid, OSError) as error:
            raise _damaged(path, error) from None
        mask = pa.array(kept[start : start + rows.num_rows], pa.bool_())
        start += rows.num_rows
        table = pa.concat_tables([table, rows.filter(mask)])
        while table.num_rows > ROW_GROUP_ROWS:
            yield table.slice(0, ROW_GROUP_ROWS)
            table = table.slice(ROW_GROUP_ROWS)
    yield table


def _write(path: Path, schema: pa.Schema, tables: Iterable[pa.Table]) -> ShardFile:
    codecs = {leaf: _codec(leaf) for leaf in _leaves(schema)}
    rows = 0
    with _work_file(path) as work:
        repeating = [leaf for leaf in codecs if not leaf.endswith(".bytes")]  # pictures are worth no dictionary
        scalars = [leaf for leaf in codecs if "." not in leaf]  # by whose bounds readers skip row groups
        with pq.ParquetWriter(
            work, schema, compression=codecs, use_dictionary=repeating, write_statistics=scalars
        ) as writer:
            for table in tables:
                if not table.num_rows:  # an empty row group is one that `datasets` cannot read
                    continue
                # A copy without gaps: pages then end where they do in a shard that was written from rows.
                writer.write_table(table.cast(schema).combine_chunks(), row_group_size=ROW_GROUP_ROWS)
                rows += table.num_rows
        return ShardFile(path.name, rows, work.stat().st_size, sha256_file(work))


@contextmanager
def _work_file(path: Path) -> Iterator[Path]:
    """A local file that becomes ``path`` when the block ends well: by rename, or by one upload to a store."""
    if isinstance(path, Path):
        with atomic_file(path) as work:
            yield work
        return
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch) / path.name
        yield work
        path.fs.put_file(str(work), path.path)


def _leaves(schema: pa.Schema) -> list[str]:
    """Names of the Parquet leaf columns, as the writer's compression option wants them."""
    sink = pa.BufferOutputStream()
    pq.write_table(schema.empty_table(), sink)
    parquet = pq.ParquetFile(pa.BufferReader(sink.getvalue())).schema
    return [parquet.column(i).path for i in range(len(parquet))]


def _codec(leaf: str) -> str:
    return "NONE" if leaf.endswith(".bytes") else "ZSTD"  # JPEG does not compress further


def open_shard(path: Path) -> pq.ParquetFile:
    """Open a shard. Raises ShardError naming the file when it is missing, truncated or not Parquet."""
    try:
        return pq.ParquetFile(path if isinstance(path, Path) else path.open("rb"))
    except FileNotFoundError:
        raise ShardError(f"{path}: no such shard; run the stage that writes it, or `dvc checkout`") from None
    except (pa.ArrowInvalid, OSError) as error:
        reason = str(error).splitlines()[0][:160]
        raise ShardError(
            f"{path}: truncated or not Parquet ({reason}); delete it and run the stage again, or `dvc checkout`"
        ) from None


def read_rows(path: Path, columns: Sequence[str] | None = None, first: int = 0) -> Iterator[dict[str, Any]]:
    """Rows of one shard from the row ``first`` on, row group by row group; those before its own are not read.

    Raises ShardError naming the file and a missing column.
    """
    shard = open_shard(path)
    _check_columns(path, shard, columns or ())
    before = 0
    try:
        for group in range(shard.num_row_groups):
            start = before
            before += shard.metadata.row_group(group).num_rows
            if before <= first:
                continue
            # One group at a time: over all of them Arrow reads ahead, and keeps what it has read.
            for batch in shard.iter_batches(ROW_GROUP_ROWS, [group], list(columns) if columns else None):
                yield from batch.slice(max(first - start, 0)).to_pylist()
                start += batch.num_rows
    except (pa.ArrowInvalid, OSError) as error:
        raise _damaged(path, error) from None


def read_columns(path: Path, columns: Sequence[str]) -> pa.Table:
    """Columns of one shard, whole; pictures should not be among them. Raises ShardError as ``read_rows`` does."""
    shard = open_shard(path)
    _check_columns(path, shard, columns)
    try:
        return shard.read(list(columns), use_threads=False)
    except (pa.ArrowInvalid, OSError) as error:
        raise _damaged(path, error) from None


def rows_at(path: Path, places: Container[int], columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
    """The rows of one shard whose places are among ``places``, in their order, as ``read_rows`` reads them."""
    return (row for place, row in enumerate(read_rows(path, columns)) if place in places)


def _check_columns(path: Path, shard: pq.ParquetFile, columns: Sequence[str]) -> None:
    if missing := sorted(set(columns) - set(shard.schema_arrow.names)):
        raise ShardError(f"{path}: missing column {missing[0]!r}; has {', '.join(shard.schema_arrow.names)}")


def _damaged(path: Path, error: Exception) -> ShardError:
    reason = str(error).splitlines()[0][:160]
    return ShardError(f"{path}: damaged ({reason}); delete it and run the stage again, or `dvc checkout`")


def read_folder(folder: Path, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
    """Rows of all shards of an artifact, in order, one row group in memory at a time."""
    for path in list_shards(folder):
        yield from read_rows(path, columns)


class RandomRows:
    """Rows at random, by shard and number in it. The last ``row_groups`` row groups read are kept, encoded as stored.

    columns: of the rows, all when None. Threads may share it. Raises ShardError naming the file and what is wrong.
    """

    def __init__(self, columns: Sequence[str] | None = None, row_groups: int = 4) -> None:
        self._columns = list(columns) if columns else None
        self._table = lru_cache(row_groups)(self._read)
        self._ends = lru_cache(MOST_FOOTERS)(_group_ends)

    def group(self, shard: Path, row: int) -> int:
        """The row group that a row is in, for callers that read one at a time."""
        ends = self._ends(shard)
        if not 0 <= row < (ends[-1] if ends else 0):
            raise ShardError(f"{shard}: no row {row}, it has {ends[-1] if ends else 0}; run the stages after it again")
        return bisect_right(ends, row)

    def read(self, shard: Path, row: int) -> dict[str, Any]:
        """One row; only its row group is read."""
        group = self.group(shard, row)
        first = self._ends(shard)[group - 1] if group else 0
        found: dict[str, Any] = self._table(shard, group).slice(row - first, 1).to_pylist()[0]
        return found

    def _read(self, shard: Path, group: int) -> pa.Table:
        file = open_shard(shard)
        _check_columns(shard, file, self._columns or ())
        try:
            return file.read_row_group(group, self._columns, use_threads=False)
        except (pa.ArrowInvalid, OSError) as error:
            raise _damaged(shard, error) from None


def picture_at(rows: RandomRows, shard: Path, row: int) -> bytes:
    """The file of a row's picture, b"" where it has none. rows: reads the column ``image``."""
    return (rows.read(shard, row)["image"] or {}).get("bytes") or b""


def _group_ends(shard: Path) -> list[int]:
    """Of each row group, the number of the first row after it."""
    metadata = open_shard(shard).metadata
    return list(accumulate(metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)))
