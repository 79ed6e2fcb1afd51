"""Tracking into a temporary SQLite store; servers that are not there."""

import base64
import hashlib
import json
import math
import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from humanvlm.data.atomic_io import write_text
from humanvlm.errors import UserError
from humanvlm.pipeline import live, tracking
from humanvlm.pipeline.contract import Counts, Outcome, StageRun, artifact_files
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


@dataclass
class Mlflow:
    """A server of MLflow's REST interface as far as a run needs it. fault: (status, body) for a path, or None."""

    fault: Callable[[str], tuple[int, Any] | None] = lambda path: None
    experiment: dict[str, str] = field(default_factory=dict)
    runs: list[str] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)
    points: list[tuple[str, int]] = field(default_factory=list)
    credentials: set[str | None] = field(default_factory=set)
    url: str = ""

    def answer(self, path: str, asked: dict[str, Any]) -> tuple[int, Any]:
        if fault := self.fault(path):
            return fault
        if path == "experiments/get-by-name":
            if not self.experiment:
                return 404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "none"}
            return 200, {"experiment": self.experiment}
        if path == "experiments/create":
            self.experiment = {"experiment_id": "1", "name": "humanvlm", "lifecycle_stage": "active"}
            return 200, {"experiment_id": "1"}
        if path == "runs/create":
            self.runs.append(str(len(self.runs)))
        if path == "runs/log-batch":
            self.points += [(one["key"], int(one.get("step", 0))) for one in asked.get("metrics", [])]
        if path == "runs/update" and asked.get("status") != "RUNNING":
            self.ends.append(asked["status"])
        if path == "metrics/get-history":
            key = asked["metric_key"]
            return 200, {
                "metrics": [
                    {"key": key, "value": 1, "timestamp": 1, "step": step} for name, step in self.points if name == key
                ]
            }
        info = {"run_id": (self.runs or ["0"])[-1], "lifecycle_stage": "active", "status": "RUNNING", "start_time": 1,
                "experiment_id": "1", "artifact_uri": self.artifacts}  # fmt: skip
        return 200, {"run": {"info": info, "data": {}}, "experiments": []}

    artifacts: str = ""


@pytest.fixture
def mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mlflow]:
    state = Mlflow(artifacts=(tmp_path / "mlartifacts").as_uri())

    class Handler(BaseHTTPRequestHandler):
        def go(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path, _, query = self.path.partition("?")
            state.credentials.add(self.headers.get("Authorization"))
            asked = json.loads(body) if body else {key: value[0] for key, value in parse_qs(query).items()}
            status, found = state.answer(path.partition("/mlflow/")[2], asked)
            content = (found if isinstance(found, str) else json.dumps(found)).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = go  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", state.url)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    yield state
    server.shutdown()
    server.server_close()


@pytest.fixture
def signed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the machine's credentials nor what a test leaves in the environment."""
    for name in ("USERNAME", "PASSWORD", "TOKEN"):
        monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", "")
        monkeypatch.delenv(f"MLFLOW_TRACKING_{name}")


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
MISSING = {"error_code": "TEMPORARILY_UNAVAILABLE", "message": "try later"}


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


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], dict[str, Any]]:
    """Runs ``registered_model`` as a stage that only counts how often it is made, and writes a curve."""
    made: list[StageRun] = []

    def make(run: StageRun) -> Outcome:
        made.append(run)
        if during := getattr(counted_run, "during", None):
            during(run)
        write_text(run.out / "loss.csv", "step,loss\n1,2.0\n2,1.5\n")
        return Outcome(Counts(1, 1), artifact_files(run.out))

    monkeypatch.setattr("humanvlm.registry.stage.make", make)
    monkeypatch.setattr("humanvlm.registry.stage.lost", lambda run: None)
    for name in ("benchmark_scores", "stage2_checkpoint"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").write_text("a")
    folders = {name: tmp_path / name for name in ("benchmark_scores", "stage2_checkpoint")}
    params = Path(__file__).parents[2] / "humanvlm/profiles/cpu.yaml"

    def counted_run() -> dict[str, Any]:
        report = run_stage("registered_model", params, inputs=folders, out=tmp_path / "out")
        return {"made": len(made), "work": (tmp_path / "out" / ".work").exists(), **report}

    return counted_run


def test_a_result_whose_server_died_is_kept_and_logged_by_the_same_command(
    mlflow: Mlflow, counted: Callable[[], dict[str, Any]], tmp_path: Path
) -> None:
    mlflow.fault = lambda path: (503, MISSING) if path == "runs/log-batch" else None
    for _ in range(2):
        with pytest.raises(UserError, match=r"too many 503.*out is complete and kept: the same command logs it"):
            counted()
    assert (tmp_path / "out" / "report.json").exists()
    assert mlflow.ends == []
    mlflow.fault = lambda path: None
    done = counted()
    assert (done["made"], done["work"], mlflow.runs, mlflow.ends) == (1, False, ["0"], ["FINISHED"])
    assert [step for name, step in mlflow.points if name == "loss"] == [1, 2]
    assert counted()["made"] == 1
    assert mlflow.ends == ["FINISHED"]  # it is not logged again


def test_an_interrupted_stage_goes_on_in_its_run_without_logging_points_twice(
    mlflow: Mlflow, counted: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "EVERY_S", 0.01)

    def during(run: StageRun) -> None:
        sent = live.Live(run.work)
        sent.log({"loss": 2.0, "never": math.nan}, 1)
        sent.close()
        (run.work / "begun").write_text("")
        counted.during = None
        raise KeyboardInterrupt

    counted.during = during
    with pytest.raises(KeyboardInterrupt):
        counted()
    assert mlflow.ends == ["FAILED"]
    assert counted()["made"] == 2
    assert (mlflow.runs, mlflow.ends) == (["0"], ["FAILED", "FINISHED"])
    assert [step for name, step in mlflow.points if name == "loss"] == [1, 2]
    assert "never" not in {name for name, _ in mlflow.points}


def test_a_server_that_dies_stops_nothing(
    mlflow: Mlflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(live, "EVERY_S", 0.01)
    monkeypatch.setattr(live, "AGAIN_S", 0.01)
    tracking.remember(tmp_path, tracking.open_run("stage1_checkpoint", "cpu"))
    mlflow.fault = lambda path: (503, MISSING)
    sent = live.Live(tmp_path)
    for step in range(3):
        sent.log({"loss": 1.0}, step)
        time.sleep(0.05)
    sent.close()
    assert caplog.text.count("The work goes on") == 1
    assert mlflow.points == []


def test_without_a_run_nothing_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "none")
    sent = live.Live(tmp_path)
    sent.log({"loss": 1.0}, 1)
    sent.file(tmp_path / "page.html")
    sent.close()
    assert sent._thread is None


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
