"""Duplicates over the shards, and what the row that is kept takes over: where else its picture is, and their texts.

Duplicates lie in any shard, and may be many: they are sorted by the shard of the row that is kept for them, into files
of some ten thousand rows, of which a worker reads the few row groups that concern its shard.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from humanvlm.curate.dedup import Candidates, find_duplicates, grouped, ranked
from humanvlm.curate.neighbours import NO_HASHES, Hashes, Rows
from humanvlm.data import columns
from humanvlm.data.atomic_io import atomic_file
from humanvlm.data.dropped import Drop
from humanvlm.data.shards import ShardError, open_shard, read_columns

ALSO_AT = pa.field(
    columns.ALSO_AT,
    pa.list_(pa.struct([("id", pa.string()), ("url", pa.string()), ("license", pa.string()), ("exact", pa.bool_())])),
)
TAKEN = ("id", "url", "license", "text", "captions")
ROWS_AT_ONCE = 1 << 16
ROW_GROUP_ROWS = 1 << 10


@dataclass(frozen=True)
class Duplicates:
    """Rows of one shard that are dropped for another, an entry each.

    rows: places in the shard. copies: whether a better row has the picture byte for byte. kept: ids of the rows that
    are kept for them. shards: the numbers of those rows' shards. exact: whether those rows have the same bytes.
    """

    rows: Rows
    copies: NDArray[np.bool_]
    kept: NDArray[np.bytes_]
    shards: Rows
    exact: NDArray[np.bool_]

    def drops(self) -> dict[int, Drop]:
        """Why each is dropped, by its place in the shard."""
        return {
            place: Drop("duplicate" if copy else "near_duplicate", f"of {kept.decode()}")
            for place, copy, kept in zip(self.rows.tolist(), self.copies.tolist(), self.kept.tolist(), strict=True)
        }


NONE = Duplicates(*(np.empty(0, kind) for kind in (np.int32, np.bool_, "S1", np.int32, np.bool_)))


def find(signals: Sequence[Path], max_bits: int, kept: Path) -> list[Duplicates]:
    """Duplicates among the rows that passed the filters, of each shard. Raises ShardError when two rows have one id.

    kept: folder where an earlier call left which hashes are apart, so that what has come since is compared with all,
    and the rest not again; left there anew.
    """
    places: list[Rows] = []
    rows = Candidates.joined(_passed(signals, places), sum(open_shard(path).metadata.num_rows for path in signals))
    ids, shard = rows.ids, np.repeat(np.arange(len(places), dtype=np.int32), [len(part) for part in places])
    _check_distinct(ids, shard, signals)
    candidates = ranked(rows)
    del rows  # what is not needed any more is let go, here and below
    pictures = grouped(candidates)
    del candidates
    found = find_duplicates(pictures, max_bits, _apart(kept, max_bits))
    with atomic_file(_apart_path(kept, max_bits)) as work, work.open("wb") as file:
        np.save(file, found.apart)
    parts = []
    start = 0
    for part in places:
        own = np.arange(start, start + len(part), dtype=np.int32)
        own = own[found.kept[own] != own]
        keeper = found.kept[own]
        parts.append(Duplicates(part[own - start], found.copies[own], ids[keeper], shard[keeper], found.exact[own]))
        start += len(part)
    return parts


def _apart_path(kept: Path, max_bits: int) -> Path:
    return kept / f"apart-{max_bits}.npy"


def _apart(kept: Path, max_bits: int) -> Hashes:
    """Hashes that an earlier call has found to be apart; none when it left none that can be read."""
    try:
        return np.load(_apart_path(kept, max_bits), allow_pickle=False)  # type: ignore[no-any-return]
    except (OSError, ValueError, EOFError):
        return NO_HASHES


def _passed(signals: Iterable[Path], places: list[Rows]) -> Iterator[Candidates]:
    """Of each shard, the rows that passed the filters; where they are in it is appended to ``places``."""
    for path in signals:
        table = read_columns(path, ("id", "sha256", "phash", "pixels", "texted", "reason"))
        places.append(np.flatnonzero(table["reason"].is_null().to_numpy()).astype(np.int32))
        columns = table.take(pa.array(places[-1])).to_pydict()
        yield Candidates.of(*(columns[name] for name in ("id", "sha256", "phash", "pixels", "texted")))


def _check_distinct(ids: NDArray[np.bytes_], shard: Rows, signals: Sequence[Path]) -> None:
    order = np.argsort(ids, kind="stable")
    again = np.flatnonzero(ids[order[1:]] == ids[order[:-1]])
    if len(again):
        first, second = order[again[0]], order[again[0] + 1]
        raise ShardError(
            f"{signals[shard[second]].name}: id {ids[second].decode()} is also in {signals[shard[first]].name}; "
            "ids must be distinct"
        )


def spill(folder: Path, parts: Sequence[tuple[Path, Duplicates]]) -> None:
    """Write what is taken over of all duplicates. parts: the shards that they are in, and which they are."""
    waiting: list[pa.Table] = []
    count = 0
    for shard, duplicates in parts:
        if len(duplicates.rows):
            waiting.append(_taken(shard, duplicates))
        if sum(table.num_rows for table in waiting) >= ROWS_AT_ONCE:
            _write(folder / f"part-{count:05d}.parquet", waiting)
            count, waiting = count + 1, []
    if waiting:
        _write(folder / f"part-{count:05d}.parquet", waiting)


def _taken(shard: Path, duplicates: Duplicates) -> pa.Table:
    present = open_shard(shard).schema_arrow.names
    table = read_columns(shard, [name for name in TAKEN if name in present]).take(pa.array(duplicates.rows))
    kept = pa.array(duplicates.kept.astype(str).tolist(), pa.string())
    for name, column in (("kept", kept), ("shard", pa.array(duplicates.shards)), ("exact", pa.array(duplicates.exact))):
        table = table.append_column(name, column)
    return table


def _write(path: Path, tables: Sequence[pa.Table]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.concat_tables(tables, promote_options="default")
    table = table.sort_by([(name, "ascending") for name in ("shard", "kept", "id")])
    pq.write_table(table, path, row_group_size=ROW_GROUP_ROWS, write_statistics=["shard"])


def read(folder: Path, shard: int) -> dict[str, list[dict[str, Any]]]:
    """What the rows of a shard take over, by their ids; in the order of the duplicates' ids."""
    found: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(folder.glob("part-*.parquet")):
        for row in pq.read_table(path, filters=[("shard", "=", shard)]).to_pylist():
            found.setdefault(row["kept"], []).append(row)
    return {kept: sorted(rows, key=lambda row: row["id"]) for kept, rows in found.items()}


def taken_over(row: Mapping[str, Any], duplicates: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The columns of a kept row that its duplicates change: ``also_at``, and the texts of copies in ``captions``."""
    fields = ("id", "url", "license", "exact")
    added: dict[str, Any] = {columns.ALSO_AT: [{name: one.get(name) for name in fields} for one in duplicates]}
    own = list(_texts(row))
    texts = list(dict.fromkeys([*own, *(text for one in duplicates if one["exact"] for text in _texts(one))]))
    if "captions" in row and len(texts) > len(own):
        added["captions"] = texts
    return added


def _texts(row: Mapping[str, Any]) -> Iterator[str]:
    yield from row.get("captions") or ([row["text"]] if row.get("text") else [])


def has_text(row: Mapping[str, Any]) -> bool:
    """Whether any text of a row is more than blanks."""
    return any(text.strip() for text in _texts(row) if text)
