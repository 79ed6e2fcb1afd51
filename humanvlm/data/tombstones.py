"""The takedown list: what must never be stored again. ``tombstones.csv`` in the project's folder, versioned with it.

It is not part of ``data/``, because checking out older data must not undo a takedown. Its values are sealed with the
project's key (humanvlm.data.seals): who has the list alone cannot tell who asked. Older lists hold plain hashes, which
are honoured until ``humanvlm forget`` seals them. Nothing reads a sealed list without its key: a run that did would
store again what was taken down.
"""

import csv
import hashlib
import io
import json
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from humanvlm.data.atomic_io import write_text
from humanvlm.data.seals import SEALED, VARIABLE, Key, key_path, load_keys, make_key
from humanvlm.data.spelling import host_spelling, spelling
from humanvlm.errors import UserError

PATH = Path("tombstones.csv")
FORGOTTEN = "forgotten"  # the reason under which a covered row is counted
COLUMNS = ["kind", "value", "date"]
ID, SHA256 = re.compile(r"[0-9a-f]{20}"), re.compile(r"[0-9a-f]{64}")
KINDS: Mapping[str, tuple[re.Pattern[str], str]] = {
    "id": (ID, "a sample id, 20 hex digits"),
    "url": (SHA256, "the sha256 of a URL, 64 hex digits"),
    "sha256": (SHA256, "the sha256 of a picture, 64 hex digits"),
    "host": (SHA256, "the sha256 of a host name, 64 hex digits"),
}
SCHEMES = ("http://", "https://", "local:")  # the last of pictures in files (humanvlm.data.places)
LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
LONGEST_HOST = 253  # characters; a longer name has no address


@dataclass(frozen=True)
class Tombstones:
    """ids: of samples. urls: sha256 of each URL's spelling. pictures: sha256 of the stored bytes. hosts: sha256 of host
    names, which stand for their subdomains too. keys: with which values may be sealed, the first being for new ones."""

    ids: frozenset[str] = frozenset()
    urls: frozenset[str] = frozenset()
    pictures: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()
    keys: tuple[Key, ...] = field(default=(), compare=False, repr=False)

    def covers(self, id: str | None = None, url: str | None = None, sha256: str | None = None) -> bool:
        """Whether any of the three is forgotten; what is not known is left out."""
        return bool(
            (id and self._has("id", self.ids, (id,)))
            or (sha256 and self._has("sha256", self.pictures, (sha256,)))
            or (url and self.urls and self._has("url", self.urls, (url_hash(url), _hash(url))))
            or (url and self.hosts and self._has("host", self.hosts, host_hashes(url)))
        )

    def _has(self, kind: str, listed: frozenset[str], values: Iterable[str]) -> bool:
        return bool(listed) and any(
            value in listed or any(key.seal(kind, value) in listed for key in self.keys) for value in values
        )

    def sealed(self, keys: tuple[Key, ...]) -> "Tombstones":
        """The same with every plain value sealed by the first of the keys."""
        kinds = zip(KINDS, self._sets, strict=True)
        sets = (frozenset(_sealed(kind, value, keys[0]) for value in values) for kind, values in kinds)
        return _made(sets, keys)

    def __or__(self, other: "Tombstones") -> "Tombstones":
        sets = (mine | its for mine, its in zip(self._sets, other._sets, strict=True))
        return _made(sets, self.keys or other.keys)

    def __sub__(self, other: "Tombstones") -> "Tombstones":
        sets = (mine - its for mine, its in zip(self._sets, other._sets, strict=True))
        return _made(sets, self.keys or other.keys)

    def __len__(self) -> int:
        return sum(map(len, self._sets))

    @property
    def _sets(self) -> tuple[frozenset[str], ...]:
        return self.ids, self.urls, self.pictures, self.hosts

    def entries(self) -> Iterator[tuple[str, str]]:
        """(kind, value) of each, as the file lists them."""
        for kind, values in sorted(zip(KINDS, self._sets, strict=True)):
            yield from ((kind, value) for value in sorted(values))

    @property
    def digest(self) -> str:
        """sha256 of what is forgotten, dates apart; that of an empty list and of a missing file are the same."""
        return hashlib.sha256(json.dumps(list(self.entries())).encode()).hexdigest()


def _made(sets: Iterable[frozenset[str]], keys: tuple[Key, ...] = ()) -> Tombstones:
    """Tombstones of a set a kind, in the order of KINDS."""
    ids, urls, pictures, hosts = sets
    return Tombstones(ids, urls, pictures, hosts, keys)


def _sealed(kind: str, value: str, key: Key) -> str:
    return value if SEALED.fullmatch(value) else key.seal(kind, value)


def url_hash(url: str) -> str:
    """sha256 of what all spellings of a URL share."""
    return _hash(spelling(url))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def host_hashes(url: str) -> tuple[str, ...]:
    """sha256 of the URL's host name and of the domains it is in; of none when it has no host."""
    try:
        host = urlsplit(url).hostname
    except ValueError:
        return ()
    return _hashes_of(host) if host and len(host) <= LONGEST_HOST else ()


@lru_cache(1 << 16)
def _hashes_of(host: str) -> tuple[str, ...]:
    labels = host_spelling(host).split(".")
    return tuple(_hash(".".join(labels[at:])) for at in range(len(labels)))


def of_hosts(names: Iterable[str]) -> Tombstones:
    """Tombstones of sites by host name. Raises UserError naming one that is none, such as a URL or a bare suffix."""
    return Tombstones(hosts=frozenset(_hashes_of(_checked_host(name.strip()))[0] for name in names))


def _checked_host(name: str) -> str:
    spelled = host_spelling(name)
    labels = spelled.split(".")
    try:
        ip_address(spelled.strip("[]"))
        return spelled.strip("[]")
    except ValueError:
        named = all(LABEL.fullmatch(label) for label in labels) and not labels[-1].isdigit()
    if not named or (len(labels) == 1 and spelled != "localhost"):
        raise UserError(f"{name[:80]!r} must be a host name such as photos.example.org, which covers its subdomains")
    return spelled


def load(path: Path = PATH) -> Tombstones:
    """The tombstones of a file, none when it is missing.

    Raises UserError naming the file and line of a bad row, or of one that is sealed with a key that is not here.
    """
    return replace(_tombstones(_read(path)), keys=_keys(path))


def _keys(path: Path) -> tuple[Key, ...]:
    return load_keys(key_path(path))


def add(path: Path, new: Tombstones, today: date) -> int:
    """Add what the file lacks, dated ``today``, atomically, and seal all; return how many that were.

    The others keep their date. The first time a key is made. Raises UserError as ``load``.
    """
    known = _read(path)
    if not known and not new:
        return 0
    keys = _keys(path) or (make_key(key_path(path)),)
    listed: dict[tuple[str, str], str] = {}
    for entry, day in known.items():
        listed.setdefault((entry[0], _sealed(*entry, keys[0])), day)
    added = {entry: today.isoformat() for entry in new.sealed(keys).entries() if entry not in listed}
    if added or listed != known:
        _write(path, listed | added)
    return len(added)


def read_list(source: str, kind: str) -> Tombstones:
    """Tombstones from a list with one value a line, ``-`` being standard input; empty lines and # comments are skipped.

    kind: ``id``, ``url`` (in any spelling; they are hashed here) or ``sha256``. Raises UserError naming
    the line that is not one.
    """
    entries = {}
    for number, line in enumerate(_text(source).split("\n"), 1):
        value = line.strip()
        if not value or value.startswith("#"):
            continue
        if kind == "url":
            if not value.lower().startswith(SCHEMES):
                raise UserError(f"{source}:{number}: {value[:80]!r} must be a URL, one of {', '.join(SCHEMES)}")
            value = url_hash(value)
        entries[kind, _checked(source, number, kind, value.lower())] = ""
    return _tombstones(entries)


def _tombstones(entries: Mapping[tuple[str, str], str]) -> Tombstones:
    values: dict[str, set[str]] = {kind: set() for kind in KINDS}
    for kind, value in entries:
        values[kind].add(value)
    return _made(frozenset(values[kind]) for kind in KINDS)


def _read(path: Path) -> dict[tuple[str, str], str]:
    """Date by (kind, value). Raises UserError as ``load``."""
    if not path.exists():
        return {}
    keys = {key.name for key in _keys(path)}
    entries: dict[tuple[str, str], str] = {}
    reader = csv.reader(io.StringIO(_text(str(path)), newline=""), strict=True)
    try:
        if next(reader, COLUMNS) != COLUMNS:
            raise UserError(f"{path}:1: must be {','.join(COLUMNS)}; restore it from version control")
        for row in reader:
            if len(row) != len(COLUMNS) or row[0] not in KINDS:
                raise UserError(f"{path}:{reader.line_num}: must be KIND,VALUE,DATE, KIND one of {', '.join(KINDS)}")
            kind, value, day = row
            _check_date(path, reader.line_num, day)
            if sealed := SEALED.fullmatch(value):
                _check_key(path, reader.line_num, sealed["key"], keys)
            else:
                _checked(str(path), reader.line_num, kind, value)
            entries.setdefault((kind, value), day)
    except csv.Error as error:
        raise UserError(f"{path}:{reader.line_num}: not CSV ({error}); restore it from version control") from None
    return entries


def _write(path: Path, entries: Mapping[tuple[str, str], str]) -> None:
    lines = [COLUMNS, *([kind, value, entries[kind, value]] for kind, value in sorted(entries))]
    write_text(path, "".join(f"{','.join(line)}\n" for line in lines))


def _checked(source: str, line: int, kind: str, value: str) -> str:
    pattern, meaning = KINDS[kind]
    if not pattern.fullmatch(value):
        raise UserError(f"{source}:{line}: {value[:80]!r} must be {meaning}")
    return value


def _check_key(path: Path, line: int, name: str, keys: Collection[str]) -> None:
    if name not in keys:
        raise UserError(
            f"{path}:{line}: sealed with key {name}, which {key_path(path)} does not hold; get that key from whoever "
            f"shares this list and add it as a line, or name its file in {VARIABLE}"
        )


def _check_date(path: Path, line: int, text: str) -> None:
    try:
        date.fromisoformat(text)
    except ValueError:
        raise UserError(f"{path}:{line}: date {text[:40]!r} must be YYYY-MM-DD") from None


def _text(source: str) -> str:
    try:
        data = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
    except OSError as error:
        raise UserError(f"{source}: {error.strerror}; name a file with one value a line, or -") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(f"{source}:{line}: not UTF-8") from None
