"""Which rows are forgotten, and what else is by their names."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from humanvlm.data.columns import ALSO_AT
from humanvlm.data.shards import open_shard, read_rows
from humanvlm.data.tombstones import Tombstones, host_hashes, url_hash
from humanvlm.takedown.artifacts import Artifact

KEYS = ("id", "url", "final_url", "sha256", "source_sha256", ALSO_AT)


def closure(artifacts: Sequence[Artifact], stones: Tombstones) -> tuple[Tombstones, Tombstones]:
    """The tombstones with the id, URLs and picture of every row that they cover, until no row adds any.

    So a picture stays away under another URL, and a URL with another text. Second: what of them the rows have.
    """
    while True:
        rows = [row for row in _all_rows(artifacts) if covers(stones, row)]
        met = Tombstones(
            frozenset(one["id"] for row in rows for one in (row, *_copies(row))),
            frozenset(url_hash(url) for row in rows for url in _urls(row)),
            frozenset(row[key] for row in rows for key in ("sha256", "source_sha256") if row.get(key)),
            frozenset(hash for row in rows for url in _urls(row) for hash in host_hashes(url)),
        ).sealed(stones.keys)
        met = replace(met, hosts=met.hosts & stones.hosts)
        if stones | met == stones:
            return stones, met
        stones |= met


def _copies(row: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The other addresses of the very picture, as human_scenes wrote them down."""
    return [one for one in row.get(ALSO_AT) or () if one["exact"]]


def _urls(row: Mapping[str, Any]) -> list[str]:
    names = (row.get("url"), row.get("final_url"), *(one["url"] for one in _copies(row)))
    return [name for name in names if name]


def look_alikes(artifacts: Sequence[Artifact], stones: Tombstones) -> frozenset[str]:
    """Ids, not forgotten, of rows that human_scenes dropped as near duplicates of a forgotten one, or kept for it."""
    scenes = [path for artifact in artifacts if artifact.stage == "human_scenes" for path in artifact.drops()]
    rows = (row for path in scenes for row in read_rows(path, ("id", "reason", "detail")))
    pairs = [(row["id"], row["detail"].removeprefix("of ")) for row in rows if row["reason"] == "near_duplicate"]
    gone = {id: stones.covers(id) for pair in pairs for id in pair}
    return frozenset(id for pair in pairs if any(gone[one] for one in pair) for id in pair if not gone[id])


def covers(stones: Tombstones, row: Mapping[str, Any]) -> bool:
    """Whether a row is forgotten; of KEYS it may lack any but the id."""
    return (
        stones.covers(row["id"], row.get("url"), row.get("sha256"))
        or stones.covers(url=row.get("final_url"))
        or stones.covers(sha256=row.get("source_sha256"))
        or any(stones.covers(one["id"], one["url"]) for one in _copies(row))
    )


def _all_rows(artifacts: Sequence[Artifact]) -> Iterator[dict[str, Any]]:
    """The KEYS of all rows: kept, dropped, and in the journals of an interrupted crawl."""
    for artifact in artifacts:
        if artifact.sharded:
            for path in (*artifact.shards(), *artifact.drops()):
                yield from keys_of(path)
            for journal in artifact.journals():
                yield from journal_rows(journal)


def keys_of(path: Path) -> Iterator[dict[str, Any]]:
    present = open_shard(path).schema_arrow.names
    return read_rows(path, [name for name in KEYS if name in present])


def journal_rows(path: Path) -> list[dict[str, Any]]:
    from humanvlm.scrape.journal import Journal

    journal = Journal(path)
    journal.close()
    return [dict(entry.row) for entry in journal.entries.values()]
