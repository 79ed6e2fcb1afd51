"""Copies outside of the artifacts: removed where they are ours, else named."""

import json
from pathlib import Path

import pytest

from humanvlm.data.atomic_io import write_json
from humanvlm.data.shards import read_folder
from humanvlm.inference.ask import make_request
from humanvlm.inference.base import Reply
from humanvlm.inference.cache import open_predictions
from humanvlm.inspect.pages import write_page
from humanvlm.pipeline.contract import identity

from .small_crawl import HOST, forget_url, id_of


def test_copies_elsewhere_are_removed_or_named(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "none")
    page = write_page(Path("artifacts/human_caption"))
    scores = Path("artifacts/benchmark_scores")
    (scores / "samples").mkdir(parents=True)
    (scores / "report.html").write_text("<html>")
    (scores / "samples" / "holdout.jsonl").write_text(json.dumps({"id": id_of("mirrored")}) + "\n")
    (scores / "samples" / "vqa.jsonl").write_text(json.dumps({"id": "1", "image": "images/1.jpg"}) + "\n")
    inputs = {"human_caption": identity(Path("artifacts/human_caption"))}
    checkpoint = Path("artifacts/stage1_checkpoint")
    write_json(checkpoint / "report.json", {"stage": "stage1_checkpoint", "inputs": inputs, "outputs": []})
    for _ in range(2):  # what is left is named again and again
        said = forget_url("mirrored")
        assert "data/index.parquet: 1 rows" in said
        assert f"data/site/{HOST}/mirrored.jpg: the picture" in said
        assert "data/instructions.jsonl: 1 lines" in said
        assert "stage1_checkpoint: made with forgotten samples" in said
        assert "DVC" not in said
        assert "MLflow" not in said
    assert not page.exists()
    assert sorted(path.name for path in scores.rglob("*.*")) == ["vqa.jsonl"]
    Path(".dvc").mkdir()
    said = forget_url("mirrored")
    assert "`dvc commit --force`" in said
    assert "remote" not in said
    Path(".dvc/config").write_text("['remote \"store\"']\n    url = s3://bucket\n")
    assert "DVC's remote store: after that, `dvc gc --workspace --cloud`" in forget_url("mirrored")


def test_replies_about_a_forgotten_picture_are_removed(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it was shown, or its facts were told."""
    monkeypatch.delenv("HUMANVLM_PREDICTIONS", raising=False)
    rows = {Path(row["url"]).stem: row for row in read_folder(Path("artifacts/human_caption"), ("url", "sha256"))}
    gone, stays = rows["mirrored"]["sha256"], rows["brighter"]["sha256"]
    store = open_predictions({"kind": "test"}, "human_caption/shard-00000")
    requests = [
        make_request("m", "", None, "A woman in red.", 9, about=gone),
        make_request("m", gone, bytes, "Describe it.", 9),
        make_request("m", "", None, "A man in blue.", 9, about=stays),
    ]
    about = {request.key: request.about for request in requests}
    store.add([Reply(request.key, f"says {number}") for number, request in enumerate(requests)], about)
    said = forget_url("mirrored")
    assert f"{store.path}: 2 replies removed" in said
    assert "do not say of which picture" not in said
    left = store.path.read_text()
    assert "says 2" in left
    assert "says 0" not in left
    assert "says 1" not in left
    assert gone not in left
    assert "replies removed" not in forget_url("mirrored")
