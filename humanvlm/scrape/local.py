"""Take pictures from files that are here, which ``humanvlm index`` found: no server, the same checks.

A row has the name of a source and a file inside it (``humanvlm.data.places``). Files are opened only inside sources
that ``local_sources.json`` names, one after the other, and read a few pictures at a time; nothing is unpacked.
"""

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path

from humanvlm.data.picture_columns import read_parquet, read_saved
from humanvlm.data.places import SOURCES, Place
from humanvlm.errors import UserError
from humanvlm.scrape.fetch import Fetched
from humanvlm.scrape.reasons import RefusedError

Wanted = Iterable[tuple[int, Place]]
Taken = tuple[int, Fetched | RefusedError]


def check_sources(data: Path, sources: Mapping[str, Path], places: Iterable[Place]) -> None:
    """Raises UserError when a source of the places is not known here, or gone, which would cost all of its rows."""
    for name in sorted({place.source for place in places}):
        if name not in sources:
            raise UserError(
                f"{data / SOURCES}: no source {name!r}, which the index takes pictures from; index it again"
            )
        if not sources[name].exists():
            raise UserError(
                f"{sources[name]}: not there; the index takes pictures from it as {name!r}: bring it back, or index "
                f"it again where it is now"
            )


def take(wanted: Wanted, sources: Mapping[str, Path], max_bytes: int) -> Iterator[Taken]:
    """What each place holds, by the number that comes with it: file by file, a few pictures in memory.

    sources: folders and files by name. Instead of a picture: RefusedError file_missing, file_unreadable,
    outside_source, no_picture or too_large.
    """
    ordered = sorted(wanted, key=lambda item: (item[1].source, item[1].file, item[1].row or 0, item[1].offset or 0))
    for (source, file), group in groupby(ordered, key=lambda item: (item[1].source, item[1].file)):
        items = list(group)
        try:
            path = _inside(sources[source], file)
            yield from _file(path, items, max_bytes)
        except RefusedError as refusal:
            yield from ((number, refusal) for number, _ in items)


def _inside(root: Path, file: str) -> Path:
    """The file, links followed. Raises RefusedError when it is not in its source, or no longer there."""
    try:
        path = (root / file if file else root).resolve()
        if not path.is_relative_to(root.resolve()):
            raise RefusedError("outside_source", "a path that leads out of its source")
        if not path.exists():
            raise RefusedError("file_missing", path.name)
    except (OSError, ValueError) as error:  # names that no file can have
        raise RefusedError("file_unreadable", _said(error)) from None
    return path


def _file(path: Path, items: list[tuple[int, Place]], max_bytes: int) -> Iterator[Taken]:
    tables = [(number, place) for number, place in items if place.row is not None]
    parts = [(number, place) for number, place in items if place.row is None]
    if tables:
        yield from _table(path, tables, max_bytes)
    for number, place in parts:
        try:
            data = _part(path, place, max_bytes)
        except RefusedError as refusal:
            yield number, refusal
        else:
            yield number, _fetched(place, data, max_bytes)


def _part(path: Path, place: Place, max_bytes: int) -> bytes:
    """A whole file, or bytes of a tar; of too many one more than allowed."""
    if not path.is_file():
        raise RefusedError("file_unreadable", "not a regular file")
    try:
        with path.open("rb") as file:
            if place.offset is None:
                return file.read(max_bytes + 1)
            file.seek(place.offset)
            return file.read(min(place.size or 0, max_bytes + 1))
    except (OSError, ValueError) as error:
        raise RefusedError("file_unreadable", _said(error)) from None


def _table(path: Path, items: list[tuple[int, Place]], max_bytes: int) -> Iterator[Taken]:
    """Rows of a Parquet file or of a split in a folder. What is left when it breaks off is refused."""
    for column, group in groupby(sorted(items, key=lambda item: item[1].member or ""), key=lambda item: item[1].member):
        left: defaultdict[int, list[tuple[int, Place]]] = defaultdict(list)
        for number, place in group:
            left[place.row or 0].append((number, place))
        read = read_saved if path.is_dir() else read_parquet
        reason, detail = "no_picture", "the table has no such row"
        try:
            for row, data in read(path, column or "", sorted(left)):
                for number, place in left.pop(row):
                    yield number, _fetched(place, data or b"", max_bytes)
        except Exception as error:  # of pyarrow and datasets, whatever a damaged or changed table makes of it
            reason, detail = "file_unreadable", _said(error)
        yield from ((number, RefusedError(reason, detail)) for some in left.values() for number, _ in some)


def _fetched(place: Place, data: bytes, max_bytes: int) -> Fetched | RefusedError:
    if not data:
        return RefusedError("no_picture", str(place))
    if len(data) > max_bytes:
        return RefusedError("too_large", f"more than {max_bytes} bytes")
    return Fetched(str(place), None, data, int(time.time()))


def _said(error: Exception) -> str:
    """What went wrong, without the path of this machine."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:160]
