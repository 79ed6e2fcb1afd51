"""What a list of URLs or pictures is to its readers: column names with types, and lines that are read as a stream."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

PICTURES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".avif", ".bmp", ".tif", ".tiff", ".jp2"}
MALFORMED = "malformed_row"

Row = Mapping[str, Any]


class Found(NamedTuple):
    """A picture that is here. file: relative to the source; sha256: of the picture; the others as in ``Place``."""

    file: str
    sha256: str
    member: str | None = None
    row: int | None = None
    offset: int | None = None
    size: int | None = None


class Line(NamedTuple):
    """number: from 1. row: None when it cannot be read. reason: why it cannot, or what is odd about it. picture: the
    row's own, when the source holds it."""

    number: int
    row: Row | None
    reason: str = ""
    picture: Found | None = None


@dataclass(frozen=True)
class Table:
    """name: of the file, for errors. columns: names found and what their values are stored as. read: every line of the
    table, with at least the columns asked for. unit: what is counted, lines of a text file or rows. root: the folder or
    file that holds the pictures of the lines, when it does."""

    name: str
    columns: Mapping[str, pa.DataType]
    read: Callable[[Sequence[str]], Iterator[Line]]
    unit: str = "line"
    root: Path | None = None


def scalar_type(kind: pa.DataType) -> pa.DataType:
    """What values of a type are stored as: booleans, numbers and texts as they are, all else as text."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    numbers = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    return kind if numbers or pa.types.is_boolean(kind) or pa.types.is_null(kind) else pa.string()


def json_type(value: Any) -> pa.DataType:
    """What a value of a JSON object is stored as."""
    if value is None:
        return pa.null()
    if isinstance(value, bool):
        return pa.bool_()
    if isinstance(value, int) and -(1 << 63) <= value < 1 << 63:
        return pa.int64()
    return pa.float64() if isinstance(value, float) else pa.string()


def common_type(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    """A type for values of both, which are of ``scalar_type``."""
    if one == other or pa.types.is_null(other):
        return one
    if pa.types.is_null(one):
        return other
    if pa.types.is_boolean(one) or pa.types.is_boolean(other) or pa.string() in (one, other):
        return pa.string()
    return pa.int64() if pa.types.is_integer(one) and pa.types.is_integer(other) else pa.float64()
