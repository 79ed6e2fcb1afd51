"""Make the URL index (``index.parquet``) from whatever holds URLs and texts, as a stream and never fatally.

Understands the released files of FaceCaption-15M (``url`` may be comma-joined or "UNKNOWN"), HumanCaption-10M and
HumanCaption-HQ-311K (chat turns) beside ordinary lists.
"""

import json
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from gzip import BadGzipFile
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq

from humanvlm.data.atomic_io import atomic_file, write_text
from humanvlm.errors import UserError
from humanvlm.index.tables import Row, open_table

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
URL_COLUMNS = ("url", "image_url", "img_url", "imageurl", "link", "uri")
PATH_COLUMNS = ("path", "image_path", "file_name", "filename", "file", "image", "img")
TEXT_COLUMNS = (
    "text", "caption", "txt", "alt", "alt_text", "captions", "texts", "human_caption", "human_caption_hq",
    "description", "title",
)  # fmt: skip
LICENSE_COLUMNS = ("license", "licence", "license_id", "licence_id")
SHA256_COLUMNS = ("sha256", "sha256hash")
MD5_COLUMNS = ("md5", "md5hash")
# The released files: several addresses of one picture in a cell, and a second column of texts.
RELEASED = ("laion_caption", "human_caption", "human_caption_hq")
SECOND_TEXTS = ("laion_caption",)
NO_URL = {"", "unknown", "none", "null", "nan"}
ROWS = 10_000


@dataclass(frozen=True)
class Layout:
    """Which columns are read. quoted: the URL column holds file paths, which need quoting. joined: it may hold several
    addresses with commas between them."""

    url: str
    texts: tuple[str, ...]
    license: str | None
    sha256: str | None
    md5: str | None
    quoted: bool
    joined: bool

    @property
    def columns(self) -> list[str]:
        others = (name for name in (self.license, self.sha256, self.md5) if name)
        return list(dict.fromkeys([self.url, *self.texts, *others]))


PARTS = {
    "instructions.jsonl": "",
    "site/README.md": "Hosts that `raw_scrape.local_hosts` serves over loopback: a folder each.\n",
    "benchmarks/README.md": "Tasks of `benchmark_scores`: captions.jsonl, vqa.jsonl, rec.jsonl, attributes.jsonl.\n",
}


def build_index(
    source: str,
    out: Path,
    *,
    base_url: str | None = None,
    url_column: str | None = None,
    text_column: str | None = None,
) -> str:
    """Write ``out/index.parquet`` (columns of ``SCHEMA``) from ``source``; return a one-line summary.

    source: see ``humanvlm.index.tables.open_table``. base_url: prefix of relative addresses and paths. url_column and
    text_column: found by usual names when not given; a column of lists of texts fills ``captions``, its first item
    ``text``. Rows without a usable address are counted in the summary. Raises UserError when the source or a column
    is missing, or when no row has a usable address.
    """
    table = open_table(source)
    layout = find_layout(source, table.columns, url_column, text_column)
    path = out / "index.parquet"
    skipped: Counter[str] = Counter()
    kept = _write(path, _entries(table.read(layout.columns), layout, base_url, skipped), source, skipped)
    _add_parts(out)
    reasons = [reason if len(skipped) == 1 else f"{reason} {count}" for reason, count in skipped.most_common()]
    missing = f", {skipped.total():,} without url ({', '.join(reasons)})" if skipped else ""
    return f"{path}: {kept:,} rows{missing}"


def _add_parts(data: Path) -> None:
    """The parts of ``data/`` that later stages look for, empty where they are not there: DVC wants each to exist."""
    for name, text in PARTS.items():
        path = data / name
        if not (path if path.suffix == ".jsonl" else path.parent).exists():
            write_text(path, text)


def find_layout(source: str, columns: Sequence[str], url_column: str | None, text_column: str | None) -> Layout:
    """Columns by the names given, else by known names. Raises UserError listing the columns there are."""
    for name in (url_column, text_column):
        if name is not None and name not in columns:
            raise UserError(f"{source}: no column {name!r}; has {', '.join(columns)}")
    url = url_column or _find(columns, URL_COLUMNS) or _find(columns, PATH_COLUMNS)
    if url is None:
        raise UserError(f"{source}: no known URL column; name it with --url-column; has {', '.join(columns)}")
    text = text_column or _find([name for name in columns if name != url], TEXT_COLUMNS)
    second = _find(columns, SECOND_TEXTS) if text_column is None else None
    return Layout(
        url,
        tuple(name for name in (text, second) if name),
        _find(columns, LICENSE_COLUMNS),
        _find(columns, SHA256_COLUMNS),
        _find(columns, MD5_COLUMNS),
        quoted=url.lower() in PATH_COLUMNS,
        joined=any(name in columns for name in RELEASED),
    )


def _find(columns: Sequence[str], known: Sequence[str]) -> str | None:
    by_name = {name.lower(): name for name in reversed(columns)}
    return next((by_name[name] for name in known if name in by_name), None)


def _entries(
    rows: Iterable[Row | None], layout: Layout, base_url: str | None, skipped: Counter[str]
) -> Iterator[dict[str, Any]]:
    for row in rows:
        url, reason = _address(row.get(layout.url), layout, base_url) if row is not None else ("", "malformed_row")
        if row is None or reason:
            skipped[reason] += 1
            continue
        texts = [text for name in layout.texts for text in texts_of(row.get(name))]
        yield {
            "url": url,
            "text": texts[0] if texts else None,
            "captions": texts,
            "license": _word(row.get(layout.license or "")),
            "sha256": _word(row.get(layout.sha256 or "")),
            "md5": _word(row.get(layout.md5 or "")),
        }


def _address(value: Any, layout: Layout, base_url: str | None) -> tuple[str, str]:
    """The URL, or "" with the reason why there is none."""
    if not isinstance(value, str):
        return "", "missing_url" if value is None else "not_a_string"
    text = _clean(value)
    if layout.joined:
        text = re.split(r",\s*(?=https?://)", text, maxsplit=1)[0]
    if text.lower() in NO_URL:
        return "", "missing_url" if not text else "unknown_url"
    if text.lower().startswith(("http://", "https://")):
        return text, ""
    if text.startswith("//"):
        return f"https:{text}", ""
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", text):
        return "", "not_http"
    if base_url is None:
        return "", "relative_url"
    return f"{base_url.rstrip('/')}/{(quote(text) if layout.quoted else text).lstrip('/')}", ""


def texts_of(value: Any) -> list[str]:
    """Texts of a cell: a text, a list of texts, or chat turns (the first answer, ``[1]["value"]``), also as JSON."""
    if isinstance(value, str):
        listed = _json_list(value)
        if listed is None:
            return [text] if (text := _clean(value)) else []
        value = listed
    if not isinstance(value, list):
        return []
    if value and all(isinstance(turn, Mapping) for turn in value):
        return texts_of(value[1].get("value")) if len(value) > 1 else []
    return [text for item in value if isinstance(item, str) and (text := _clean(item))]


def _json_list(text: str) -> list[Any] | None:
    if not text.lstrip().startswith(('["', "[{")):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, list) else None


def _word(value: Any) -> str | None:
    return _clean(str(value)) or None if value is not None else None


def _clean(text: str) -> str:
    return text.strip().encode("utf-8", "replace").decode()  # lone surrogates cannot be stored


def _write(path: Path, entries: Iterator[dict[str, Any]], source: str, skipped: Counter[str]) -> int:
    kept = 0
    try:
        with atomic_file(path) as work:
            with pq.ParquetWriter(work, SCHEMA, compression="zstd") as writer:
                while rows := list(islice(entries, ROWS)):
                    writer.write_table(pa.Table.from_pylist(rows, schema=SCHEMA))
                    kept += len(rows)
            if not kept:
                hint = "; relative paths need --base-url" if "relative_url" in skipped else ""
                raise UserError(f"{source}: no row has a usable URL ({dict(skipped) or 'it is empty'}){hint}")
    except (EOFError, BadGzipFile, zlib.error) as error:
        raise UserError(f"{source}: damaged gzip file ({error}); get it again") from None
    return kept
