"""Pictures in columns, whatever their type and wherever row groups end."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from humanvlm.data.picture_columns import may_hold_pictures, open_saved, read_parquet
from humanvlm.data.shards import IMAGE
from humanvlm.errors import UserError

VALUES = [None if number % 5 == 4 else bytes([number]) * (number + 1) for number in range(60)]


def columns(kind: str) -> pa.Array:
    if kind == "struct":
        structs = [None if number % 7 == 6 else {"bytes": data, "path": "x"} for number, data in enumerate(VALUES)]
        return pa.array(structs, IMAGE)
    return pa.array(VALUES, pa.binary() if kind == "binary" else pa.large_binary())


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(["struct", "binary", "large"]),
    group=st.integers(1, 70),
    rows=st.none() | st.sets(st.integers(0, 59)).map(sorted),
)
def test_every_row_asked_for_comes_once(tmp_path: Path, kind: str, group: int, rows: list[int] | None) -> None:
    path = tmp_path / "part.parquet"
    pq.write_table(pa.table({"other": range(60), "image": columns(kind)}), path, row_group_size=group)
    expected = [
        (number, None if kind == "struct" and number % 7 == 6 else VALUES[number])
        for number in (range(60) if rows is None else rows)
    ]
    assert list(read_parquet(path, "image", rows)) == expected


def test_an_unknown_column_is_said(tmp_path: Path) -> None:
    pq.write_table(pa.table({"image": columns("binary")}), tmp_path / "part.parquet")
    with pytest.raises(KeyError):
        next(read_parquet(tmp_path / "part.parquet", "picture"))


def test_which_types_hold_bytes() -> None:
    assert all(may_hold_pictures(kind) for kind in (IMAGE, pa.binary(), pa.large_binary()))
    assert not any(
        may_hold_pictures(kind) for kind in (pa.string(), pa.struct([("path", pa.string())]), pa.list_(IMAGE))
    )


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A saved DatasetDict of one split, and a dataset beside it that nobody named."""
    from datasets import Dataset, DatasetDict

    Dataset.from_dict({"text": ["private"]}).save_to_disk(str(tmp_path / "private"))
    DatasetDict({"train": Dataset.from_dict({"text": ["public"]})}).save_to_disk(str(tmp_path / "saved"))
    return tmp_path / "saved"


def test_a_saved_dataset_is_opened(saved: Path) -> None:
    assert open_saved(saved)["train"][0] == {"text": "public"}
    assert open_saved(saved / "train")[0] == {"text": "public"}


@pytest.mark.parametrize("form", ["../../private/{name}", "{folder}/private/{name}", "link.arrow"])
def test_a_saved_dataset_names_no_file_outside_its_folder(saved: Path, tmp_path: Path, form: str) -> None:
    (private,) = (tmp_path / "private").glob("*.arrow")
    (saved / "train" / "link.arrow").symlink_to(private)
    state = saved / "train" / "state.json"
    name = form.format(name=private.name, folder=tmp_path)
    state.write_text(json.dumps(json.loads(state.read_text()) | {"_data_files": [{"filename": name}]}))
    for folder in (saved, saved / "train"):
        with pytest.raises(UserError, match=r"train/state\.json: names .* outside its folder"):
            open_saved(folder)


@pytest.mark.parametrize("split", ["../private", ".", "train/..", "out"])
def test_nor_a_split(saved: Path, split: str) -> None:
    (saved / "out").symlink_to(saved.parent / "private")
    (saved / "dataset_dict.json").write_text(json.dumps({"splits": [split]}))
    with pytest.raises(UserError, match=r"dataset_dict\.json: names .* outside its folder"):
        open_saved(saved)


def test_a_list_that_is_none_is_damaged(saved: Path) -> None:
    for text in ("[" * 100_000, "{}", "[]", '{"splits": 3}', '{"splits": [{}]}'):
        (saved / "dataset_dict.json").write_text(text)
        with pytest.raises((ValueError, KeyError, TypeError, OSError)):
            open_saved(saved)
