"""Tars in the layout of webdataset as tables: members that follow each other and share a key are a sample.

Read as a stream of headers; a picture is looked at where it lies, and nothing is ever unpacked.
"""

import hashlib
import json
import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from humanvlm.errors import UserError
from humanvlm.index.cells import clean, texts_of
from humanvlm.index.layout import URL_COLUMNS
from humanvlm.index.pictures import inside
from humanvlm.index.tables import MALFORMED, PICTURES, Found, Line, Row, Table, common_type, json_type

KEY = re.compile(r"((?:.*/)?[^/.]+)\.([^/]+)", re.DOTALL)
TEXTS = ("txt", "text", "caption")
TEXT, MORE, URL = "text", "captions", "url"
BLOCK = 512
CHUNK = 1 << 20
MOST_BYTES = 1 << 22  # of a text, a JSON file or one header
DAMAGED = "damaged_tar"


@dataclass
class _Sample:
    """Members by suffix in lower case, each with its name, offset and size."""

    key: str
    members: dict[str, tuple[str, int, int]] = field(default_factory=dict)


def tar_table(path: Path, root: Path) -> Table:
    """The samples of a tar: its texts as ``text``, the keys of its JSON files, and the pictures.

    The text is that of ``KEY.txt``, with the ``captions`` of ``KEY.json`` when it is one of them; without it a text of
    ``KEY.json``. Raises UserError when it is no tar, or compressed.
    """
    place = inside(path, root)
    columns: dict[str, pa.DataType] = {}
    with _reading(path) as file:
        for sample in _samples(path, file):
            said = _json(file, sample) if sample else None
            for name, value in (said or {}).items():
                columns[name] = common_type(columns.get(name, pa.null()), json_type(value))
    columns.pop(MORE, None)
    columns |= {TEXT: pa.string(), URL: pa.string()}

    def read(wanted: Sequence[str]) -> Iterator[Line]:
        with _reading(path) as file:
            for number, sample in enumerate(_samples(path, file), 1):
                yield _line(number, sample, file, place)

    return Table(str(path), columns, read, "sample", root)


@contextmanager
def _reading(path: Path) -> Iterator["_Bounded"]:
    with path.open("rb") as file:
        yield _Bounded(file)


class _Bounded:
    """A file of which no more is read at once than a header should have: tarfile reads names as long as it is told."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= MOST_BYTES:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self.file.read(size)


def _samples(path: Path, file: _Bounded) -> Iterator[_Sample | None]:
    """The samples; None at the end of a tar that is cut off or damaged there."""
    sample: _Sample | None = None
    try:
        tar = tarfile.TarFile(fileobj=file, encoding="utf-8", errors="surrogateescape")  # type: ignore[arg-type]
    except tarfile.TarError as error:
        raise UserError(f"{path}: not a tar, or compressed ({error}); unpack it with gunzip, or get it again") from None
    try:
        while (member := tar.next()) is not None:
            tar.members = []  # type: ignore[attr-defined]  # it would keep them all
            if member.size < 0:
                raise tarfile.ReadError("a size below zero")  # it would be read again and again
            parts = KEY.fullmatch(member.name)
            if not member.isreg() or member.issparse() or parts is None:
                continue
            if sample is None or sample.key != parts[1]:
                if sample:
                    yield sample
                sample = _Sample(parts[1])
            sample.members.setdefault(parts[2].lower(), (member.name, member.offset_data, member.size))
        whole = _ends_well(tar, file)
    except (tarfile.TarError, OSError, ValueError, OverflowError):
        whole = False
    if sample:
        yield sample
    if not whole:
        yield None


def _ends_well(tar: tarfile.TarFile, file: _Bounded) -> bool:
    """Whether there is nothing but zeros where no member was found; tarfile takes any damage for the end."""
    file.seek(tar.offset)
    return not file.read(BLOCK).strip(b"\0")


def _line(number: int, sample: _Sample | None, file: _Bounded, place: str) -> Line:
    if sample is None:
        return Line(number, None, DAMAGED)
    said = _json(file, sample)
    if said is None:
        return Line(number, None, MALFORMED)
    texts = [text for suffix in TEXTS for text in texts_of(_text(file, sample, suffix))]
    others = texts_of(said.get(MORE))
    if texts and texts[0] in others:
        texts = list(dict.fromkeys([*texts, *others]))
    url = next((said[name] for name in URL_COLUMNS if name in said), None)
    row: Row = {**said, TEXT: texts or others or texts_of(said), URL: url}
    return Line(number, row, picture=_picture(file, sample, place))


def _picture(file: _Bounded, sample: _Sample, place: str) -> Found | None:
    """The first member with the suffix of a picture alone, else the first that ends in one (``KEY.left.jpg``)."""
    named = [suffix for suffix in sample.members if f".{suffix.rpartition('.')[2]}" in PICTURES]
    if not named:
        return None
    name, offset, size = sample.members[min(named, key=lambda suffix: suffix.count("."))]
    digest = hashlib.sha256()
    file.seek(offset)
    left = size
    while left and (data := file.read(min(left, CHUNK))):
        digest.update(data)
        left -= len(data)
    return None if left else Found(place, digest.hexdigest(), clean(name), offset=offset, size=size)


def _json(file: _Bounded, sample: _Sample) -> Mapping[str, Any] | None:
    """What ``KEY.json`` says, nothing where there is none; None when it cannot be read."""
    text = _text(file, sample, "json")
    if text is None:
        return {}
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _text(file: _Bounded, sample: _Sample, suffix: str) -> str | None:
    if suffix not in sample.members:
        return None
    _, offset, size = sample.members[suffix]
    file.seek(offset)
    return file.read(min(size, MOST_BYTES)).decode("utf-8-sig", "replace")
