"""Forgotten samples in DVC's cache: the objects that hold or show one are deleted, and no others.

A folder that DVC tracks is an object too (``HASH.dir``): a list of its files and their objects. So a version of an
artifact is known here by its files, and its report says what it was made from.
"""

import configparser
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from humanvlm.data.hashing import sha256_file
from humanvlm.data.shards import ShardError, open_shard
from humanvlm.data.tombstones import Tombstones
from humanvlm.pipeline.contract import identity_of
from humanvlm.takedown.rows import covers, keys_of

SHOWING = (".png", ".jpg", ".html", ".jsonl")  # files of an artifact that show rows, beside its shards
LARGEST = 64 << 20  # bytes of a file that may be a picture


@dataclass(frozen=True)
class Version:
    """A folder that DVC keeps. files: object by name. inputs: identities of what its artifact was made from; identity:
    its own, None where it is no artifact."""

    files: Mapping[str, Path]
    stage: str | None
    identity: str | None
    inputs: frozenset[str]


def remove_objects(root: Path, stones: Tombstones, former: frozenset[str]) -> tuple[list[str], frozenset[str]]:
    """Delete what the cache of the project at ``root`` holds of forgotten samples.

    former: identities of versions that are known to have held one. Returns lines that say what was deleted, and these
    identities with those of the versions in the cache.
    """
    objects = cache_folder(root) / "files" / "md5"
    if not objects.is_dir():
        return [], former
    versions = [_version(path) for path in sorted(objects.glob("*/*.dir"))]
    holding = {path for path in sorted(objects.glob("*/*")) if _holds(path, stones)}
    touched: list[Version] = []
    while (found := [one for one in versions if _is_touched(one, holding, former)]) != touched:
        touched = found
        former |= {one.identity for one in touched if one.identity}
    shown = {path for one in touched if one.identity for name, path in one.files.items() if name.endswith(SHOWING)}
    shown -= {path for one in versions if one not in touched for path in one.files.values()}
    gone = [path for path in sorted(holding | shown) if path.exists()]
    for path in gone:
        path.unlink()
    stages = ", ".join(sorted({one.stage for one in touched if one.stage}))
    of = f" of versions of {stages}" if stages else ""
    return [f"{objects}: {len(gone):,} objects{of} removed"] if gone else [], former


def _is_touched(version: Version, holding: set[Path], former: frozenset[str]) -> bool:
    made = version.identity in former or not former.isdisjoint(version.inputs)
    return made or not holding.isdisjoint(version.files.values())


def cache_folder(root: Path) -> Path:
    """Where the project's DVC keeps objects: ``cache.dir`` of its configuration, else ``.dvc/cache``."""
    config = _config(root)
    named = config.get("cache", "dir", fallback="").strip("\"'")
    return (root / ".dvc" / named) if named else root / ".dvc" / "cache"


def remotes(root: Path) -> list[str]:
    """Names of the remotes of the project's DVC."""
    return sorted(name.split('"')[1] for name in _config(root).sections() if name.strip("'").startswith('remote "'))


def _config(root: Path) -> configparser.ConfigParser:
    config = configparser.ConfigParser(interpolation=None, strict=False)
    with suppress(configparser.Error, UnicodeDecodeError):
        config.read([root / ".dvc" / "config", root / ".dvc" / "config.local"], encoding="utf-8")
    return config


def _version(path: Path) -> Version:
    files: dict[str, Path] = {}
    with suppress(OSError, ValueError, KeyError, TypeError):
        names = {entry["relpath"]: entry["md5"] for entry in json.loads(path.read_bytes())}
        files = {name: path.parents[1] / md5[:2] / md5[2:] for name, md5 in names.items()}
        report = json.loads(files["report.json"].read_bytes())
        return Version(files, report["stage"], identity_of(report), frozenset(report["inputs"].values()))
    return Version(files, None, None, frozenset())


def _holds(path: Path, stones: Tombstones) -> bool:
    """Whether an object is a forgotten picture, or a shard with a row of one."""
    with path.open("rb") as file:
        is_parquet = file.read(4) == b"PAR1"
    if not is_parquet:
        small = stones.pictures and path.suffix != ".dir" and path.stat().st_size <= LARGEST
        return bool(small) and stones.covers(sha256=sha256_file(path))
    return any(covers(stones, row) for row in _rows(path))


def _rows(path: Path) -> Iterator[Mapping[str, str]]:
    """Rows that name a sample; crawls keep those of forgotten ones without their URL."""
    with suppress(ShardError, pa.ArrowInvalid, OSError):
        if "id" in open_shard(path).schema_arrow.names:
            yield from (row for row in keys_of(path) if row.get("url", "unknown"))
