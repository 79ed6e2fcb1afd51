"""The shard store: round trips, atomicity, small reads, and one clear error for a damaged file."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from humanvlm.data import shards
from humanvlm.data.hashing import sha256_file
from humanvlm.data.shards import IMAGE, RandomRows, ShardError, open_store

SCHEMA = pa.schema([("id", pa.string()), ("image", IMAGE), ("width", pa.int32()), ("captions", pa.list_(pa.string()))])
text = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=40)
rows = st.lists(
    st.fixed_dictionaries(
        {
            "id": text,
            "image": st.fixed_dictionaries({"bytes": st.binary(max_size=200), "path": st.none() | text}),
            "width": st.integers(0, 2**31 - 1),
            "captions": st.lists(text, max_size=3),
        }
    ),
    max_size=200,
)


@settings(max_examples=40, deadline=None)
@given(rows=rows)
def test_round_trip(rows: list[dict], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("shards") / "shard-00000.parquet"
    written = shards.write_shard(path, rows, SCHEMA)
    assert list(shards.read_rows(path)) == rows
    assert (written.rows, written.bytes) == (len(rows), path.stat().st_size)
    assert written.sha256 == sha256_file(path)


def make(tmp_path: Path, count: int = 300) -> Path:
    path = tmp_path / "shard-00000.parquet"
    rows = [
        {"id": str(i), "image": {"bytes": b"x" * 500, "path": None}, "width": i, "captions": []} for i in range(count)
    ]
    shards.write_shard(path, rows, SCHEMA)
    return path


def test_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    assert make(tmp_path / "a").read_bytes() == make(tmp_path / "b").read_bytes()


def test_row_groups_are_small_and_columns_projected(tmp_path: Path) -> None:
    shard = shards.open_shard(make(tmp_path))
    assert shard.metadata.row_group(0).num_rows == shards.ROW_GROUP_ROWS
    assert set(next(shards.read_rows(tmp_path / "shard-00000.parquet", ["id"]))) == {"id"}


def test_a_shard_without_rows_has_no_row_group(tmp_path: Path) -> None:
    """Of an empty one `datasets` makes an error for the whole folder."""
    import datasets

    shards.write_shard(tmp_path / "shard-00000.parquet", [], SCHEMA)
    shards.write_shard(tmp_path / "shard-00001.parquet", [{"id": "a"}], SCHEMA)
    assert shards.open_shard(tmp_path / "shard-00000.parquet").num_row_groups == 0
    assert shards.filter_shard(tmp_path / "shard-00001.parquet", lambda ids: [True for _ in ids]) is None
    files = str(tmp_path / "shard-*.parquet")
    for streaming in (False, True):
        found = datasets.load_dataset(
            "parquet", data_files=files, split="train", streaming=streaming, cache_dir=str(tmp_path / "cache")
        )
        assert [row["id"] for row in found] == ["a"]
    shards.filter_shard(tmp_path / "shard-00001.parquet", lambda ids: [False for _ in ids])
    assert shards.open_shard(tmp_path / "shard-00001.parquet").num_row_groups == 0


def test_scalar_columns_have_bounds_by_which_readers_skip(tmp_path: Path) -> None:
    group = shards.open_shard(make(tmp_path)).metadata.row_group(1)
    found = {group.column(i).path_in_schema: group.column(i).statistics for i in range(group.num_columns)}
    assert (found["width"].min, found["width"].max) == (64, 127)
    assert {name for name, statistics in found.items() if statistics} == {"id", "width"}


def test_rows_by_place_and_their_pictures(tmp_path: Path) -> None:
    path = make(tmp_path)
    assert [row["width"] for row in shards.rows_at(path, {299, 3, 64})] == [3, 64, 299]
    for first in (0, 5, 64, 130, 299, 300):
        assert [row["width"] for row in shards.read_rows(path, ["width"], first)] == list(range(first, 300))
    reader = RandomRows(("image",))
    assert shards.picture_at(reader, path, 70) == b"x" * 500
    shards.write_shard(path, [{"id": "a", "image": None}], SCHEMA)
    assert shards.picture_at(RandomRows(("image",)), path, 0) == b""


@pytest.mark.parametrize("keep", [0, 3, 0.5, 0.99])
def test_truncated_shard_is_one_clear_error(tmp_path: Path, keep: float) -> None:
    path = make(tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data)) if keep < 1 else int(keep)])
    with pytest.raises(ShardError, match=r"shard-00000.parquet: truncated or not Parquet") as error:
        list(shards.read_rows(path))
    assert "\n" not in str(error.value)


def test_missing_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(ShardError, match="missing column 'url'"):
        list(shards.read_rows(make(tmp_path), ["id", "url"]))


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make(tmp_path, 3)
    before = path.read_bytes()

    def fail(path: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(shards, "sha256_file", fail)
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path, 9)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_without_shards_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ShardError, match="no shards"):
        shards.list_shards(tmp_path)


@settings(max_examples=30, deadline=None)
@given(rows=rows, data=st.data())
def test_a_filtered_shard_is_the_one_that_its_rows_make(
    rows: list[dict], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("shards")
    whole = folder / "shard-00000.parquet"
    written = shards.write_shard(whole, rows, SCHEMA)
    keep = data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows)))
    filtered = shards.filter_shard(whole, lambda ids: keep)
    left = [row for row, kept in zip(rows, keep, strict=True) if kept]
    expected = shards.write_shard(folder / "other.parquet", left, SCHEMA)
    assert (filtered or written).sha256 == expected.sha256 == sha256_file(whole)
    assert (filtered is None) == all(keep)
    assert list(shards.read_rows(whole)) == left


@settings(max_examples=30, deadline=None)
@given(count=st.integers(1, 200), numbers=st.data())
def test_rows_at_random_are_those_in_order(
    count: int, numbers: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = make(tmp_path_factory.mktemp("shards"), count)
    rows = list(shards.read_rows(path))
    reader = RandomRows(row_groups=1)
    for number in numbers.draw(st.lists(st.integers(0, count - 1), max_size=20)):
        assert reader.read(path, number) == rows[number]
        assert reader.group(path, number) == number // shards.ROW_GROUP_ROWS


def test_a_row_group_is_read_once_and_only_so_many_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, read = make(tmp_path, 3 * shards.ROW_GROUP_ROWS), []
    real = RandomRows._read

    def counted(self: RandomRows, shard: Path, group: int) -> Any:
        read.append(group)
        return real(self, shard, group)

    monkeypatch.setattr(RandomRows, "_read", counted)
    reader = RandomRows(("id",), row_groups=2)
    for row in (0, 1, 63, 64, 0, 65, 128, 64, 0):
        assert reader.read(path, row).keys() == {"id"}
    assert read == [0, 1, 2, 0]


@pytest.mark.parametrize("row", [-1, 3, 10**9])
def test_a_row_that_is_not_there_is_named(tmp_path: Path, row: int) -> None:
    with pytest.raises(ShardError, match=rf"shard-00000.parquet: no row {row}, it has 3"):
        RandomRows().read(make(tmp_path, 3), row)


def test_random_rows_of_a_bad_shard_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ShardError, match="missing column 'url'"):
        RandomRows(("url",)).read(make(tmp_path, 3), 0)
    with pytest.raises(ShardError, match="no such shard"):
        RandomRows().read(tmp_path / "shard-00009.parquet", 0)
    with pytest.raises(ShardError, match="no row 0, it has 0"):
        RandomRows().read(make(tmp_path, 0), 0)


@pytest.mark.parametrize("url", ["s3://key:word@bucket/x", "memory://x?token=word"])
def test_a_store_with_credentials_is_refused(url: str) -> None:
    with pytest.raises(ShardError, match=r"\*\*\*.*: holds credentials; give them as") as error:
        open_store(url)
    assert "word" not in str(error.value)
