"""What is made of samples and is ours goes without asking."""

import json
from pathlib import Path

import pytest

from humanvlm.data.atomic_io import write_json
from humanvlm.data.tombstones import Tombstones
from humanvlm.pipeline.contract import artifact_files, check_files, identity, read_report
from humanvlm.takedown.artifacts import Artifact
from humanvlm.takedown.derived import blank_pages, remove_features

GONE = "a" * 64
STONES = Tombstones(pictures=frozenset([GONE]))


def test_features_of_a_picture_go_with_their_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUMANVLM_CACHE", str(tmp_path / "models"))
    folder = tmp_path / "models" / "features" / "tower"
    folder.mkdir(parents=True)
    for name, keys in (("one", ["b" * 64, GONE]), ("other", ["b" * 64])):
        (folder / f"{name}.npy").write_bytes(b"numbers")
        (folder / f"{name}.json").write_text(json.dumps(keys))
    assert [line.partition(": ")[0] for line in remove_features(tmp_path, STONES)] == [str(folder / "one.json")]
    assert sorted(path.name for path in folder.iterdir()) == ["other.json", "other.npy"]


def test_pages_of_an_outdated_artifact_lose_their_pictures_and_it_stays_whole(tmp_path: Path) -> None:
    page = '<img src="data:image/jpeg;base64,QUJD"> <b>said</b> <img src="data:image/svg+xml;base64,QUJD">'
    (tmp_path / "replies.html").write_text(page)
    (tmp_path / "weights").write_bytes(b"weights")
    outputs = [file.__dict__ for file in artifact_files(tmp_path)]
    write_json(tmp_path / "report.json", {"stage": "stage1_checkpoint", "inputs": {"a": "1"}, "outputs": outputs})
    before = identity(tmp_path)
    artifact = Artifact(tmp_path, "stage1_checkpoint")
    assert list(blank_pages([artifact])) == [f"{tmp_path}: pictures taken out of replies.html"]
    shown = '<img src="data:,"> <b>said</b> <img src="data:image/svg+xml;base64,QUJD">'
    assert (tmp_path / "replies.html").read_text() == shown
    check_files(tmp_path)
    assert read_report(tmp_path)["formerly"] == [before]
    assert list(blank_pages([artifact])) == []
