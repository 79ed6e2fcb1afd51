"""Find the stored pictures that look like given picture files, as ``human_scenes`` tells near duplicates."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from humanvlm.config.human_scenes import HumanScenes
from humanvlm.config.loading import load_params
from humanvlm.data.hashing import sha256_file
from humanvlm.data.image import DecodeError, pixels
from humanvlm.data.shards import open_shard, read_rows
from humanvlm.data.tombstones import Tombstones
from humanvlm.errors import UserError
from humanvlm.pipeline import engine
from humanvlm.takedown.artifacts import Artifact

LISTED = 5
Hashes = NDArray[np.uint64]


@dataclass(frozen=True)
class Found:
    """files: pictures that were looked for. bits: within which distance of their hashes. stones: their sha256, and the
    ids of the stored pictures near one. unread: names of files that are no pictures."""

    files: int
    bits: int
    stones: Tombstones
    unread: tuple[str, ...]

    def __str__(self) -> str:
        said = f"{self.files:,} pictures given: {len(self.stones.ids):,} stored rows within {self.bits} bits of them"
        if not self.unread:
            return said
        names = ", ".join(self.unread[:LISTED]) + (", ..." if len(self.unread) > LISTED else "")
        return f"{said}; {len(self.unread):,} files are no pictures that decode: {names}"


@dataclass(frozen=True)
class _Search:
    """One file of an artifact: a shard, or the journal of a crawl under way. hashed: shards of the same rows that hold
    perceptual hashes."""

    path: Path
    hashed: tuple[Path, ...]
    wanted: Hashes
    bits: int


def find_pictures(folder: Path, artifacts: Sequence[Artifact], params: Path) -> Found:
    """What to forget for the pictures in ``folder`` (and below), or in one file: the files themselves, and all that the
    artifacts store within ``human_scenes.near_duplicate_bits`` of one. params: of the project, if it has a file.

    Every stored picture is looked at, also those that human_scenes dropped; one row group at a time is in memory.
    Raises UserError when the folder has no picture.
    """
    names = sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else [folder]
    hashes = {path: hash for path in names if path.is_file() and (hash := picture_hash(path.read_bytes())) is not None}
    if not hashes:
        raise UserError(f"{folder}: no picture that decodes; name a folder of picture files")
    wanted = np.array([int(hash, 16) for hash in hashes.values()], np.uint64)
    bits = _radius(params)
    searches = _searches(artifacts, np.unique(wanted), bits)
    ids = frozenset(id for found in engine.map_shards(_search, searches) for id in found)
    unread = tuple(str(path.relative_to(folder)) for path in names if path not in hashes)
    return Found(len(hashes), bits, Tombstones(ids, pictures=frozenset(map(sha256_file, hashes))), unread)


def _radius(params: Path) -> int:
    config = load_params(params).human_scenes if params.exists() else HumanScenes()
    return config.near_duplicate_bits


def picture_hash(data: bytes) -> str | None:
    """The perceptual hash of encoded bytes, as ``human_scenes`` writes it; None when they do not decode."""
    import cv2

    from humanvlm.curate.dedup import perceptual_hash

    try:
        return perceptual_hash(cv2.cvtColor(pixels(data), cv2.COLOR_RGB2GRAY))
    except DecodeError:
        return None


def _searches(artifacts: Sequence[Artifact], wanted: Hashes, bits: int) -> list[_Search]:
    sharded = [artifact for artifact in artifacts if artifact.sharded]
    shards = [path for artifact in sharded for path in artifact.shards()]
    hashed: dict[str, list[Path]] = {}
    for path in shards:
        if "phash" in open_shard(path).schema_arrow.names:
            hashed.setdefault(path.name, []).append(path)
    journals = [path for artifact in sharded for path in artifact.journals()]
    return [_Search(path, tuple(hashed.get(path.name, ())), wanted, bits) for path in [*shards, *journals]]


def _search(task: _Search) -> list[str]:
    """Ids of the rows whose picture is near one that is wanted."""
    known = {row["sha256"]: row["phash"] for path in task.hashed for row in read_rows(path, ("sha256", "phash"))}
    near: dict[str, bool] = {}
    ids = []
    for id, sha256, data in _stored(task.path, known):
        if sha256 not in near:
            hash = known.get(sha256) or picture_hash(data)
            near[sha256] = hash is not None and _is_near(int(hash, 16), task)
        if near[sha256]:
            ids.append(id)
    return ids


def _is_near(hash: int, task: _Search) -> bool:
    return bool((np.bitwise_count(task.wanted ^ np.uint64(hash)) <= task.bits).any())


def _stored(path: Path, known: Mapping[str, str]) -> Iterator[tuple[str, str, bytes]]:
    """(id, sha256, bytes) of each row; no bytes where all hashes are known."""
    if path.suffix != ".parquet":
        yield from _journalled(path)
        return
    metadata = list(read_rows(path, ("id", "sha256")))
    if all(row["sha256"] in known for row in metadata):
        yield from ((row["id"], row["sha256"], b"") for row in metadata)
        return
    for row in read_rows(path, ("id", "sha256", "image")):
        yield row["id"], row["sha256"], (row["image"] or {}).get("bytes") or b""


def _journalled(path: Path) -> Iterator[tuple[str, str, bytes]]:
    from humanvlm.scrape.journal import Journal

    journal = Journal(path)
    try:
        for entry in journal.entries.values():
            if entry.size:
                yield entry.row["id"], entry.row["sha256"], journal.data(entry)
    finally:
        journal.close()
