"""Which objects of DVC's cache go: those that hold or show a forgotten sample, and what was made with one."""

import hashlib
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from humanvlm.data.tombstones import Tombstones
from humanvlm.pipeline.contract import identity_of
from humanvlm.takedown.dvc_cache import cache_folder, remotes, remove_objects

GONE, STAYS = "a" * 20, "b" * 20
PICTURE = b"\xff\xd8\xff the picture"
STONES = Tombstones(frozenset([GONE]), pictures=frozenset([hashlib.sha256(PICTURE).hexdigest()]))
NONE: frozenset[str] = frozenset()


def put(root: Path, data: bytes, end: str = "") -> Path:
    name = hashlib.md5(data, usedforsecurity=False).hexdigest()
    path = root / ".dvc/cache/files/md5" / name[:2] / f"{name[2:]}{end}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def put_version(root: Path, files: dict[str, bytes], stage: str = "", inputs: tuple[str, ...] = ()) -> str:
    """A folder in the cache; with a stage it is an artifact, whose identity is returned."""
    outputs = [{"path": name, "sha256": hashlib.sha256(data).hexdigest()} for name, data in files.items()]
    made_of = {str(number): value for number, value in enumerate(inputs)}
    report = {"stage": stage, "inputs": made_of, "outputs": outputs}
    if stage:
        files = {**files, "report.json": json.dumps(report).encode()}
    paths = {name: put(root, data) for name, data in files.items()}
    listing = [{"md5": path.parent.name + path.name, "relpath": name} for name, path in paths.items()]
    put(root, json.dumps(listing).encode(), ".dir")
    return identity_of(report)


def shard(tmp_path: Path, *ids: str) -> bytes:
    pq.write_table(
        pa.table({"id": list(ids), "url": [f"http://h.example/{id}" for id in ids]}), tmp_path / "one.parquet"
    )
    return (tmp_path / "one.parquet").read_bytes()


def left(root: Path) -> set[bytes]:
    return {path.read_bytes() for path in root.glob(".dvc/cache/files/md5/*/*") if path.suffix != ".dir"}


def test_versions_that_held_it_and_what_was_made_of_them(tmp_path: Path) -> None:
    held, clean = shard(tmp_path, GONE, STAYS), shard(tmp_path, STAYS)
    sheet, same, page = b"\x89PNG sheet", b"\x89PNG funnel", b"<html>"
    scenes = {"shard-00000.parquet": held, "plots/kept.png": sheet, "plots/funnel.png": same}
    first = put_version(tmp_path, scenes, "human_scenes")
    put_version(tmp_path, {"shard-00000.parquet": clean, "plots/funnel.png": same}, "human_scenes")
    trained = put_version(tmp_path, {"replies.html": page, "w.safetensors": b"weights"}, "stage1_checkpoint", (first,))
    put_version(tmp_path, {"site/a.jpg": PICTURE, "site/b.jpg": b"\xff\xd8\xff another"})
    said, former = remove_objects(tmp_path, STONES, NONE)
    assert former == {first, trained}
    objects = tmp_path / ".dvc/cache/files/md5"
    assert said == [f"{objects}: 4 objects of versions of human_scenes, stage1_checkpoint removed"]
    assert left(tmp_path).isdisjoint({held, sheet, page, PICTURE})
    assert left(tmp_path) >= {clean, same, b"weights", b"\xff\xd8\xff another"}
    assert remove_objects(tmp_path, STONES, former) == ([], former)


def test_a_version_that_is_known_to_have_held_it(tmp_path: Path) -> None:
    """As when its shard is no longer in the cache."""
    known = put_version(tmp_path, {"contact.jpg": b"\xff\xd8\xff sheet"}, "raw_scrape")
    assert remove_objects(tmp_path, STONES, NONE) == ([], NONE)
    assert "1 objects of versions of raw_scrape" in remove_objects(tmp_path, STONES, frozenset([known]))[0][0]


def test_odd_objects_cost_nothing(tmp_path: Path) -> None:
    for data, end in ((b"{", ".dir"), (b"[1]", ".dir"), (b"PAR1 torn", ""), (b"", "")):
        put(tmp_path, data, end)
    assert remove_objects(tmp_path, STONES, NONE) == ([], NONE)


def test_where_the_cache_and_its_remotes_are(tmp_path: Path) -> None:
    (tmp_path / ".dvc").mkdir()
    assert cache_folder(tmp_path) == tmp_path / ".dvc" / "cache"
    assert remotes(tmp_path) == []
    (tmp_path / ".dvc" / "config").write_text("[cache]\n    dir = /shared/cache\n['remote \"s3\"']\n    url = s3://b\n")
    assert cache_folder(tmp_path) == Path("/shared/cache")
    assert remotes(tmp_path) == ["s3"]
