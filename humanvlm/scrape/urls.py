"""Read the URL index in ranges of rows, without ever holding all of it."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from humanvlm.data import places
from humanvlm.data.columns import carried, plain
from humanvlm.data.places import Place
from humanvlm.data.shards import open_shard
from humanvlm.errors import UserError

OPTIONAL = ("text", "captions", "license", "sha256", "md5")
BATCH_ROWS = 10_000
MAX_ROW_GROUPS = 64  # row groups read at a time: Arrow frees none of them before the last is read
BUFFER_BYTES = 1 << 18  # bytes read ahead of a column: a row group of any size is read in a small memory


@dataclass(frozen=True)
class IndexRow:
    """One row of the index. texts: all texts, the first being ``text``; sha256, md5: of the file, when known; place:
    where the picture is, when that is here; further: values of the columns that were asked for beside these; address:
    the URL as the index has it, when that holds credentials, which ``url`` and ``id`` do not."""

    url: str
    text: str | None
    texts: tuple[str, ...]
    license: str | None
    sha256: str | None
    md5: str | None = None
    place: Place | None = None
    further: tuple[Any, ...] = ()
    address: str | None = None

    @property
    def asked(self) -> str:
        """What is asked for."""
        return self.address or self.url

    @cached_property
    def id(self) -> str:
        return sample_id(self.url, self.text)


def sample_id(url: str, text: str | None) -> str:
    """The sample's id, from its content alone: the first 20 hex digits of sha256(url, newline, text)."""
    return hashlib.sha256(f"{url}\n{text or ''}".encode()).hexdigest()[:20]


def open_index(path: Path) -> pq.ParquetFile:
    """Open the index. Raises UserError naming the file and the column when it is missing or of the wrong type."""
    if not path.exists():
        raise UserError(f"{path}: no such file; make it with `humanvlm sample` or `humanvlm index SOURCE`")
    index = open_shard(path)
    schema = index.schema_arrow
    if "url" not in schema.names:
        raise UserError(
            f"{path}: no column 'url'; has {', '.join(schema.names)}; "
            f"import it with `humanvlm index {path} --url-column NAME`"
        )
    if places.COLUMN in schema.names and schema.field(places.COLUMN).type != places.PLACE:
        raise UserError(
            f"{path}: column {places.COLUMN!r} is {schema.field(places.COLUMN).type}, must be one that "
            f"`humanvlm index` wrote; rename it"
        )
    for name in ("url", *OPTIONAL):
        if name in schema.names:
            _check_type(path, name, schema.field(name).type)
    return index


def further_fields(path: Path) -> dict[str, pa.Field]:
    """Columns of the index beside those that the crawl reads, by name, as the shards have them."""
    schema = open_index(path).schema_arrow
    names = carried(name for name in schema.names if name not in ("url", *OPTIONAL, places.COLUMN))
    return {name: pa.field(shown, plain(schema.field(name).type)) for name, shown in names.items()}


def _check_type(path: Path, name: str, kind: pa.DataType) -> None:
    is_list = name == "captions"
    inner = kind.value_type if is_list and (pa.types.is_list(kind) or pa.types.is_large_list(kind)) else kind
    fits = pa.types.is_string(inner) or pa.types.is_large_string(inner) or (pa.types.is_null(inner) and name != "url")
    if not fits or (is_list and inner is kind and not pa.types.is_null(kind)):
        wanted = "a list of strings" if is_list else "a string"
        raise UserError(f"{path}: column {name!r} is {kind}, must be {wanted}; import it with `humanvlm index {path}`")


def read_index(
    path: Path, start: int, stop: int, only: NDArray[np.bool_] | None = None, further: Sequence[str] = ()
) -> Iterator[IndexRow]:
    """Rows ``start`` to ``stop`` of the index, or those of them that ``only`` marks; only their row groups are read.

    further: columns to read beside the usual ones. Raises UserError naming the file when it is damaged or holds a text
    that is not UTF-8.
    """
    for first, batch in _batches(path, ("url", *OPTIONAL, places.COLUMN, *further), start, stop, only, BATCH_ROWS):
        if only is not None:
            batch = batch.filter(pa.array(only[first - start : first - start + batch.num_rows]))
        try:
            yield from _index_rows(batch, further)
        except UnicodeDecodeError as error:
            raise UserError(
                f"{path}: a text in rows {first} to {first + batch.num_rows} is not UTF-8 ({error.reason}); "
                f"write the index again"
            ) from None


def read_batches(
    path: Path,
    columns: Sequence[str],
    start: int,
    stop: int,
    only: NDArray[np.bool_] | None = None,
    rows: int = BATCH_ROWS,
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Rows ``start`` to ``stop`` in batches of at most ``rows``, each with the number of its first row.

    columns: ``url``, which comes without credentials, and others; those that the index lacks are left out. only: row
    groups without a marked row are not read. Raises UserError naming the file when it is damaged.
    """
    for first, batch in _batches(path, columns, start, stop, only, rows):
        place = batch.schema.get_field_index("url")
        urls = _without_credentials(batch.column(place))
        yield first, batch.set_column(place, batch.schema.field(place), urls)


def _without_credentials(urls: pa.Array) -> pa.Array:
    """URLs as they are known and stored; line breaks and tabs within are not asked for, and hide nothing."""
    if not pc.any(pc.match_substring(urls, "@")).as_py():
        return urls
    return pc.replace_substring_regex(urls, r"^(\s*[A-Za-z\t\r\n]+:[\t\r\n]*/[\t\r\n]*/)[^/?#]*@", r"\1")


def _batches(
    path: Path, columns: Sequence[str], start: int, stop: int, only: NDArray[np.bool_] | None, rows: int
) -> Iterator[tuple[int, pa.RecordBatch]]:
    metadata, firsts, present = _opened(path, *_state(path))
    index = pq.ParquetFile(path, metadata=metadata, buffer_size=BUFFER_BYTES)
    for groups in _runs(firsts, start, stop, only):
        first = int(firsts[groups[0]])
        try:
            for batch in index.iter_batches(rows, groups, [name for name in columns if name in present], False):
                low, high = max(start - first, 0), min(stop - first, batch.num_rows)
                if low < high:
                    yield first + low, batch.slice(low, high - low)
                first += batch.num_rows
                if first >= stop:
                    return
        except (pa.ArrowInvalid, OSError) as error:
            reason = str(error).splitlines()[0][:160]
            raise UserError(f"{path}: damaged near row {first} ({reason}); make the index again") from None


def _runs(firsts: NDArray[np.int64], start: int, stop: int, only: NDArray[np.bool_] | None) -> list[list[int]]:
    """Short runs of consecutive row groups with rows ``start`` to ``stop``, without groups where ``only`` has none."""
    groups = np.flatnonzero((firsts[:-1] < stop) & (firsts[1:] > start))
    if only is not None:
        before = np.concatenate(([0], np.cumsum(only)))
        low, high = (np.clip(firsts[groups + side], start, stop) - start for side in (0, 1))
        groups = groups[before[high] > before[low]]
    cuts = np.union1d(np.flatnonzero(np.diff(groups) > 1) + 1, np.arange(MAX_ROW_GROUPS, len(groups), MAX_ROW_GROUPS))
    return [run.tolist() for run in np.split(groups, cuts) if len(run)]


def _state(path: Path) -> tuple[int, ...]:
    """What changes when the file is written again."""
    if not path.exists():
        return ()
    stat = path.stat()
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


@lru_cache(maxsize=2)
def _opened(path: Path, *state: int) -> tuple[pq.FileMetaData, NDArray[np.int64], frozenset[str]]:
    """Metadata, first row of each row group (and the end), column names. Cached, as 5,000 row groups take 20 ms."""
    index = open_index(path)
    metadata = index.metadata
    sizes = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
    return metadata, np.cumsum([0, *sizes]), frozenset(index.schema_arrow.names)


def _index_rows(batch: pa.RecordBatch, further: Sequence[str]) -> Iterator[IndexRow]:
    names = batch.schema.names
    known = (*OPTIONAL, places.COLUMN)
    values = [batch.column(name).to_pylist() if name in names else repeat(None) for name in known]
    others = zip(*(batch.column(name).to_pylist() for name in further), strict=True) if further else repeat(())
    given = batch.column("url")
    public = _without_credentials(given)
    addresses = repeat(None) if public is given else given.to_pylist()
    # The URL column is always there and ends the zip.
    for url, address, text, captions, license, sha256, md5, place, rest in zip(
        public.to_pylist(), addresses, *values, others, strict=False
    ):
        captions = [caption for caption in captions or () if caption]
        text = text or (captions[0] if captions else None)
        texts = tuple(dict.fromkeys([text, *captions] if text else captions))
        here = Place(**place) if place else None
        asked = None if address == url else address
        yield IndexRow(url or "", text, texts, license, sha256, md5, here, rest, asked)
