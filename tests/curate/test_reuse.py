"""What an earlier run has measured is measured again only where it may have changed."""

from pathlib import Path

import pytest

from humanvlm.curate import reuse
from humanvlm.curate.stage import SIGNALS
from humanvlm.data.shards import shard_name, write_shard
from humanvlm.data.tombstones import FORGOTTEN, Tombstones


@pytest.fixture
def shards(tmp_path: Path) -> tuple[Path, Path]:
    """A shard of two rows, and its kept signals."""
    rows = [{"id": id, "url": f"http://photos.example/{id}", "sha256": id * 3} for id in "ab"]
    write_shard(tmp_path / shard_name(0), rows, SCRAPED)
    return tmp_path / shard_name(0), kept(tmp_path, [None, "too_small"])


def kept(folder: Path, reasons: list[str | None]) -> Path:
    lists: dict[str, list[str]] = {"faces": [], "people": [], "objects": []}
    rows = [{"id": id, "sha256": id * 3, "reason": reason, **lists} for id, reason in zip("abc", reasons, strict=False)]
    write_shard(folder / "kept.parquet", rows, SIGNALS)
    return folder / "kept.parquet"


SCRAPED = SIGNALS.remove(SIGNALS.get_field_index("faces")).append(SIGNALS.field("id").with_name("url"))


def reasons(found: list[dict[str, object]] | None) -> list[object]:
    assert found is not None
    return [row["reason"] for row in found]


def test_signals_are_what_would_be_measured_now(shards: tuple[Path, Path]) -> None:
    shard, signals = shards
    assert reasons(reuse.reused(signals, shard, Tombstones())) == [None, "too_small"]
    assert reasons(reuse.reused(signals, shard, Tombstones(ids=frozenset("b")))) == [None, FORGOTTEN]


def test_what_was_not_measured_is_not_reused(shards: tuple[Path, Path]) -> None:
    shard, signals = shards
    assert reuse.reused(signals.with_name("absent"), shard, Tombstones()) is None
    kept(shard.parent, [None, FORGOTTEN])
    assert reuse.reused(signals, shard, Tombstones()) is None
    kept(shard.parent, [None])
    assert reuse.reused(signals, shard, Tombstones()) is None
    signals.write_bytes(signals.read_bytes()[:50])
    assert reuse.reused(signals, shard, Tombstones()) is None


def test_only_the_last_signals_are_kept(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("1")
    folder = tmp_path / "kept"
    reuse.keep({folder / "a.parquet": tmp_path / "one"})
    reuse.keep({folder / "b.parquet": tmp_path / "one"})
    assert [path.name for path in folder.iterdir()] == ["b.parquet"]
