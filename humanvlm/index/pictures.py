"""Sources that hold the pictures themselves: folders, tars in the layout of webdataset, columns of Parquet files and of
saved datasets. Each picture is read once, a few at a time, for its sha256; the crawl then takes it from its place.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from humanvlm.data.hashing import sha256_file
from humanvlm.data.image import DecodeError, kind_of
from humanvlm.data.picture_columns import may_hold_pictures, read_parquet, read_saved
from humanvlm.errors import UserError
from humanvlm.index.tables import Found, Line, Table

OUTSIDE = "outside_source"
KNOWN = ("image", "img", "picture", "photo", "jpg", "jpeg", "png", "webp", "bytes", "image_bytes")
PEEKED = 32  # rows that tell whether a column of bytes holds pictures


def with_files(table: Table, folder: Path, column: str) -> Table:
    """The table with the pictures that a column of it names, as paths relative to the folder."""
    root = folder.resolve()

    def read(columns: Sequence[str]) -> Iterator[Line]:
        for line in table.read(list(dict.fromkeys([*columns, column]))):
            if line.row is None or not isinstance(line.row[column], str):
                yield line
                continue
            path = (root / line.row[column]).resolve()
            if path.is_relative_to(root):
                yield line._replace(picture=Found(path.relative_to(root).as_posix(), sha256_file(path)))
            else:
                yield Line(line.number, None, OUTSIDE)  # a link to elsewhere, which nobody named

    return replace(table, read=read, root=root)


def inside(path: Path, root: Path) -> str:
    """The path relative to the source it is in, "" when it is the source. Raises UserError for a link to elsewhere."""
    real = path.resolve()
    if not real.is_relative_to(root):
        raise UserError(f"{path}: a link out of its folder; name the file itself, or a pattern such as FOLDER/*")
    return "" if real == root else real.relative_to(root).as_posix()


def with_parquet(table: Table, path: Path, root: Path) -> Table:
    """The table of a Parquet file with the pictures in its first column of such; as it is, where it has none."""
    with undamaged(path):
        file = pq.ParquetFile(path)
        names = [field.name for field in file.schema_arrow if may_hold_pictures(field.type)]
        name = _chosen(names, lambda name: (data for _, data in read_parquet(path, name)))
    if name is None:
        return table
    place = inside(path, root)

    def pictures() -> Iterator[Found | None]:
        return (_found(data, place, name, row) for row, data in read_parquet(path, name))

    return _beside(table, name, pictures, root)


def with_saved(table: Table, folder: Path, splits: Mapping[str, Any]) -> Table:
    """The same of a saved dataset. splits: each by its folder inside the dataset's, "" when that is the only one."""
    first = next(iter(splits.values()))
    kinds = {field.name: field.type for field in first.features.arrow_schema}
    names = [name for name, kind in kinds.items() if may_hold_pictures(kind)]
    with undamaged(folder):
        name = _chosen(names, lambda name: (data for split in splits for _, data in read_saved(folder / split, name)))
    if name is None:
        return table

    def pictures() -> Iterator[Found | None]:
        return (_found(data, split, name, row) for split in splits for row, data in read_saved(folder / split, name))

    return _beside(table, name, pictures, folder.resolve())


@contextmanager
def undamaged(path: Path) -> Iterator[None]:
    """What pyarrow and datasets make of a damaged table, as one line. Raises UserError."""
    try:
        yield
    except UserError:
        raise
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise UserError(f"{path}: damaged ({reason}); get it again, or leave it out") from None


def _chosen(names: Sequence[str], read: Callable[[str], Iterator[bytes | None]]) -> str | None:
    """The first column whose first bytes are a picture's, usual names before others."""
    order = {name: place for place, name in enumerate(KNOWN)}
    for name in sorted(names, key=lambda name: order.get(name.casefold(), len(order))):
        peeked = (data for data, _ in zip(read(name), range(PEEKED), strict=False))
        if any(data is not None and _is_picture(data) for data in peeked):
            return name
    return None


def _is_picture(data: bytes) -> bool:
    try:
        kind_of(data)
    except DecodeError:
        return False
    return True


def _found(data: bytes | None, file: str, name: str, row: int) -> Found | None:
    return None if data is None else Found(file, hashlib.sha256(data).hexdigest(), name, row)


def _beside(table: Table, name: str, pictures: Callable[[], Iterator[Found | None]], root: Path) -> Table:
    """The table without the column ``name``, and its rows with their pictures."""

    def read(columns: Sequence[str]) -> Iterator[Line]:
        lines = table.read(columns) if columns else (Line(number, {}) for number in count(1))
        with undamaged(Path(table.name)):
            for found, line in zip(pictures(), lines, strict=bool(columns)):
                yield line._replace(picture=found)

    columns = {column: kind for column, kind in table.columns.items() if column != name}
    return replace(table, columns=columns, read=read, root=root)
