"""Exports: complete, the same every time, resumed after a kill, and never over what is not theirs."""

import hashlib
import json
import signal
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from humanvlm.data.shards import read_rows
from humanvlm.errors import UserError
from humanvlm.export import folder as exports
from humanvlm.export.folder import FORMATS, export

from .small_artifact import make, picture


@pytest.fixture(autouse=True)
def one_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUMANVLM_WORKERS", "1")


def state(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def members(tar: Path) -> dict[str, bytes]:
    with tarfile.open(tar) as file:
        return {entry.name: opened.read() for entry in file if (opened := file.extractfile(entry))}


def test_webdataset_holds_every_row_once(tmp_path: Path) -> None:
    rows = make(tmp_path / "artifacts")
    assert "8 rows" in export("webdataset", tmp_path / "artifacts", tmp_path / "out")
    tars = sorted((tmp_path / "out").glob("*.tar"))
    assert [tar.name for tar in tars] == ["00000.tar", "00002.tar"]  # of a shard without rows there is none
    found = {name: data for tar in tars for name, data in members(tar).items()}
    for row in rows:
        suffix = "jpg" if row["text"] else "png"
        assert found.pop(f"{row['id']}.{suffix}") == row["image"]["bytes"]
        assert found.pop(f"{row['id']}.txt", b"").decode() == (row["text"] or "")
        said = json.loads(found.pop(f"{row['id']}.json"))
        assert (said["key"], said["url"], said["caption"]) == (row["id"], row["url"], row["text"])
        assert said["captions"] == row["captions"]
        assert said["score"] == (0.5 if row["text"] else None)
    assert found == {}


def test_the_parts_of_a_sample_follow_each_other(tmp_path: Path) -> None:
    make(tmp_path / "artifacts", "human_caption")
    export("webdataset", tmp_path / "artifacts", tmp_path / "out", "short")
    keys = [name.split(".")[0] for name in members(tmp_path / "out" / "train-00000.tar")]
    assert keys == [key for key in dict.fromkeys(keys) for _ in range(3)]
    assert members(tmp_path / "out" / "test-00000.tar")[f"{2:020x}.txt"] == b"short 2"


@pytest.mark.parametrize("kind", FORMATS)
def test_splits_are_files_of_their_own(tmp_path: Path, kind: str) -> None:
    rows = make(tmp_path / "artifacts", "human_caption")
    export(kind, tmp_path / "artifacts", tmp_path / "out")
    listing = json.loads((tmp_path / "out" / "export.json").read_text())
    counts = {"train": 0, "test": 0}
    for file in listing["files"]:
        counts[Path(file["path"]).name.split("-")[0]] += file["rows"]
    assert counts == {split: sum(row["split"] == split for row in rows) for split in counts}


def test_hugging_face_reads_it(tmp_path: Path) -> None:
    import datasets

    rows = make(tmp_path / "artifacts", "human_caption", (70, 5))
    export("hf", tmp_path / "artifacts", tmp_path / "out")
    found = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert sorted(found) == ["test", "train"]
    assert {row["id"] for split in found.values() for row in split} == {row["id"] for row in rows}
    first = found["train"][0]
    assert first["image"].size == (24, 16)
    assert first["detailed"] == "detailed 0"


@pytest.mark.parametrize(
    ("stage", "columns"),
    [
        ("human_caption", ["url", "image", "human_caption"]),
        ("human_caption_hq", ["url", "human_caption_hq"]),
    ],
)
def test_released_columns(tmp_path: Path, stage: str, columns: list[str]) -> None:
    make(tmp_path / "artifacts", stage, (4,))
    export("released", tmp_path / "artifacts", tmp_path / "out")
    rows = list(read_rows(tmp_path / "out" / "data" / "train-00000-of-00001.parquet"))
    assert list(rows[0]) == columns
    if stage == "human_caption":
        assert rows[1]["human_caption"] == ["short 1", "detailed 1"]
        assert rows[1]["image"] == {"bytes": picture(1), "path": f"{1:020x}.jpg"}
        return
    for number, row in enumerate(rows):
        assert [turn["from"] for turn in row["human_caption_hq"]] == ["human", "gpt"]
        assert row["human_caption_hq"][1]["value"] == f"fused {number}"


@pytest.mark.parametrize("kind", FORMATS)
def test_twice_is_the_same_and_done_once(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path / "artifacts", "human_caption")
    for name in ("first", "second"):
        export(kind, tmp_path / "artifacts", tmp_path / name)
    assert state(tmp_path / "first") == state(tmp_path / "second")
    monkeypatch.setattr(exports, "_write", None)
    export(kind, tmp_path / "artifacts", tmp_path / "first")


def test_a_changed_artifact_takes_the_place_of_the_former(tmp_path: Path) -> None:
    make(tmp_path / "artifacts", counts=(3, 3, 3))
    export("webdataset", tmp_path / "artifacts", tmp_path / "out")
    (tmp_path / "artifacts" / "shard-00002.parquet").unlink()
    make(tmp_path / "artifacts", counts=(3, 2))
    export("webdataset", tmp_path / "artifacts", tmp_path / "out")
    make(tmp_path / "other", counts=(3, 2))
    export("webdataset", tmp_path / "other", tmp_path / "fresh")
    assert state(tmp_path / "out") == state(tmp_path / "fresh")


KILLED = """
import os, signal, sys
from pathlib import Path
from humanvlm.export import folder
write = folder._write
def dying(task):
    if task.number == {number}:
        os.kill(os.getpid(), signal.SIGKILL)
    write(task)
folder._write = dying
folder.export("webdataset", Path("artifacts"), Path("out"))
"""


def test_killed_it_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path / "artifacts", counts=(3, 3, 3))
    for number in (1, 2):
        done = subprocess.run([sys.executable, "-c", KILLED.format(number=number)], cwd=tmp_path, check=False)
        assert done.returncode == -signal.SIGKILL
        assert not (tmp_path / "out" / "export.json").exists()
    written: list[int] = []
    write = exports._write

    def counting(task: Any) -> None:
        written.append(task.number)
        write(task)

    monkeypatch.setattr(exports, "_write", counting)
    export("webdataset", tmp_path / "artifacts", tmp_path / "out")
    assert written == [2]
    export("webdataset", tmp_path / "artifacts", tmp_path / "fresh")
    assert state(tmp_path / "out") == state(tmp_path / "fresh")


def test_what_no_export_made_stays(tmp_path: Path) -> None:
    make(tmp_path / "artifacts")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.tar").write_bytes(b"mine")
    with pytest.raises(UserError, match=r"out: holds mine\.tar, which no export made"):
        export("webdataset", tmp_path / "artifacts", tmp_path / "out")
    assert (tmp_path / "out" / "mine.tar").read_bytes() == b"mine"


def test_what_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    make(tmp_path / "artifacts")
    with pytest.raises(UserError, match="raw_scrape has no captions to release"):
        export("released", tmp_path / "artifacts", tmp_path / "out")
    with pytest.raises(UserError, match=r"--text-column captio: .*one of id, url"):
        export("webdataset", tmp_path / "artifacts", tmp_path / "out", "captio")
    with pytest.raises(UserError, match="not complete"):
        export("hf", tmp_path / "none", tmp_path / "out")
    make(tmp_path / "empty", counts=(0,))
    with pytest.raises(UserError, match="has no rows to write"):
        export("hf", tmp_path / "empty", tmp_path / "out")
