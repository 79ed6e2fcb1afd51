"""What a shard under way has so far: an append-only file of row outcomes, so that a killed crawl fetches nothing twice.

A record is a fixed head and its checksum, the row as JSON, and the picture's bytes. Records reach the page cache before
a row counts as done, which survives SIGKILL; after a power cut, a damaged tail is recognised by its checksums and cut
off.
"""

import hashlib
import json
import os
import struct
import threading
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from humanvlm.errors import UserError

HEAD = struct.Struct("<4sQIQ")  # magic, row number, bytes of JSON, bytes of picture
CRC = struct.Struct("<I")  # of the head and the JSON; the picture has its sha256 there
MAGIC = b"row\n"
ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True)
class Entry:
    """One outcome. row: its columns but the picture, which is ``size`` bytes at ``start`` of the file."""

    row: Mapping[str, Any]
    start: int
    size: int


class Journal:
    """Outcomes by row number of the index. ``append`` may be called from several threads."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.entries: dict[int, Entry] = {}
        self._lock = threading.Lock()
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        self._end = 0
        for number, entry in self._scan(os.fstat(self._file).st_size):
            self.entries[number] = entry
            self._end = entry.start + entry.size
        os.ftruncate(self._file, self._end)

    def append(self, number: int, row: Mapping[str, Any], data: bytes = b"") -> None:
        """Add the outcome of a row. Raises UserError naming the file when the disk is full."""
        text = ENCODER.encode(row)
        try:
            encoded = text.encode()
        except UnicodeEncodeError:  # half a surrogate pair: what servers send need not be Unicode
            encoded = text.encode(errors="replace")
            row = json.loads(encoded)
        head = HEAD.pack(MAGIC, number, len(encoded), len(data))
        crc = CRC.pack(zlib.crc32(encoded, zlib.crc32(head)))
        with self._lock:
            start = self._end + HEAD.size + CRC.size + len(encoded)
            self._write(head + crc + encoded, data)
            self._end = start + len(data)
            self.entries[number] = Entry(row, start, len(data))

    def data(self, entry: Entry) -> bytes:
        """The picture of an outcome."""
        return os.pread(self._file, entry.size, entry.start)

    def close(self) -> None:
        os.close(self._file)

    def _write(self, *parts: bytes) -> None:
        at = self._end
        try:
            for part in parts:  # not joined: that would copy the picture
                view = memoryview(part)
                while view:
                    written = os.pwrite(self._file, view, at)
                    view, at = view[written:], at + written
        except OSError as error:
            os.ftruncate(self._file, self._end)  # or a shorter record could leave the rest of this one behind it
            raise UserError(f"{self.path}: {error.strerror}; free space and run the same command again") from None

    def _scan(self, size: int) -> Iterator[tuple[int, Entry]]:
        """Whole records from the start of the file up to the first that is damaged."""
        at = 0
        while (text_at := at + HEAD.size + CRC.size) <= size:
            head = os.pread(self._file, HEAD.size, at)
            (crc,) = CRC.unpack(os.pread(self._file, CRC.size, at + HEAD.size))
            magic, number, text_size, data_size = HEAD.unpack(head)
            start = text_at + text_size
            if magic != MAGIC or start + data_size > size:
                return
            text = os.pread(self._file, text_size, text_at)
            if zlib.crc32(text, zlib.crc32(head)) != crc:
                return
            row = json.loads(text)
            entry = Entry(row, start, data_size)
            if data_size and hashlib.sha256(self.data(entry)).hexdigest() != row["sha256"]:
                return
            yield number, entry
            at = start + data_size
