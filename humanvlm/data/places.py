"""Pictures that are here already: in which file of which source each one is, and where these sources are.

``local_sources.json`` beside the index says where each source is, relative to itself. Only ``humanvlm index`` writes
it, of what its user named. A row has the name of a source and a file inside it, so no list, wherever it comes from,
reaches any other file.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa

from humanvlm.data.atomic_io import write_json
from humanvlm.errors import UserError

COLUMN = "local"  # of the index
SCHEME = "local:"
SOURCES = "local_sources.json"
PLACE = pa.struct(
    [
        ("source", pa.string()),
        ("file", pa.string()),
        ("member", pa.string()),
        ("row", pa.int64()),
        ("offset", pa.int64()),
        ("size", pa.int64()),
    ]
)


@dataclass(frozen=True)
class Place:
    """Where a picture is. source: by name. file: relative to the source, "" for itself; a whole file, when nothing
    else is given. row, member: of a table, and its column. offset, size, member: bytes of a tar, and the name there."""

    source: str
    file: str
    member: str | None = None
    row: int | None = None
    offset: int | None = None
    size: int | None = None

    def __str__(self) -> str:
        """As an address: ``local:SOURCE/FILE``, with the row or the member."""
        path = "/".join(quote(part, safe="/") for part in (self.source, self.file) if part)
        inside = f"?row={self.row}" if self.row is not None else f"?member={quote(self.member)}" if self.member else ""
        return f"{SCHEME}{path}{inside}"


def address(place: Place, sha256: str) -> str:
    """What stands for the URL of a picture that has none; with another content it is another picture."""
    text = str(place)
    return f"{text}{'&' if '?' in text else '?'}sha256={sha256[:16]}"


def load_sources(data: Path) -> dict[str, Path]:
    """The sources of an index by name, none when it has none. Raises UserError when the file is damaged."""
    path = data / SOURCES
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {str(name): (data / str(where)).resolve() for name, where in found.items()}
    except (ValueError, AttributeError) as error:
        raise UserError(f"{path}: damaged ({error}); run `humanvlm index` again") from None


def save_sources(data: Path, sources: Mapping[str, Path]) -> None:
    """Write where the sources are; of none there is no file."""
    if sources:
        home = data.resolve()
        write_json(data / SOURCES, {name: os.path.relpath(path, home) for name, path in sorted(sources.items())})
    else:
        (data / SOURCES).unlink(missing_ok=True)


def name_of(root: Path, known: Mapping[str, Path]) -> str:
    """The name of a source: the one it has, or else its file name, with a number when that is another's."""
    for name, path in known.items():
        if path == root:
            return name
    plain = root.name.encode("utf-8", "replace").decode() or "files"
    return next(name for number in count(1) if (name := plain if number == 1 else f"{plain}-{number}") not in known)
