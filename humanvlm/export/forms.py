"""What an artifact is written out as: names of files, which columns they hold, and how one is written."""

import io
import json
import math
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from humanvlm.data.atomic_io import atomic_file
from humanvlm.data.image import DecodeError, kind_of
from humanvlm.data.prompts import HQ_CAPTION, IMAGE_TOKEN
from humanvlm.data.shards import IMAGE, ShardFile, write_shard
from humanvlm.errors import UserError

TEXTS = ("human_caption_hq", "detailed", "text")  # the text of a sample: the first that an artifact has
SUFFIXES = {"JPEG": "jpg", "JPEG2000": "jp2"}
TURN = pa.struct([("from", pa.string()), ("value", pa.string())])

Row = Mapping[str, Any]


class Form(Protocol):
    """columns: that are read, all when None. pattern: of the files that an export of this form consists of."""

    @property
    def columns(self) -> tuple[str, ...] | None: ...

    @property
    def pattern(self) -> str: ...

    def name(self, number: int, split: str | None, shards: int) -> str:
        """The path of a file in the export. number: of the shard whose rows it holds, of ``shards``."""
        ...

    def write(self, path: Path, rows: Iterable[Row]) -> ShardFile:
        """Write a file whole, a row at a time or a few."""
        ...


@dataclass(frozen=True)
class WebDataset:
    """Tars of ``ID.jpg`` (or as the picture is), ``ID.txt`` with the column ``text``, ``ID.json`` with the others."""

    text: str
    columns: None = None
    pattern: str = "*.tar"

    def name(self, number: int, split: str | None, shards: int) -> str:
        return f"{split}-{number:05d}.tar" if split else f"{number:05d}.tar"

    def write(self, path: Path, rows: Iterable[Row]) -> ShardFile:
        count = 0
        with atomic_file(path) as work, tarfile.open(work, "w", format=tarfile.USTAR_FORMAT) as tar:
            for row in rows:
                for suffix, data in self._members(row):
                    entry = tarfile.TarInfo(f"{row['id']}.{suffix}")  # of no date and no owner: the same every time
                    entry.size = len(data)
                    tar.addfile(entry, io.BytesIO(data))
                count += 1
        return ShardFile.of(path.parent, path.name, count)

    def _members(self, row: Row) -> Iterator[tuple[str, bytes]]:
        data = picture_bytes(row)
        yield suffix_of(data), data
        text = row[self.text]
        if text:
            yield "txt", text.encode()
        others = {name: plain(value) for name, value in row.items() if name != "image"}
        said = {"key": row["id"], "caption": text, **others}
        yield "json", json.dumps(said, ensure_ascii=False, allow_nan=False, default=str).encode()


@dataclass(frozen=True)
class Dataset:
    """Parquet files that ``datasets.load_dataset`` reads, with all columns of the artifact. schema: of the artifact."""

    schema: pa.Schema
    columns: tuple[str, ...] | None = None
    pattern: str = "data/*.parquet"

    def name(self, number: int, split: str | None, shards: int) -> str:
        return f"data/{split or 'train'}-{number:05d}-of-{shards:05d}.parquet"

    def write(self, path: Path, rows: Iterable[Row]) -> ShardFile:
        file = write_shard(path, (named(row) for row in rows), self.schema)
        return replace(file, path=f"{path.parent.name}/{path.name}")


@dataclass(frozen=True)
class Released(Dataset):
    """The columns that HumanCaption-10M and HumanCaption-HQ-311K were released with."""

    def write(self, path: Path, rows: Iterable[Row]) -> ShardFile:
        return super().write(path, map(released, rows))


def form_of(kind: str, stage: str, schema: pa.Schema, text_column: str | None) -> Form:
    """The form called ``kind`` (webdataset, hf or released) of a stage's artifact. Raises UserError."""
    if text_column is not None and (kind != "webdataset" or text_column not in schema.names):
        texts = ", ".join(field.name for field in schema if field.type == pa.string())
        raise UserError(f"--text-column {text_column}: webdataset takes a column of texts, one of {texts}")
    if kind == "webdataset":
        return WebDataset(text_column or next(name for name in TEXTS if name in schema.names))
    if kind == "hf":
        return Dataset(schema)
    if stage == "human_caption":
        fields = [("url", pa.string()), ("image", IMAGE), ("human_caption", pa.list_(pa.string()))]
        return Released(pa.schema(fields), ("id", "url", "image", "short", "detailed"))
    if stage == "human_caption_hq":
        fields = [("url", pa.string()), ("human_caption_hq", pa.list_(TURN))]
        return Released(pa.schema(fields), ("id", "url", "human_caption_hq", "conversations"))
    raise UserError(f"released: {stage} has no captions to release; name artifacts/human_caption or human_caption_hq")


def released(row: Row) -> Row:
    """A row of ``human_caption`` or ``human_caption_hq`` in the columns of the released files."""
    if "human_caption_hq" not in row:
        texts = [row[name] for name in ("short", "detailed") if row[name]]
        return {"id": row["id"], "url": row["url"], "image": row["image"], "human_caption": texts}
    question = {"from": "human", "value": f"{IMAGE_TOKEN}\n{HQ_CAPTION}"}
    turns = [*(row["conversations"] or [question])[:1], {"from": "gpt", "value": row["human_caption_hq"]}]
    return {"id": row["id"], "url": row["url"], "human_caption_hq": turns}


def named(row: Row) -> Row:
    """The row, its picture with a file name: readers that write pictures out ask for one."""
    if "image" not in row:
        return row
    data = picture_bytes(row)
    return {**row, "image": {"bytes": data, "path": f"{row['id']}.{suffix_of(data)}"}}


def picture_bytes(row: Row) -> bytes:
    data: bytes = (row["image"] or {}).get("bytes") or b""
    return data


def suffix_of(data: bytes) -> str:
    """The usual suffix of a picture's files, by its content; of what is none ``bin``."""
    try:
        name = kind_of(data).name
    except DecodeError:
        return "bin"
    return SUFFIXES.get(name, name.lower())


def plain(value: Any) -> Any:
    """A value as JSON has it: NaN and infinities as null, times as ISO 8601."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {name: plain(item) for name, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, Sequence) and not isinstance(value, str) else value
