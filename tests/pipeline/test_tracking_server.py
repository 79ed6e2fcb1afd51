"""Servers that are not there, or refuse: known before any work, and no password is shown."""

import base64
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from humanvlm.errors import UserError
from humanvlm.pipeline import tracking
from humanvlm.pipeline.runner import run_stage

from .conftest import MISSING, Mlflow


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


@pytest.mark.usefixtures("signed_out")
def test_credentials_in_the_uri_are_used_and_kept_nowhere(
    mlflow: Mlflow, artifact: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow.url.replace("//", "//me:s3%40cret@"))
    tracking.check()
    work = artifact / ".work"
    run_id = tracking.open_run("stage1_checkpoint", "cpu", work)
    mlflow.credentials.clear()
    tracking.remember(work, run_id)
    assert tracking.open_run("stage1_checkpoint", "cpu", work) == run_id
    assert mlflow.credentials == {"Basic " + base64.b64encode(b"me:s3@cret").decode()}
    assert tracking.tracking_uri() == mlflow.url
    assert "cret" not in (work / tracking.RUN).read_text() + caplog.text


def test_an_unquoted_password_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:s3/cret@127.0.0.1:9")
    with pytest.raises(UserError, match="no address; quote") as error:
        tracking.check()
    assert "s3" not in str(error.value)


@pytest.mark.usefixtures("signed_out")
def test_a_user_without_a_password_is_refused(mlflow: Mlflow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow.url.replace("//", "//t0ken@"))
    with pytest.raises(UserError, match="a user without a password; set MLFLOW_TRACKING_USERNAME") as error:
        tracking.open_run("stage1_checkpoint", "cpu")
    assert "t0ken" not in str(error.value)


def test_the_password_of_a_database_is_remembered_nowhere(tmp_path: Path) -> None:
    uri = "postgresql://me:s3cret@db/mlflow"
    assert tracking.remembered(tmp_path, uri) is None
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        tracking.remember(tmp_path, "7")
    assert "s3cret" not in (tmp_path / tracking.RUN).read_text()
    assert tracking.remembered(tmp_path, uri) == "7"
    assert tracking.remembered(tmp_path, "postgresql://me:s3cret@other/mlflow") is None


DENIED = {"error_code": "PERMISSION_DENIED", "message": "no"}


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (lambda path: (401, "who?"), r"401.*who\?.*set MLFLOW_TRACKING_USERNAME"),
        (
            lambda path: None if path == "experiments/search" else (503, MISSING),
            "too many 503 error responses.*; start the server",
        ),
        (lambda path: (403, DENIED) if path == "runs/create" else None, "no; set .*MLFLOW_TRACKING_TOKEN"),
    ],
)
def test_what_a_server_refuses_is_known_before_any_work(
    mlflow: Mlflow, fault: Any, message: str, tmp_path: Path, repo: Path
) -> None:
    mlflow.fault = fault
    (tmp_path / "data").mkdir()
    with pytest.raises(UserError, match=message) as error:
        run_stage(
            "raw_scrape", repo / "humanvlm/profiles/cpu.yaml", inputs={"data": tmp_path / "data"}, out=tmp_path / "out"
        )
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_deleted_experiment_is_named_with_its_remedy(mlflow: Mlflow) -> None:
    mlflow.experiment = {"experiment_id": "7", "name": "humanvlm", "lifecycle_stage": "deleted"}
    with pytest.raises(UserError, match=r"'humanvlm' is deleted; .*restore --experiment-id 7"):
        tracking.open_run("raw_scrape", "cpu")
