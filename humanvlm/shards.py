"""The shard store: the one way rows and images are written and read.

A shard is one Parquet file of a few thousand rows. Picture bytes sit in a ``struct<bytes, path>`` column that Hugging
Face ``datasets`` decodes as its ``Image`` feature; the other columns are zstd-compressed. Row groups are small, so one
picture can be read without its neighbours, and readers of metadata project columns and never touch picture bytes.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from humanvlm.errors import UserError

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
ROW_GROUP_ROWS = 64


class ShardError(UserError):
    """A shard that is missing, truncated or lacks a column."""


@dataclass(frozen=True)
class ShardFile:
    """One finished file of an artifact: path relative to the artifact, rows, size in bytes, sha256 of the file."""

    path: str
    rows: int
    bytes: int
    sha256: str


def shard_name(index: int) -> str:
    return f"shard-{index:05d}.parquet"


def list_shards(folder: Path) -> list[Path]:
    """Shards of an artifact in order. Raises ShardError when there are none."""
    shards = sorted(folder.glob("shard-*.parquet"))
    if not shards:
        raise ShardError(f"{folder}: no shards (shard-*.parquet); run the stage that writes it")
    return shards


def schema_with_images(schema: pa.Schema) -> pa.Schema:
    """The schema, its Image columns marked so that ``datasets.load_dataset("parquet")`` decodes them."""
    features = {field.name: {"_type": "Image"} for field in schema if field.type == IMAGE}
    if not features:
        return schema
    return schema.with_metadata({"huggingface": json.dumps({"info": {"features": features}})})


def write_shard(path: Path, rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> ShardFile:
    """Write rows atomically (work file, fsync, rename): the shard is either whole or absent."""
    schema = schema_with_images(schema)
    table = pa.Table.from_pylist(list(rows), schema=schema)
    codecs = {leaf: _codec(leaf) for leaf in _leaves(schema)}
    work = path.with_name(f".{path.name}.work")
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, work, row_group_size=ROW_GROUP_ROWS, compression=codecs, write_statistics=False)
    digest = sha256_file(work)
    size = work.stat().st_size
    replace_durably(work, path)
    return ShardFile(path.name, table.num_rows, size, digest)


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
        return pq.ParquetFile(path)
    except FileNotFoundError:
        raise ShardError(f"{path}: no such shard; run the stage that writes it, or `dvc checkout`") from None
    except (pa.ArrowInvalid, OSError) as error:
        reason = str(error).splitlines()[0][:160]
        raise ShardError(
            f"{path}: truncated or not Parquet ({reason}); delete it and run the stage again, or `dvc checkout`"
        ) from None


def read_rows(path: Path, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
    """Rows of one shard, row group by row group. Raises ShardError naming the file and a missing column."""
    shard = open_shard(path)
    missing = sorted(set(columns or ()) - set(shard.schema_arrow.names))
    if missing:
        raise ShardError(f"{path}: missing column {missing[0]!r}; has {', '.join(shard.schema_arrow.names)}")
    try:
        for batch in shard.iter_batches(batch_size=ROW_GROUP_ROWS, columns=list(columns) if columns else None):
            yield from batch.to_pylist()
    except (pa.ArrowInvalid, OSError) as error:
        reason = str(error).splitlines()[0][:160]
        raise ShardError(f"{path}: damaged ({reason}); delete it and run the stage again, or `dvc checkout`") from None


def read_folder(folder: Path, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
    """Rows of all shards of an artifact, in order, one row group in memory at a time."""
    for path in list_shards(folder):
        yield from read_rows(path, columns)


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically and durably; keys keep their order, floats are plain."""
    work = path.with_name(f".{path.name}.work")
    path.parent.mkdir(parents=True, exist_ok=True)
    work.write_text(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    replace_durably(work, path)


def replace_durably(work: Path, path: Path) -> None:
    """fsync the work file, rename it over ``path``, fsync the folder: survives a crash at any point."""
    _fsync(work)
    work.replace(path)
    _fsync(path.parent)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
