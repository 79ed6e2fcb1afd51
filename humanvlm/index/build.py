"""Make the URL index (``index.parquet``) from whatever holds URLs and texts, as a stream and never fatally.

Understands the released files of FaceCaption-15M (``url`` may be comma-joined or "UNKNOWN"), HumanCaption-10M and
HumanCaption-HQ-311K (chat turns) beside ordinary lists. One row a picture: rows that repeat an address are joined.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from humanvlm.data.atomic_io import atomic_file, write_text
from humanvlm.data.hashing import url_key
from humanvlm.data.places import COLUMN, PLACE, Place, load_sources, name_of, save_sources
from humanvlm.data.places import address as local_address
from humanvlm.errors import UserError
from humanvlm.index.cells import LOST, MOST_TEXTS, NO_TEXT, address, clean, hash_of, texts_of, word
from humanvlm.index.layout import Layout, find_layout, listed
from humanvlm.index.merge import Entry, Merged, scratch_of, write_merged
from humanvlm.index.sources import open_source, readable
from humanvlm.index.tables import Found, Row, Table, common_type
from humanvlm.shown import shown

SCHEMA = pa.schema(
    [
        pa.field("url", pa.string(), nullable=False),
        ("text", pa.string()),
        ("captions", pa.list_(pa.string())),
        ("license", pa.string()),
        ("sha256", pa.string()),
        ("md5", pa.string()),
    ]
)
INDEX = "index.parquet"
MOST_CHARACTERS = 1 << 20  # of a cell
PARTS = {
    "instructions.jsonl": "",
    "opening.jsonl": "",
    "site/README.md": "Hosts that `raw_scrape.local_hosts` serves over loopback: a folder each.\n",
    "benchmarks/README.md": "Tasks of `benchmark_scores`: captions.jsonl, vqa.jsonl, rec.jsonl, attributes.jsonl.\n",
}
REMEDIES = {
    "relative_url": "relative paths need --base-url, and pictures in a folder its name: humanvlm index FOLDER",
    "not_sha256": "a sha256 has 64 hexadecimal digits: call the column what it is, such as md5",
    "not_md5": "an md5 has 32 hexadecimal digits: call the column what it is, such as sha256",
    "malformed_row": "look at that line: a comma or a quote too many, or half a row",
}
REPLACED = "rows with replaced characters; name the encoding with --encoding, such as latin-1:"
NO_PICTURE = "no_picture"  # nor an address
NO_ADDRESS = ("missing_url", "unknown_url", "relative_url")
UNREAD = "rows with a text of no known form:"


@dataclass(frozen=True)
class Options:
    """What is asked of a list. base_url: what relative paths are appended to, quoted. url_column, text_column: found by
    usual names when None. encoding: of text files, by their byte order mark or UTF-8 when None. append: to the index
    that is there. limit: so many pictures from the start of the list. sample: so many, drawn by seed. keep: further
    columns that go into the index."""

    base_url: str | None = None
    url_column: str | None = None
    text_column: str | None = None
    encoding: str | None = None
    append: bool = False
    limit: int | None = None
    sample: int | None = None
    seed: int = 0
    keep: tuple[str, ...] = ()


@dataclass
class Tally:
    """How often something was met, and where first."""

    counts: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)

    def add(self, reason: str, where: str) -> None:
        self.counts[reason] += 1
        self.first.setdefault(reason, where)

    def lines(self) -> list[str]:
        """Each reason with its count and its first place."""
        return [f"{reason} {count:,} (first: {self.first[reason]})" for reason, count in self.counts.most_common()]


@dataclass
class Summary:
    """What became of a list: ``before`` + ``read`` = ``merged.rows`` + ``merged.merged`` + ``merged.sampled_out`` + all
    of ``left_out``. before: rows of the index that was appended to. read: lines of the list. roles: columns used, by
    what for. skipped: files of folders that were not read, by suffix. local: rows whose picture is here, by source."""

    path: Path
    read: int = 0
    before: int = 0
    merged: Merged = field(default_factory=Merged)
    left_out: Tally = field(default_factory=Tally)
    notes: Tally = field(default_factory=Tally)
    roles: dict[str, dict[str, None]] = field(default_factory=dict)
    skipped: Counter[str] = field(default_factory=Counter)
    local: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        used = "; ".join(f"{role} from {', '.join(names)}" for role, names in self.roles.items()) or "pictures alone"
        found = self.merged
        rows = (
            f"{_many(self.read, 'row')} read, {_many(found.rows, 'picture')}, {_many(found.with_text, 'row')} with text"
        )
        lines = [f"{self.path}: {rows} ({used})"]
        if self.before:
            lines.append(f"there before: {_many(self.before, 'row')}")
        if found.merged:
            lines.append(f"joined with the first row of their address: {_many(found.merged, 'row')}")
        if found.sampled_out:
            lines.append(f"not in the sample: {_many(found.sampled_out, 'picture')}")
        if found.texts_left_out:
            lines.append(f"texts left out, more than {MOST_TEXTS:,} of one picture: {found.texts_left_out:,}")
        if self.local:
            more = f" and {len(self.local) - 1:,} more" if len(self.local) > 1 else ""
            lines.append(f"pictures here, in {next(iter(self.local))}{more}: {self.local.total():,}")
        lines += [f"left out: {reason}" for reason in self.left_out.lines()]
        lines += [f"noticed: {note}" for note in self.notes.lines()]
        if self.skipped:
            skipped = ", ".join(f"{suffix} {count:,}" for suffix, count in self.skipped.most_common())
            lines.append(f"files not read, by suffix: {skipped}")
        return "\n  ".join(lines)


def _many(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def build_index(sources: Sequence[str], out: Path, options: Options | None = None) -> Summary:
    """Write ``out/index.parquet`` (columns of ``SCHEMA``, then those kept) from the sources, one row a picture.

    sources: see ``humanvlm.index.sources.open_source``. A column of lists of texts fills ``captions``, its first item
    ``text``; rows that repeat an address add theirs. Rows that cannot be used are counted under a reason. Raises
    UserError when a source or a column is missing or damaged, or when no row has a usable address.
    """
    options = options or Options()
    path = out / INDEX
    summary = Summary(path)
    before = open_source(str(path)).tables[0] if options.append and path.exists() else None
    parts = list(_open(sources, options, summary))
    schema = _schema(before, parts)
    known = _known(before, schema, summary) if before else ()
    had = load_sources(out)
    names = _named({table.root for table, _ in parts if table.root}, had)
    entries = _entries(parts, schema, options, summary, names)
    if options.limit is not None:
        entries = _limited(entries, options.limit, summary)
    with atomic_file(path) as work:
        summary.merged = write_merged(known, entries, schema, work, scratch_of(path), options.sample, options.seed)
        if not summary.merged.rows:
            raise UserError(_nothing(sources, summary))
        save_sources(out, had | names)  # what either index needs, whichever stands in the end
    save_sources(out, had | names if options.append else names)
    _add_parts(out)
    return summary


def _nothing(sources: Sequence[str], summary: Summary) -> str:
    reasons = ", ".join(summary.left_out.lines()) or "it is empty"
    hints = [f"; {hint}" for reason, hint in REMEDIES.items() if reason in summary.left_out.counts]
    return f"{', '.join(sources)}: no row can be used: {reasons}{''.join(hints)}"


def _add_parts(data: Path) -> None:
    """The parts of ``data/`` that later stages look for, empty where they are not there: DVC wants each to exist."""
    for name, text in PARTS.items():
        path = data / name
        if not (path if path.suffix == ".jsonl" else path.parent).exists():
            write_text(path, text)


def _open(sources: Sequence[str], options: Options, summary: Summary) -> Iterator[tuple[Table, Layout]]:
    """Every table with its layout. Raises UserError for a column to keep that none has, or that has the name of one
    of the index's own."""
    if taken := sorted(set(options.keep) & {*SCHEMA.names, COLUMN}):
        raise UserError(f"--keep-columns {taken[0]}: the index has a column of that name; leave it out")
    missing = set(options.keep)
    seen: dict[str, None] = {}
    for source in sources:
        opened = open_source(source, options.encoding, pictures=options.base_url is None)
        summary.skipped += opened.skipped
        for table in opened.tables:
            layout = find_layout(
                shown(table.name),
                [*table.columns],
                options.url_column,
                options.text_column,
                options.keep,
                has_pictures=table.root is not None,
            )
            for role, names in layout.roles.items():
                summary.roles.setdefault(role, {}).update(dict.fromkeys(names))
            missing -= {name for name, _ in layout.kept}
            seen.update(dict.fromkeys(table.columns))
            yield table, layout
    if missing:
        raise UserError(f"--keep-columns {min(missing)}: no source has such a column; there are {listed(seen)}")


def _schema(before: Table | None, parts: Sequence[tuple[Table, Layout]]) -> pa.Schema:
    """The columns of the index: its own, further ones that it had before, and those to keep."""
    further = before.columns.items() if before else ()
    kinds = {name: kind for name, kind in further if name not in (*SCHEMA.names, COLUMN)}
    is_local = any(table.root for table, _ in parts) or (before is not None and COLUMN in before.columns)
    own = [*SCHEMA, pa.field(COLUMN, PLACE)] if is_local else [*SCHEMA]
    for table, layout in parts:
        for name, column in layout.kept:
            kinds[name] = common_type(kinds.get(name, pa.null()), table.columns[column])
    stored = ((name, pa.string() if pa.types.is_null(kind) else kind) for name, kind in kinds.items())
    return pa.schema([*own, *stored])


def _named(roots: Iterable[Path], known: Mapping[str, Path]) -> dict[str, Path]:
    """A name for each source, the one it is known by where it has one."""
    names: dict[str, Path] = {}
    for root in sorted(roots):
        names[name_of(root, {**known, **names})] = root
    return names


def _known(table: Table, schema: pa.Schema, summary: Summary) -> Iterator[Entry]:
    """Rows of the index that is there, as they are."""
    names = [name for name in schema.names if name in table.columns]
    further_names = [name for name in names if name not in (*SCHEMA.names, COLUMN)]
    for line in table.read(names):
        summary.before += 1
        row = dict(line.row or {})
        captions = row.get("captions") or ([row["text"]] if row.get("text") else [])
        further = {name: _kept(row.get(name), schema.field(name).type) for name in names if name in further_names}
        yield {**row, "captions": captions, **further}


def _entries(
    parts: Sequence[tuple[Table, Layout]],
    schema: pa.Schema,
    options: Options,
    summary: Summary,
    sources: Mapping[str, Path],
) -> Iterator[Entry]:
    by_root = {root: name for name, root in sources.items()}
    for table, layout in parts:
        source = by_root[table.root] if table.root else None
        name = shown(table.name)
        with readable(table.name):
            for line in table.read(layout.columns):
                where = f"{name} {table.unit} {line.number}"
                summary.read += 1
                if line.row is None:
                    summary.left_out.add(line.reason, where)
                    continue
                found = _place(line.picture, source) if source and line.picture else None
                entry, reason = _entry(line.row, layout, schema, options.base_url, found)
                if reason:
                    summary.left_out.add(NO_PICTURE if source and reason in NO_ADDRESS else reason, where)
                    continue
                if found:
                    summary.local[f"{source} ({table.root})"] += 1
                if line.reason:
                    summary.notes.add(line.reason, where)
                if any(LOST in text for text in (entry["url"], *entry["captions"])):
                    summary.notes.add(REPLACED, where)
                if not entry["captions"] and any(_said(line.row.get(name)) for name in layout.texts):
                    summary.notes.add(UNREAD, where)
                yield entry


def _limited(entries: Iterator[Entry], most: int, summary: Summary) -> Iterator[Entry]:
    """The entries up to the first of one address too many: no more of the list is read."""
    seen: set[bytes] = set()
    for entry in entries:
        seen.add(url_key(entry["url"].encode()))
        if len(seen) > most:
            summary.read -= 1
            return
        yield entry


def _said(value: Any) -> bool:
    """Whether a cell has something, whatever it is."""
    if isinstance(value, list):
        return any(_said(item) for item in value)
    return value.strip().lower() not in NO_TEXT if isinstance(value, str) else value is not None


def _place(found: Found, source: str) -> tuple[Place, str]:
    """Where a picture is, and its sha256."""
    return Place(source, found.file, found.member, found.row, found.offset, found.size), found.sha256


def _entry(
    row: Row, layout: Layout, schema: pa.Schema, base_url: str | None, found: tuple[Place, str] | None
) -> tuple[Entry, str]:
    """A row of the index, or the reason why there is none. found: where its picture is, when that is here, with the
    sha256: hashes in the row may be those of a file that it was made from."""
    url, reason = address(row.get(layout.url or ""), base_url, layout.joined)
    sha256, not_sha256 = hash_of(row.get(layout.sha256 or ""), "sha256")
    md5, not_md5 = hash_of(row.get(layout.md5 or ""), "md5")
    if found:
        url, sha256, md5 = url or local_address(*found), found[1], None
        reason = not_sha256 = not_md5 = ""
    texts = list(dict.fromkeys(text for name in layout.texts for text in texts_of(row.get(name))))
    if sum(map(len, texts)) + len(url) > MOST_CHARACTERS:
        reason = "too_long"
    if reason := reason or not_sha256 or not_md5:
        return {}, reason
    entry: Entry = {
        "url": url,
        "text": texts[0] if texts else None,
        "captions": texts,
        "license": word(row.get(layout.license or "")),
        "sha256": sha256,
        "md5": md5,
        COLUMN: asdict(found[0]) if found else None,
    }
    for name, column in layout.kept:
        entry[name] = _kept(row.get(column), schema.field(name).type)
    return entry, ""


def _kept(value: Any, kind: pa.DataType) -> Any:
    """A value of a kept column as its type in the index."""
    if value is None:
        return None
    if not pa.types.is_string(kind):
        return float(value) if pa.types.is_floating(kind) else value
    if isinstance(value, str):
        return clean(value)
    return json.dumps(value, ensure_ascii=True, default=str) if isinstance(value, list | dict | bool) else str(value)
