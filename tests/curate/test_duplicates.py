"""Duplicates over shards: what is dropped, and what the row that is kept takes over."""

import hashlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from humanvlm.curate import duplicates
from humanvlm.curate.stage import SIGNALS
from humanvlm.data.shards import ShardError, shard_name, write_shard

SCRAPED = pa.schema(
    [
        ("id", pa.string()),
        ("url", pa.string()),
        ("license", pa.string()),
        ("text", pa.string()),
        ("captions", pa.list_(pa.string())),
    ]
)
FAR = "ffff0000ffff0000"


def row(id: str, picture: str, phash: str = "0" * 16, texts: tuple[str, ...] = (), pixels: int = 9) -> dict[str, Any]:
    return {
        "id": id,
        "url": f"http://photos.example/{id}",
        "license": f"licence of {id}",
        "text": texts[0] if texts else None,
        "captions": list(texts),
        "sha256": hashlib.sha256(picture.encode()).hexdigest(),
        "phash": phash,
        "pixels": pixels,
        "texted": duplicates.has_text({"captions": texts}),
    }


def write(folder: Path, shards: list[list[dict[str, Any]]]) -> tuple[list[Path], list[Path]]:
    scraped, signals = [], []
    for number, rows in enumerate(shards):
        scraped.append(folder / "raw" / shard_name(number))
        signals.append(folder / "signals" / shard_name(number))
        write_shard(scraped[-1], [{name: row.get(name) for name in SCRAPED.names} for row in rows], SCRAPED)
        lists: dict[str, Any] = {name: [] for name in ("faces", "people", "objects")}
        write_shard(
            signals[-1], [lists | {k: v for k, v in row.items() if k in SIGNALS.names} for row in rows], SIGNALS
        )
    return scraped, signals


@pytest.fixture
def shards(tmp_path: Path) -> tuple[list[Path], list[Path]]:
    return write(
        tmp_path,
        [
            [row("a0", "one", pixels=900), row("a1", "two", FAR, ("far",)), row("a2", "one", texts=("of", "two"))],
            [{"id": "b0", "reason": "too_small", "detail": ""}, row("b1", "three", "0" * 15 + "1", ("near",), 5)],
            [row("c0", "one", texts=("of", "three")), row("c1", "four", FAR, (" ",), 8)],
        ],
    )


def test_rows_are_dropped_for_the_best_one_of_any_shard(shards: tuple[list[Path], list[Path]], tmp_path: Path) -> None:
    found = duplicates.find(shards[1], 4, tmp_path / "kept")
    assert [{place: drop.reason for place, drop in part.drops().items()} for part in found] == [
        {0: "duplicate"},
        {1: "near_duplicate"},
        {0: "duplicate", 1: "near_duplicate"},
    ]
    assert [drop.detail for part in found for drop in part.drops().values()] == ["of a2", "of a2", "of a2", "of a1"]


def test_the_row_kept_takes_over_texts_and_where_else_the_picture_is(
    shards: tuple[list[Path], list[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duplicates, "ROWS_AT_ONCE", 2)
    scraped, signals = shards
    duplicates.spill(tmp_path / "also", list(zip(scraped, duplicates.find(signals, 4, tmp_path / "kept"), strict=True)))
    assert len(list((tmp_path / "also").iterdir())) == 2
    assert duplicates.read(tmp_path / "also", 1) == duplicates.read(tmp_path / "also", 2) == {}
    also = duplicates.read(tmp_path / "also", 0)
    assert sorted(also) == ["a1", "a2"]
    taken = duplicates.taken_over(row("a2", "one", texts=("of", "two")), also["a2"])
    assert taken["captions"] == ["of", "two", "three"]
    assert [(one["id"], one["exact"]) for one in taken["also_at"]] == [("a0", True), ("b1", False), ("c0", True)]
    assert taken["also_at"][1] == {
        "id": "b1",
        "url": "http://photos.example/b1",
        "license": "licence of b1",
        "exact": False,
    }
    assert duplicates.taken_over(row("a1", "two"), ()) == {"also_at": []}


def test_one_id_twice_is_an_error(tmp_path: Path) -> None:
    _, signals = write(tmp_path, [[row("a", "one")], [row("b", "two", FAR), row("a", "three", FAR)]])
    with pytest.raises(ShardError, match=r"shard-00001\.parquet: id a is also in shard-00000\.parquet"):
        duplicates.find(signals, 4, tmp_path / "kept")


def test_shards_without_rows_have_no_duplicates(tmp_path: Path) -> None:
    scraped, signals = write(tmp_path, [[], [{"id": "b0", "reason": "too_small", "detail": ""}]])
    found = duplicates.find(signals, 4, tmp_path / "kept")
    assert [part.drops() for part in found] == [{}, {}]
    duplicates.spill(tmp_path / "also", list(zip(scraped, found, strict=True)))
    assert duplicates.read(tmp_path / "also", 0) == {}


def test_a_later_run_finds_the_same(shards: tuple[list[Path], list[Path]], tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    duplicates.find(shards[1][:2], 4, kept)
    later = [part.drops() for part in duplicates.find(shards[1], 4, kept)]
    assert later == [part.drops() for part in duplicates.find(shards[1], 4, tmp_path / "other")]
    (kept / "apart-4.npy").write_bytes(b"x")
    assert [part.drops() for part in duplicates.find(shards[1], 4, kept)] == later
