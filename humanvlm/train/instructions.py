"""Instruction files: LLaVA's and ShareGPT's conversations, as JSON lines or as one JSON array of any size.

A row has ``conversations`` ({from: human|gpt|system, value}) or ``messages`` ({role: user|assistant|system, content}),
and ``image`` or ``images``: a path below the folder of pictures, or a list of them; without either it is text alone.
A file is read once to find out which rows are about the same pictures; parts of it are then read apart.
"""

import functools
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from humanvlm.data.image import DecodeError, decode
from humanvlm.data.shards import read_folder
from humanvlm.errors import UserError
from humanvlm.train.samples import LeftOut, Offer, Picture, Sample, turns_of

BETWEEN = re.compile(r"[ \t\r\n,]*")  # elements of an array
CHUNK = 1 << 20  # characters of an array that are read at a time
PART = 20_000  # rows, or a few more, in one part
SMALLEST = 1  # px: pictures are tried at an eighth of their size, which reads all of their bytes


@dataclass(frozen=True)
class Rows:
    """Conversations of some rows of a file. Those about the same pictures, wherever they are in it, are offered as one.

    index: file of ``write_index``; first, stop: of its rows. held_out: file of ``write_held_out``.
    """

    file: Path
    sha256: str
    images: Path
    index: Path
    first: int
    stop: int
    held_out: Path
    held_out_identity: str

    @property
    def rows(self) -> int:
        return self.stop - self.first

    @property
    def identity(self) -> tuple[Any, ...]:
        return ("rows", str(self.file), self.sha256, str(self.images), self.first, self.stop, self.held_out_identity)

    def read(self) -> Iterator[Offer]:
        """Left out: a malformed row (``bad_row``), a picture that is absent, outside the folder or unreadable
        (``bad_picture``), and one whose bytes are in the test split of the captions (``held_out``)."""
        index = np.load(self.index, mmap_mode="r")[self.first : self.stop]
        with self.file.open("rb") as file:
            for group in np.split(index, np.flatnonzero(np.diff(index[:, 0])) + 1) if len(index) else ():
                rows: list[Sample] = []
                for _, start, stop, number in group.tolist():
                    file.seek(start)
                    offer = self._offer(file.read(stop - start), f"{self.file.name}:{number}")
                    if isinstance(offer, LeftOut):
                        yield offer
                    else:
                        rows.append(offer)
                if rows:
                    problem = next(filter(None, (self._problem(picture) for picture in rows[0].pictures)), None)
                    if problem:
                        yield from (LeftOut(problem, row.id) for row in rows)
                    else:
                        yield tuple(rows)

    def _offer(self, content: bytes, place: str) -> Sample | LeftOut:
        row = parsed(content)
        talk = row and row.get("conversations", row.get("messages"))
        names = None if row is None else pictures_of(row)
        try:
            found = turns_of(talk) if talk else None
        except (TypeError, AttributeError):
            found = None
        if found is None or names is None:
            return LeftOut("bad_row", place)
        return Sample(tuple(Picture(str(self.images / name)) for name in names), *found, id=place)

    @functools.cached_property
    def _held_out(self) -> NDArray[np.uint64]:
        held_out: NDArray[np.uint64] = np.load(self.held_out, mmap_mode="r")
        return held_out

    def _problem(self, picture: Picture) -> str | None:
        path = Path(picture.path)
        if not path.resolve().is_relative_to(self.images.resolve()):
            return "bad_picture"
        try:
            content = path.read_bytes()
            decode(content, SMALLEST)
        except (OSError, DecodeError):
            return "bad_picture"
        short = short_digest(hashlib.sha256(content).hexdigest())
        at = int(np.searchsorted(self._held_out, short))
        return "held_out" if at < len(self._held_out) and self._held_out[at] == short else None


def parsed(content: bytes) -> dict[str, Any] | None:
    """A row as JSON, or None."""
    try:
        row = json.loads(content)
    except (ValueError, RecursionError):  # nested without end
        return None
    return row if isinstance(row, dict) else None


def pictures_of(row: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Names of a row's pictures, of which there may be none, or None when they are not names."""
    value = row.get("image", row.get("images"))
    names = [] if value is None or value == "" else [value] if isinstance(value, str) else value
    return tuple(names) if isinstance(names, list) and all(isinstance(name, str) for name in names) else None


def write_index(file: Path, index: Path) -> None:
    """Write where the rows of a file are, those about the same pictures together.

    The index [rows, 4] int64 holds conversation, first byte, byte after the last, number of the line or array element
    from 1. Rows with another system text, or none that can be read, are conversations of their own. Raises UserError
    when the file is a JSON array that is damaged.
    """
    known: dict[int, int] = {}
    count, rows = 0, []
    for start, stop, number, content in elements(file):
        row = parsed(content)
        names = pictures_of(row) if row else None
        group = known.setdefault(hash((names, _system(row))), count) if row and names else count
        count += group == count
        rows.append((group, start, stop, number))
    table = np.asarray(rows, np.int64).reshape(-1, 4)
    with index.open("wb") as out:
        np.save(out, table[np.argsort(table[:, 0], kind="stable")])


def bounds(index: Path) -> list[tuple[int, int]]:
    """First row and the one after the last of every part of an index: PART rows, and whole conversations."""
    groups = np.load(index, mmap_mode="r")[:, 0]
    if not len(groups):
        return []
    starts = np.flatnonzero(np.diff(groups, prepend=-1))
    firsts = np.unique(starts[np.searchsorted(starts, np.arange(0, starts[-1] + 1, PART))]).tolist()
    return list(zip(firsts, [*firsts[1:], len(groups)], strict=True))


def write_held_out(captions: Path, file: Path) -> None:
    """Write which pictures, by the beginning of their sha256, are in the test split of ``human_caption``, sorted."""
    rows = read_folder(captions, ("sha256", "split"))
    found = np.array([short_digest(row["sha256"]) for row in rows if row["split"] != "train"], np.uint64)
    with file.open("wb") as out:
        np.save(out, np.unique(found))


def short_digest(sha256: str) -> np.uint64:
    """The first 64 bits: two of ten million pictures share them once in 400,000 data sets."""
    return np.uint64(int(sha256[:16], 16))


def _system(row: Mapping[str, Any]) -> str | None:
    """The system text, if the row begins with one."""
    talk = row.get("conversations", row.get("messages"))
    first = talk[0] if isinstance(talk, list) and talk and isinstance(talk[0], Mapping) else {}
    return str(first) if first.get("from", first.get("role")) == "system" else None


def elements(file: Path) -> Iterator[tuple[int, int, int, bytes]]:
    """First byte, byte after the last, number from 1 and content of every row of a file that is not blank."""
    with file.open("rb") as lines:
        beginning = lines.read(64).lstrip(b"\xef\xbb\xbf \t\r\n")
        if beginning.startswith(b"["):
            yield from _array(file)
            return
        lines.seek(0)
        start = 0
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield start, start + len(line), number, line
            start += len(line)


def _array(file: Path) -> Iterator[tuple[int, int, int, bytes]]:
    """Elements of a JSON array, a piece of the file in memory at a time."""
    read, number = json.JSONDecoder().raw_decode, 0
    with file.open(encoding="utf-8", errors="surrogateescape", newline="") as source:
        text = source.read(CHUNK)
        at = text.index("[") + 1
        byte = len(_bytes(text[:at]))
        while True:
            gap = BETWEEN.match(text, at).end() - at  # type: ignore[union-attr]
            at, byte = at + gap, byte + gap
            if text.startswith("]", at):
                return
            try:
                _, end = read(text, at)
            except RecursionError:
                raise UserError(f"{file}: element {number + 1} of the array is nested too deep; leave it out") from None
            except ValueError as error:
                more = source.read(max(CHUNK, len(text)))
                if not more:
                    raise UserError(
                        f"{file}: element {number + 1} of the array is not JSON, or the file is cut off ({error}); "
                        "write it again"
                    ) from None
                text, at = text[at:] + more, 0
                continue
            number += 1
            content = _bytes(text[at:end])
            yield byte, byte + len(content), number, content
            at, byte = end, byte + len(content)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
