"""Files of references, predictions and scores: plain or gzip, read within limits, written atomically.

JSON lines are streamed, whatever their length. A JSON document has to be held whole, in about five times its size, so
documents beyond ``MOST_JSON`` are refused: the same rows as JSON lines have no such limit.
"""

import gzip
import json
import math
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO, TypeVar

from humanvlm.errors import UserError

MOST_JSON = 1 << 30  # characters; all annotation files of COCO and VQAv2 are below half of it
MOST_PARTS = 40_000_000  # lists, objects and members of a document, which take some 100 bytes for three characters
MOST_LINE = 1 << 26  # characters; a row of MMBench holds its picture
_GZIP = b"\x1f\x8b"
Row = Mapping[str, Any]
Value = TypeVar("Value")


@contextmanager
def open_text(path: Path) -> Iterator[TextIO]:
    """The text of a UTF-8 file, unpacked when it is gzip by its first bytes.

    Raises UserError naming the file when it is missing, unreadable, damaged, or no UTF-8.
    """
    try:
        with path.open("rb") as file:
            packed = file.read(2) == _GZIP
        with gzip.open(path, "rt", encoding="utf-8-sig") if packed else path.open("rt", encoding="utf-8-sig") as text:
            yield text
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from error
    except (OSError, EOFError, zlib.error) as error:  # gzip raises EOFError when cut off, zlib.error when damaged
        raise UserError(f"{path}: cannot be read ({_why(error)})") from error


def read_json(path: Path) -> Any:
    """A whole JSON document. Raises UserError when it is malformed, or has more than ``MOST_JSON`` characters or
    ``MOST_PARTS`` parts."""
    with open_text(path) as file:
        text = file.read(MOST_JSON + 1)
    if len(text) > MOST_JSON:
        raise UserError(f"{path}: more than {MOST_JSON >> 20} MiB of JSON; split it, or write its rows as JSON lines")
    if sum(map(text.count, "[{:")) > MOST_PARTS:
        raise UserError(f"{path}: JSON of more than {MOST_PARTS:,} parts; split it, or write its rows as JSON lines")
    return _parsed(text, str(path))


def read_rows(path: Path) -> Iterator[tuple[str, Row]]:
    """The objects of a file of JSON lines, streamed, or of a JSON array; each with ``file:line`` to blame.

    Raises UserError at the first row that is no JSON object.
    """
    with open_text(path) as file:
        start = file.read(1)
        while start.isspace():
            start = file.read(1)
        if start != "[":
            file.seek(0)
            yield from _json_lines(path, file)
            return
    for number, row in enumerate(_array(path, read_json(path))):
        yield f"{path}[{number}]", _object(row, f"{path}[{number}]")


def read_array(path: Path, *keys: str) -> Iterator[tuple[str, Row]]:
    """The objects of a JSON array, or of the array under the first of ``keys`` that a JSON object has."""
    value = read_json(path)
    if isinstance(value, dict):
        found = [key for key in keys if key in value]
        if not found:
            raise UserError(f"{path}: an object without {' or '.join(keys) or 'rows'}; a list is expected")
        value = value[found[0]]
    for number, row in enumerate(_array(path, value)):
        yield f"{path}[{number}]", _object(row, f"{path}[{number}]")


def read_tab_separated(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """The rows of a tab-separated file whose first line names the columns; quoted fields may hold tabs and newlines."""
    import csv

    csv.field_size_limit(MOST_LINE)
    with open_text(path) as file:
        reader = csv.DictReader(file, delimiter="\t")
        try:
            for row in reader:
                where = f"{path}:{reader.line_num}"
                if None in row or None in row.values():
                    raise UserError(f"{where}: has not {len(reader.fieldnames or ())} columns, as the first line has")
                yield where, row
        except csv.Error as error:
            raise UserError(f"{path}:{reader.line_num}: malformed ({error})") from error


def get(row: Row, names: Sequence[str], where: str) -> Any:
    """The first of ``names`` that the row has and that is not null; UserError when it has none."""
    for name in names:
        if row.get(name) is not None:
            return row[name]
    raise UserError(f"{where}: no {' or '.join(names)}")


def get_id(row: Row, names: Sequence[str], where: str) -> str:
    """An identifier as text: integers and strings are the same id when they read the same."""
    value = get(row, names, where)
    if isinstance(value, bool) or not isinstance(value, int | str) or value == "":
        raise UserError(f"{where}: the id {value!r} is neither an integer nor a string")
    return str(value)


def get_text(row: Row, names: Sequence[str], where: str) -> str:
    """A reply or answer; numbers, which some models' files hold, are read as text."""
    value = get(row, names, where)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise UserError(f"{where}: {next(name for name in names if row.get(name) is not None)} is not a string")
    return value


def get_numbers(value: Any, where: str, count: int | None = None) -> list[float]:
    """A list of finite numbers, ``count`` of them when given."""
    if (
        not isinstance(value, list)
        or (count is not None and len(value) != count)
        or not all(isinstance(item, int | float) and not isinstance(item, bool) for item in value)
    ):
        raise UserError(f"{where}: {str(value)[:60]} is not a list of {count if count is not None else 'some'} numbers")
    try:
        numbers = [float(item) for item in value]
    except OverflowError:
        numbers = [math.inf]
    if not all(math.isfinite(item) for item in numbers):
        raise UserError(f"{where}: a number is not finite")
    return numbers


def by_id(rows: Iterable[tuple[str, str, Value]]) -> dict[str, Value]:
    """(id, where, value) by id. Raises UserError on the first id that comes twice."""
    found: dict[str, Value] = {}
    for key, where, value in rows:
        if key in found:
            raise UserError(f"{where}: id {key} is there twice")
        found[key] = value
    return found


def pair(
    ids: Iterable[str], predictions: Mapping[str, Value], references: Path, file: Path, *, allow_missing: bool
) -> list[Value | None]:
    """The prediction of each id, in their order; None where it is missing and that is allowed.

    Raises UserError with the first id that has no prediction, or that is predicted but not asked for.
    """
    wanted = list(ids)
    missing = [key for key in wanted if key not in predictions]
    if missing and not allow_missing:
        raise UserError(
            f"{file}: no prediction for id {missing[0]} of {references} ({len(missing)} of {len(wanted)} are missing); "
            "--allow-missing scores them as wrong"
        )
    known = set(wanted)
    extra = [key for key in predictions if key not in known]
    if extra:
        raise UserError(f"{file}: id {extra[0]} is not in {references} ({len(extra)} such predictions); remove them")
    if not wanted:
        raise UserError(f"{references}: no rows")
    return [predictions.get(key) for key in wanted]


def _json_lines(path: Path, file: TextIO) -> Iterator[tuple[str, Row]]:
    number = 0
    while line := file.readline(MOST_LINE + 1):
        number += 1
        where = f"{path}:{number}"
        if len(line) > MOST_LINE:
            raise UserError(f"{where}: longer than {MOST_LINE >> 20} MiB")
        if not line.isspace():
            yield where, _object(_parsed(line, where), where)


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, " if error.lineno > 1 else ""
        raise UserError(f"{where}: malformed JSON ({error.msg}, {place}column {error.colno})") from error
    except (ValueError, RecursionError) as error:  # an integer of thousands of digits; nesting without end
        raise UserError(f"{where}: JSON that cannot be read ({type(error).__name__})") from error


def _array(path: Path, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise UserError(f"{path}: a JSON {type(value).__name__}; a list of objects is expected")
    return value


def _object(value: Any, where: str) -> Row:
    if not isinstance(value, dict):
        raise UserError(f"{where}: a JSON {type(value).__name__}; an object is expected")
    return value


def _why(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
