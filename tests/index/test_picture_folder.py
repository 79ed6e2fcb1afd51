"""Folders of pictures with their texts in metadata files, as ImageFolder datasets have them, or beside them."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from humanvlm.index.build import Options, build_index


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "train").mkdir(parents=True)
    for name in ("a.png", "b 1.png", "train/c.png", "train/d.png"):
        Image.new("RGB", (4, 4)).save(folder / name)
    return folder


def built(photos: Path, **options: str) -> tuple[list[tuple[str, list[str]]], dict[str, int]]:
    out = photos.parent / "out"
    summary = build_index([str(photos)], out, Options("http://h.example", **options))  # type: ignore[arg-type]
    rows = pq.read_table(out / "index.parquet").to_pylist()
    return [(row["url"].removeprefix("http://h.example/"), row["captions"]) for row in rows], summary.left_out.counts


def test_metadata_csv_names_files(photos: Path) -> None:
    (photos / "metadata.csv").write_text("file_name,text\nb 1.png,two\ngone.png,x\na.png,one\na.png,uno\nc,d,e\n")
    (photos / "train/d.txt").write_text("beside")
    rows, left_out = built(photos)
    assert rows == [("b%201.png", ["two"]), ("a.png", ["one", "uno"]), ("train/c.png", []), ("train/d.png", ["beside"])]
    assert left_out == {"no_such_file": 1, "malformed_row": 1}


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_metadata_of_a_folder_below(photos: Path, kind: str) -> None:
    rows = [{"file_name": "d.png", "caption": ["x", "y"]}, {"file_name": "./c.png", "caption": ["z"]}]
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), photos / "train/metadata.parquet")
    else:
        (photos / "train/metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (photos / "a.txt").write_text("beside")
    assert built(photos)[0] == [
        ("train/d.png", ["x", "y"]), ("train/c.png", ["z"]), ("a.png", ["beside"]), ("b%201.png", [])
    ]  # fmt: skip


def test_metadata_without_file_names_is_a_file_that_is_not_read(photos: Path) -> None:
    (photos / "metadata.csv").write_text("author,year\nsomebody,2020\n")
    (photos / "train/notes.txt").write_text("of no picture")
    summary = build_index([str(photos)], photos.parent, Options("http://h.example"))
    assert summary.skipped == {".csv": 1, ".txt": 1}
    assert summary.merged.rows == 4
