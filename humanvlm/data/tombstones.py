"""The takedown list: what must never be stored again. ``tombstones.csv`` in the project's folder, versioned with it.

It is not part of ``data/``, because checking out older data must not undo a takedown, and it holds hashes only: a list
of URLs would publish what it hides.
"""

import csv
import hashlib
import io
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from humanvlm.data.atomic_io import write_text
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


@dataclass(frozen=True)
class Tombstones:
    """ids: of samples. urls: sha256 of each URL as the index spells it. pictures: sha256 of the stored bytes. hosts:
    sha256 of host names, which stand for their subdomains too."""

    ids: frozenset[str] = frozenset()
    urls: frozenset[str] = frozenset()
    pictures: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()

    def covers(self, id: str | None = None, url: str | None = None, sha256: str | None = None) -> bool:
        """Whether any of the three is forgotten; what is not known is left out."""
        if id in self.ids or sha256 in self.pictures:
            return True
        if url and self.urls and url_hash(url) in self.urls:
            return True
        return bool(url and self.hosts and not self.hosts.isdisjoint(host_hashes(url)))

    def __or__(self, other: "Tombstones") -> "Tombstones":
        return Tombstones(*(mine | its for mine, its in zip(self._sets, other._sets, strict=True)))

    def __sub__(self, other: "Tombstones") -> "Tombstones":
        return Tombstones(*(mine - its for mine, its in zip(self._sets, other._sets, strict=True)))

    def __len__(self) -> int:
        return sum(map(len, self._sets))

    @property
    def _sets(self) -> tuple[frozenset[str], ...]:
        return self.ids, self.urls, self.pictures, self.hosts

    def entries(self) -> Iterator[tuple[str, str]]:
        """(kind, value) of each, as the file lists them."""
        for kind, values in (("host", self.hosts), ("id", self.ids), ("sha256", self.pictures), ("url", self.urls)):
            yield from ((kind, value) for value in sorted(values))

    @property
    def digest(self) -> str:
        """sha256 of what is forgotten, dates apart; that of an empty list and of a missing file are the same."""
        return hashlib.sha256(json.dumps(list(self.entries())).encode()).hexdigest()


def url_hash(url: str) -> str:
    return hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()


def host_hashes(url: str) -> tuple[str, ...]:
    """sha256 of the URL's host name and of the domains it is in; of none when it has no host."""
    try:
        host = urlsplit(url).hostname
    except ValueError:
        return ()
    return _hashes_of(host) if host else ()


@lru_cache(1 << 16)
def _hashes_of(host: str) -> tuple[str, ...]:
    labels = _spelled(host).split(".")
    return tuple(hashlib.sha256(".".join(labels[at:]).encode()).hexdigest() for at in range(len(labels)))


def _spelled(host: str) -> str:
    """A host name as DNS has it: in lower case, without the last dot, other scripts than Latin in their ASCII form."""
    host = host.lower().removesuffix(".")
    try:
        return host if host.isascii() else host.encode("idna").decode()
    except UnicodeError:
        return host.encode("ascii", "backslashreplace").decode()


def of_hosts(names: Iterable[str]) -> Tombstones:
    """Tombstones of sites by host name. Raises UserError naming one that is none, such as a URL or a bare suffix."""
    return Tombstones(hosts=frozenset(_hashes_of(_checked_host(name.strip()))[0] for name in names))


def _checked_host(name: str) -> str:
    spelled = _spelled(name)
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
    """The tombstones of a file, none when it is missing. Raises UserError naming the file and line of a bad row."""
    return _tombstones(_read(path))


def add(path: Path, new: Tombstones, today: date) -> int:
    """Add what the file lacks, dated ``today``, atomically; return how many that were. The others keep their date."""
    known = _read(path)
    added = {entry: today.isoformat() for entry in new.entries() if entry not in known}
    if added:
        _write(path, known | added)
    return len(added)


def read_list(source: str, kind: str) -> Tombstones:
    """Tombstones from a list with one value a line, ``-`` being standard input; empty lines and # comments are skipped.

    kind: ``id``, ``url`` (URLs as the index spells them; they are hashed here) or ``sha256``. Raises UserError naming
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
    return Tombstones(*(frozenset(values[kind]) for kind in ("id", "url", "sha256", "host")))


def _read(path: Path) -> dict[tuple[str, str], str]:
    """Date by (kind, value)."""
    if not path.exists():
        return {}
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
            entries.setdefault((kind, _checked(str(path), reader.line_num, kind, value)), day)
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
