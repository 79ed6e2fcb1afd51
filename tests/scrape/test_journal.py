import errno
import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from humanvlm.errors import UserError
from humanvlm.scrape.journal import CRC, HEAD, Journal

DISK = settings(deadline=None)  # a slow one is no failure
ANY_TEXT = st.text(st.characters(), max_size=12)  # half surrogate pairs too


@dataclass(frozen=True)
class Record:
    number: int
    row: Mapping[str, Any]
    data: bytes


def make_record(number: int, text: str, size: int | None, data: bytes) -> Record:
    if not data:
        return Record(number, {"id": f"{number}", "reason": "http_404", "detail": text, "status": size}, b"")
    return Record(number, {"id": f"{number}", "text": text, "sha256": hashlib.sha256(data).hexdigest()}, data)


RECORDS = st.lists(
    st.builds(
        make_record, st.integers(0, 2**64 - 1), ANY_TEXT, st.none() | st.integers(0, 999), st.binary(max_size=40)
    ),
    unique_by=lambda record: record.number,
    max_size=5,
)


@contextmanager
def written(records: list[Record]) -> Iterator[tuple[Path, list[int]]]:
    """A journal of the records, and its size after each."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "shard"
        journal = Journal(path)
        ends = [0]
        for record in records:
            journal.append(record.number, record.row, record.data)
            ends.append(path.stat().st_size)
        journal.close()
        yield path, ends


def read(path: Path) -> list[Record]:
    journal = Journal(path)
    found = [Record(number, dict(entry.row), journal.data(entry)) for number, entry in journal.entries.items()]
    journal.close()
    return found


def as_unicode(record: Record) -> Record:
    row = {key: value.encode(errors="replace").decode() if isinstance(value, str) else value
           for key, value in record.row.items()}  # fmt: skip
    return Record(record.number, row, record.data)


@settings(DISK)
@given(RECORDS)
def test_rows_and_pictures_come_back(records: list[Record]) -> None:
    with written(records) as (path, _):
        assert read(path) == [as_unicode(record) for record in records]
        assert read(path) == [as_unicode(record) for record in records]


@settings(DISK)
@given(RECORDS, ANY_TEXT)
def test_what_is_read_back_is_what_was_there_at_once(records: list[Record], text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder) / "shard")
        for record in records:
            journal.append(record.number, record.row, record.data)
        assert {n: e.row for n, e in journal.entries.items()} == {r.number: as_unicode(r).row for r in records}
        assert [journal.data(entry) for entry in journal.entries.values()] == [record.data for record in records]
        journal.close()


@settings(DISK)
@given(RECORDS, st.data(), st.binary(max_size=60))
def test_a_file_cut_anywhere_loses_its_tail_only_and_goes_on(
    records: list[Record], data: st.DataObject, garbage: bytes
) -> None:
    with written(records) as (path, ends):
        size = data.draw(st.integers(0, ends[-1]))
        os.truncate(path, size)
        with path.open("ab") as file:
            file.write(garbage[: max(0, ends[-1] - size - 1)])  # blocks that a power cut left unwritten
        whole = sum(end <= size for end in ends[1:])
        left = [as_unicode(record) for record in records[:whole]]
        assert read(path) == left
        journal = Journal(path)
        for record in records[whole:]:
            journal.append(record.number, record.row, record.data)
        journal.close()
        assert read(path) == [as_unicode(record) for record in records]


@settings(DISK, max_examples=200)
@given(RECORDS.filter(bool), st.data(), st.integers(1, 255))
def test_a_damaged_byte_never_makes_a_wrong_row_or_picture(
    records: list[Record], data: st.DataObject, flip: int
) -> None:
    with written(records) as (path, ends):
        place = data.draw(st.integers(0, ends[-1] - 1))
        content = bytearray(path.read_bytes())
        content[place] ^= flip
        path.write_bytes(content)
        before = sum(end <= place for end in ends[1:])
        assert read(path) == [as_unicode(record) for record in records[:before]]


@example(b"row\n" * 20)
@settings(DISK)
@given(st.binary(max_size=200))
def test_any_other_file_is_an_empty_journal(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "shard"
        path.write_bytes(content)
        assert read(path) == []
        assert path.stat().st_size == 0


def test_a_full_disk_is_named_and_leaves_no_half_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a picture that holds a record of its own making would stand behind the shorter record that comes next."""
    small, forged = make_record(1, "small", None, b"x"), make_record(2, "forged", None, b"forged")
    with written([forged]) as (path, _):
        smuggled = path.read_bytes()
    with written([small]) as (_, ends):
        place = ends[-1] - HEAD.size - CRC.size - len(b'{"sha256":""}')
    journal = Journal(tmp_path / "shard")
    pwrite = os.pwrite

    def full(file: int, view: memoryview, at: int) -> int:
        pwrite(file, view[:-1], at)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(UserError, match=r"shard: No space left on device; free space"):
        journal.append(3, {"sha256": ""}, bytes(place) + smuggled + b"_")
    monkeypatch.setattr(os, "pwrite", pwrite)
    journal.append(small.number, small.row, small.data)
    journal.close()
    assert read(tmp_path / "shard") == [small]
