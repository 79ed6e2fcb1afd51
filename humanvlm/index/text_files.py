"""Text files as tables: a URL a line, comma- or tab-separated values, JSON. Read as streams, in bounded memory."""

import codecs
import csv
import gzip
import io
import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TextIO, cast

import pyarrow as pa

from humanvlm.errors import UserError
from humanvlm.index.layout import has_address
from humanvlm.index.tables import MALFORMED, PICTURES, Line, Table, common_type, json_type

MOST_LINE = 1 << 24  # characters of a line, or of a value of a JSON list
MOST_NAMES = 10_000  # different keys of JSON objects that are remembered
DELIMITERS = ",;\t|"
NO_DELIMITER = "\x1f"
GZIP = b"\x1f\x8b"
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
LOST = "humanvlm.lost"
TOO_LONG = '"too"long'  # in the place of a line that is: no reader of strict CSV takes it, inside quotes or outside
SHORT = "rows with fewer cells than the header:"
REST = "damaged_rest"


def _lost(error: UnicodeError) -> tuple[str, int]:
    """Bytes that are no letters become half a surrogate pair, which no sound file has and ``cells.clean`` replaces."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "\udcff", error.end


codecs.register_error(LOST, _lost)


@contextmanager
def open_text(path: Path, encoding: str | None = None) -> Iterator[TextIO]:
    """A text file, gzipped or not by its first bytes. encoding: by its byte order mark, else UTF-8, when not given."""
    with path.open("rb") as file:
        stream = io.BufferedReader(cast(io.RawIOBase, file))
        if stream.peek(2)[:2] == GZIP:
            stream = io.BufferedReader(cast(io.RawIOBase, gzip.GzipFile(fileobj=stream)))
        named = encoding or _encoding(stream.peek(64)[:64])
        try:
            text = io.TextIOWrapper(stream, named, errors=LOST, newline="")
        except LookupError:
            raise UserError(f"--encoding {named}: no such encoding; such as latin-1, cp1252, utf-16, gb18030") from None
        yield text


def _encoding(head: bytes) -> str:
    for mark, name in MARKS:
        if head.startswith(mark):
            return name
    for zeros, name in ((head[1::2], "utf-16-le"), (head[::2], "utf-16-be")):
        if zeros and not any(zeros):
            return name
    return "utf-8"


def text_table(path: Path, suffix: str, encoding: str | None) -> Table:
    """The table in a text file; suffix: its kind, without .gz. Raises UserError when its columns cannot be found."""
    if suffix == ".txt":
        with open_text(path, encoding) as file:
            header = next(_numbered(file), (0, ""))[1] or ""
        if not has_address(_cells(header, _delimiter(header))):
            return Table(str(path), {"url": pa.string(), "text": pa.string()}, lambda columns: _lines(path, encoding))
        suffix = ".csv"
    if suffix in (".csv", ".tsv"):
        return _csv(path, encoding, tabs=suffix == ".tsv")
    if suffix == ".json" and _is_list(path, encoding):
        return _json(path, partial(_json_list, path, encoding), "row")
    return _json(path, partial(_json_lines, path, encoding), "line")


def _numbered(file: TextIO) -> Iterator[tuple[int, str | None]]:
    """Lines with their numbers, from 1; None for one that is too long."""
    number = 0
    while line := file.readline(MOST_LINE):
        number += 1
        if len(line) < MOST_LINE or line.endswith(("\n", "\r")):
            yield number, line
            continue
        while (rest := file.readline(MOST_LINE)) and not rest.endswith(("\n", "\r")):
            pass
        yield number, None


def _lines(path: Path, encoding: str | None) -> Iterator[Line]:
    """One URL a line, with its text after a tab; blank lines do not count."""
    with open_text(path, encoding) as file:
        for number, line in _numbered(file):
            url, _, text = (line or "").strip("\r\n").partition("\t")
            if line is None:
                yield Line(number, None, MALFORMED)
            elif url.strip() or text:
                yield Line(number, {"url": url, "text": text})


# Comma-separated values


def _csv(path: Path, encoding: str | None, tabs: bool) -> Table:
    with open_text(path, encoding) as file:
        first = next((line for _, line in _numbered(file) if line is None or line.strip()), "")
    if first is None:
        raise UserError(f"{path}: its first line has more than {MOST_LINE:,} characters; is it a table?")
    delimiter = "\t" if tabs else _delimiter(first)
    header = [name.strip() for name in _cells(first, delimiter)]
    named = not any(_is_url(cell) for cell in header)
    names = header if named else _names(header)
    spaced = named and f"{delimiter} " in first

    def read(columns: Sequence[str]) -> Iterator[Line]:
        places = {name: names.index(name) for name in columns}
        with open_text(path, encoding) as file:
            records = _records(_numbered(file), delimiter, len(names), spaced, tabs)
            if named:
                next((cells for _, cells in records if cells != []), None)
            for number, cells in records:
                if cells is None or len(cells) > len(names):
                    yield Line(number, None, MALFORMED)
                elif cells:
                    row = {name: cells[place] if place < len(cells) else None for name, place in places.items()}
                    yield Line(number, row, SHORT if len(cells) < len(names) else "")

    return Table(str(path), dict.fromkeys(names, pa.string()), read)


def _delimiter(header: str) -> str:
    return next((mark for mark in DELIMITERS if mark in header), NO_DELIMITER)


def _cells(line: str, delimiter: str) -> list[str]:
    return next(csv.reader([line.strip("\r\n")], delimiter=delimiter, skipinitialspace=True), [])


def _names(cells: Sequence[str]) -> list[str]:
    """Names of the columns of a file without a header, of which one cell is an address."""
    address = next(place for place, cell in enumerate(cells) if _is_url(cell))
    other = "text" if len(cells) == 2 else "column_{}"
    return ["url" if place == address else other.format(place + 1) for place in range(len(cells))]


def _is_url(cell: str) -> bool:
    return cell.strip().lower().startswith(("http://", "https://"))


class _Taken:
    """Lines for ``csv.reader``, which remembers those of the record being read, and takes lines back."""

    def __init__(self, lines: Iterator[tuple[int, str | None]]) -> None:
        self.lines = lines
        self.back: deque[tuple[int, str | None]] = deque()
        self.record: list[tuple[int, str | None]] = []
        self.size = 0

    def __iter__(self) -> "_Taken":
        return self

    def __next__(self) -> str:
        if self.size > MOST_LINE:
            raise StopIteration  # to the reader this is the end of the file, inside quotes: an error
        line = self.back.popleft() if self.back else next(self.lines)
        self.record.append(line)
        self.size += len(line[1] or "")
        return TOO_LONG if line[1] is None else line[1]

    def start(self) -> None:
        self.record, self.size = [], 0

    def retry(self) -> None:
        """All lines of the record but the first are to be read again."""
        self.back.extendleft(reversed(self.record[1:]))


def _records(
    lines: Iterator[tuple[int, str | None]], delimiter: str, width: int, spaced: bool, tabs: bool
) -> Iterator[tuple[int, list[str] | None]]:
    """Records with the number of their first line; None for a malformed one, of which only the first line is given up.

    A quote that never closes would swallow the lines after it. It is known by what follows the next quote, or by a
    swallowed line that is a row by itself.
    """
    csv.field_size_limit(MOST_LINE)
    taken = _Taken(lines)
    reader = csv.reader(taken, delimiter=delimiter, skipinitialspace=spaced, strict=True)
    while True:
        taken.start()
        try:
            cells = next(reader, None)
        except csv.Error:
            cells = None
        if not taken.record:
            return
        number, first = taken.record[0]
        if cells is None or _swallowed(taken.record, cells, delimiter, width):
            taken.retry()
            yield number, _unquoted(first or "", delimiter, width, tabs)
        else:
            yield number, cells


def _unquoted(line: str, delimiter: str, width: int, tabs: bool) -> list[str] | None:
    """The cells when quotes are but letters: often so between tabs, and where a text begins with a quoted word."""
    cells = line.strip("\r\n").split(delimiter)
    return cells if line and len(cells) == width and (tabs or line.count('"') % 2 == 0) else None


def _swallowed(record: Sequence[tuple[int, str | None]], cells: Sequence[str], delimiter: str, width: int) -> bool:
    """Whether any line after the first is a whole row with an address, other than the one that the record ends with."""
    for _, line in record[1:]:
        if line and line.count(delimiter) >= width - 1:
            found = _cells(line, delimiter)
            if len(found) == width and any(map(_is_address, set(found).difference(cells))):
                return True
    return False


def _is_address(cell: str) -> bool:
    cell = cell.strip()
    return _is_url(cell) or cell.lower().endswith(tuple(PICTURES))


# JSON


def _json(path: Path, read: Callable[[], Iterator[Line]], unit: str) -> Table:
    """Columns are all keys of the file, in order of appearance: it is read twice."""
    columns: dict[str, pa.DataType] = {}
    for line in read():
        for name, value in (line.row or {}).items():
            if name in columns or len(columns) < MOST_NAMES:
                columns[name] = common_type(columns.get(name, pa.null()), json_type(value))
    if not columns:
        raise UserError(f"{path}: no {unit} of it is a JSON object with an address")
    return Table(str(path), columns, lambda names: read(), unit)


def _json_lines(path: Path, encoding: str | None) -> Iterator[Line]:
    with open_text(path, encoding) as file:
        for number, line in _numbered(file):
            if line is None or line.strip():
                yield _object(number, line)


def _object(number: int, text: str | None) -> Line:
    try:
        value = json.loads(text) if text is not None else None
    except (ValueError, RecursionError):
        value = None
    return _row(number, value)


def _row(number: int, value: Any) -> Line:
    return Line(number, value) if isinstance(value, dict) else Line(number, None, MALFORMED)


def _is_list(path: Path, encoding: str | None) -> bool:
    with open_text(path, encoding) as file:
        return file.read(MOST_LINE >> 8).lstrip().startswith("[")


def _json_list(path: Path, encoding: str | None) -> Iterator[Line]:
    """The values of a list, one at a time; what comes after a damaged one cannot be read and counts as one row."""
    decode = json.JSONDecoder().raw_decode
    with open_text(path, encoding) as file:
        text, place, number, more = file.read(MOST_LINE >> 8), 0, 0, True
        place = text.index("[") + 1
        while True:
            place = _skipped(text, place)
            try:
                if text[place : place + 1] == "]":
                    return
                value, end = decode(text, place)
            except (ValueError, RecursionError):
                end = len(text)
                value = None
            if end == len(text) and more and end - place < MOST_LINE:
                added = file.read(max(MOST_LINE >> 8, end - place))  # twice as much each time: in linear time
                text, place, more = text[place:] + added, 0, bool(added)
                continue
            number += 1
            if value is None and end == len(text):
                yield Line(number, None, REST)
                return
            yield _row(number, value)
            place = end


def _skipped(text: str, place: int) -> int:
    while place < len(text) and (text[place].isspace() or text[place] == ","):
        place += 1
    return place
