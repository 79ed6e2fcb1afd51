"""The shard store: round trips, atomicity, small reads, and one clear error for a damaged file."""

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from humanvlm.data import shards
from humanvlm.data.hashing import sha256_file
from humanvlm.data.shards import IMAGE, ShardError

SCHEMA = pa.schema([("id", pa.string()), ("image", IMAGE), ("width", pa.int32()), ("captions", pa.list_(pa.string()))])
text = st.text(alphabet=st.characters(exclude_categories=("Cs",)), max_size=40)
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
