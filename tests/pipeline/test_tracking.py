"""Tracking into a temporary SQLite store; servers that are not there."""

import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from humanvlm.errors import UserError
from humanvlm.pipeline import tracking
from humanvlm.pipeline.runner import run_stage


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


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    out = tmp_path / "stage1_checkpoint"
    (out / "plots").mkdir(parents=True)
    (out / "plots" / "loss.png").write_bytes(b"png")
    (out / "shard-00000.parquet").write_bytes(b"rows")
    (out / "loss.csv").write_text("step,loss,grad_norm\n1,2.0,\n2,1.5,0.25\n3,1.25,nan\n")
    return out


def test_a_stage_is_one_run(artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = f"sqlite:///{tmp_path}/state/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    tracking.check()
    assert not (tmp_path / "state").exists()  # checking changes nothing
    tracking.log_stage(report(), artifact)

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
    tracking.log_stage(report(), artifact)
    assert [path.name for path in tmp_path.iterdir()] == ["stage1_checkpoint"]


def silent_server() -> tuple[socket.socket, str]:
    """A port that takes connections and never answers."""
    server = socket.create_server(("127.0.0.1", 0))
    return server, f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_server_that_is_down_fails_before_any_work(
    tmp_path: Path, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, uri = silent_server()
    server.close()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    (tmp_path / "data").mkdir()
    started = time.monotonic()
    with pytest.raises(UserError, match=rf"{uri} does not answer .*refused.*MLFLOW_TRACKING_URI"):
        run_stage(
            "raw_scrape", repo / "humanvlm/profiles/cpu.yaml", inputs={"data": tmp_path / "data"}, out=tmp_path / "out"
        )
    assert time.monotonic() - started < 5
    assert not (tmp_path / "out").exists()


def test_a_server_that_is_silent_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    server, uri = silent_server()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setattr(tracking, "CHECK_TIMEOUT_S", 0.3)
    with server, pytest.raises(UserError, match="timed out"):
        tracking.check()


@pytest.mark.parametrize(("status", "fine"), [("200 OK", True), ("401 Unauthorized", True), ("404 Not Found", False)])
def test_what_a_server_answers(status: str, fine: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    server, uri = silent_server()

    def reply() -> None:
        connection, _ = server.accept()
        connection.recv(1000)
        connection.sendall(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        connection.close()

    threading.Thread(target=reply, daemon=True).start()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with server:
        if fine:
            tracking.check()
        else:
            with pytest.raises(UserError, match="HTTP 404"):
                tracking.check()


@pytest.mark.parametrize("uri", ["./mlruns", "file:///srv/mlruns", "mlruns"])
def test_folders_are_refused(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(UserError, match="no longer tracks in folders"):
        tracking.check()


def test_a_database_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/file/mlflow.db")
    with pytest.raises(UserError, match=r"file is not writable"):
        tracking.check()


def test_passwords_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:s3cret@127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(UserError) as error:
        tracking.check()
    assert "s3cret" not in str(error.value)
