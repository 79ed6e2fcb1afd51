"""What a stage's run holds, in a temporary SQLite store."""

import hashlib
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from humanvlm.pipeline import tracking


def report(**changes: Any) -> dict[str, Any]:
    return {
        "stage": "stage1_checkpoint",
        "profile": "cpu",
        "fingerprint": "f" * 64,
        "config": {"model": {"vision_tower": "tiny"}, "stage1_checkpoint": {"betas": [0.9, 0.99], "max_steps": 3}},
        "inputs": {"human_caption": "1" * 64},
        "rows": {"in": 5, "kept": 3, "dropped": {"http_404": 2}},
        "metrics": {"loss": 0.5, "odd name (%)": 1.0, "never": float("nan")},
        "plots": ["plots/loss.png"],
        "timings": {"seconds": 1.5},
    } | changes


def test_a_stage_is_one_run(artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = f"sqlite:///{tmp_path}/state/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    tracking.check()
    assert not (tmp_path / "state").exists()  # checking changes nothing
    tracking.log_stage(report(), artifact, artifact / ".work")

    from mlflow.tracking import MlflowClient

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("humanvlm")
    assert experiment.artifact_location == f"file://{tmp_path}/state/mlartifacts"
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.run_name, run.info.status) == ("stage1_checkpoint", "FINISHED")
    assert run.data.tags.items() >= {("stage", "stage1_checkpoint"), ("fingerprint", "f" * 64), ("profile", "cpu")}
    assert run.data.params["stage1_checkpoint.betas"] == "[0.9, 0.99]"
    assert run.data.params["model.vision_tower"] == "tiny"
    metrics = run.data.metrics
    assert (metrics["rows.in"], metrics["rows.kept"], metrics["rows.dropped.http_404"]) == (5, 3, 2)
    assert metrics["seconds"] == 1.5
    assert "never" not in metrics
    assert [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, "grad_norm")] == [
        (2, 0.25)
    ]
    assert [point.step for point in client.get_metric_history(run.info.run_id, "loss")] == [0, 1, 2, 3]
    kept = {file.path for folder in ("", "plots") for file in client.list_artifacts(run.info.run_id, folder)}
    assert kept == {"report.json", "loss.csv", "plots", "plots/loss.png"}


def test_off_means_nothing_is_written(artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "none")
    monkeypatch.chdir(tmp_path)
    tracking.check()
    tracking.log_stage(report(), artifact, artifact / ".work")
    assert [path.name for path in tmp_path.iterdir()] == ["stage1_checkpoint"]


def test_a_run_says_what_the_folder_is_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert tracking.revision_tags() == {}
    for command in (
        ["init", "-q"],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "x"],
    ):
        subprocess.run(["git", *command], check=True)
    (tmp_path / "dvc.lock").write_text("lock")
    found = tracking.revision_tags()
    assert re.fullmatch(r"[0-9a-f]{40}", found["git.commit"])
    assert found["dvc.lock"] == hashlib.md5(b"lock").hexdigest()
