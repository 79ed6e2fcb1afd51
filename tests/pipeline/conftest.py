"""A folder as a stage leaves it, and a server of MLflow's REST interface as far as a run needs it."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    out = tmp_path / "stage1_checkpoint"
    (out / "plots").mkdir(parents=True)
    (out / "plots" / "loss.png").write_bytes(b"png")
    (out / "shard-00000.parquet").write_bytes(b"rows")
    (out / "loss.csv").write_text("step,loss,grad_norm\n1,2.0,\n2,1.5,0.25\n3,1.25,nan\n")
    return out


MISSING = {"error_code": "TEMPORARILY_UNAVAILABLE", "message": "try later"}


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
