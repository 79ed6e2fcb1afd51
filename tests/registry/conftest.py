"""Real MLflow servers, on SQLite and on Postgres, and a gateway in front of one that fails where a test says."""

import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path

import pytest

START_S = 120.0
QUIET = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def mlflow_server(folder: Path, store: str, *options: str, env: dict[str, str] | None = None) -> Iterator[str]:
    """An `mlflow server` that serves artifacts itself; its address."""
    port = free_port()
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--workers", "1", "--host", "127.0.0.1", "--port", str(port)),
        *("--backend-store-uri", store, "--artifacts-destination", str(folder / "artifacts"), *options),
    ]
    environ = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
    environ |= QUIET | (env or {}) | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=environ, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(int(START_S / 0.5)):
            assert process.poll() is None, (folder / "server.log").read_text()[-2000:]
            try:
                urllib.request.urlopen(f"{address}/health", timeout=5)
                break
            except OSError:
                time.sleep(0.5)
        else:
            raise AssertionError((folder / "server.log").read_text()[-2000:])
        yield address
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """A Postgres of its own in ``folder``; the URI that MLflow takes. Skips where its binaries or driver are absent."""
    if not (initdb := shutil.which("initdb")) or not (server := shutil.which("postgres")):
        pytest.skip("needs PostgreSQL's initdb and postgres on PATH")
    if find_spec("psycopg") is None:
        pytest.skip("needs psycopg (pip install 'psycopg[binary]'), which only the server uses")
    data, port = folder / "pg", free_port()
    data.mkdir()
    user = []
    if os.getuid() == 0:  # Postgres refuses to run as root
        user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        os.chown(data, 65534, 65534)
        for parent in (folder, *folder.parents):
            if parent.stat().st_uid == 0 and not parent.stat().st_mode & 0o001:
                parent.chmod(parent.stat().st_mode | 0o001)
    made = [*user, initdb, "-D", str(data), "-U", "mlflow", "-A", "trust", "-N", "-E", "UTF8", "--locale=C"]
    subprocess.run(made, check=True, capture_output=True, env={**os.environ, "LC_ALL": "C"})
    run = [*user, server, "-D", str(data), "-p", str(port), "-h", "127.0.0.1", "-k", str(data), "-F"]
    with (folder / "postgres.log").open("w") as log:
        process = subprocess.Popen(run, stdout=log, stderr=subprocess.STDOUT, env={**os.environ, "LC_ALL": "C"})
    try:
        for _ in range(120):
            with socket.socket() as sock:
                if sock.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.25)
        else:
            raise AssertionError((folder / "postgres.log").read_text()[-2000:])
        yield f"postgresql+psycopg://mlflow@127.0.0.1:{port}/postgres"
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


@pytest.fixture(scope="session", params=["sqlite", "postgres"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real server, on either database. Tests use registered models of different names."""
    folder = tmp_path_factory.mktemp(f"mlflow_{request.param}")
    if request.param == "sqlite":
        with mlflow_server(folder, f"sqlite:///{folder}/mlflow.db") as address:
            yield address
    else:
        with postgres(folder) as store, mlflow_server(folder, store) as address:
            yield address


@dataclass
class Gateway:
    """Passes requests on, but for those whose path holds ``match``: they get ``status``, or, 0, no answer.

    users: name to password, when it wants one (401 without); of them ``readers`` may change nothing (403).
    """

    address: str
    match: str = ""
    status: int = 500
    seen: list[str] = field(default_factory=list)
    users: dict[str, str] = field(default_factory=dict)
    readers: set[str] = field(default_factory=set)

    def refused(self, authorization: str, method: str, path: str) -> int | None:
        """The status of a request that is not passed on for who asks it."""
        given = base64.b64decode(authorization.removeprefix("Basic ")).decode()
        name, _, password = given.partition(":")
        if self.users and self.users.get(name) != password:
            return 401
        changes = method != "GET" and not path.endswith("/search")
        return 403 if name in self.readers and changes else None


@contextmanager
def gateway(upstream: str) -> Iterator[Gateway]:
    """A gateway in front of a server."""
    state = Gateway("")
    closing = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def go(self) -> None:
            data = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or None
            if status := state.refused(self.headers.get("Authorization", ""), self.command, self.path):
                error = {401: "You are not authenticated.", 403: "Permission denied."}[status]
                self.answer(status, error, "text/html")  # as MLflow's app basic-auth answers
                return
            if state.match and self.command == "GET" and state.match in self.path:
                state.seen.append(self.path)
                if state.status == 0:
                    closing.wait(60)
                    return
                body = {403: "PERMISSION_DENIED", 404: "<html>no such page</html>"}.get(state.status, "INTERNAL_ERROR")
                self.answer(state.status, json.dumps({"error_code": body, "message": "connection pool exhausted"}))
                return
            skipped = ("host", "content-length", "connection", "accept-encoding")
            headers = {key: value for key, value in self.headers.items() if key.lower() not in skipped}
            asked = urllib.request.Request(upstream + self.path, data=data, method=self.command, headers=headers)
            try:
                with urllib.request.urlopen(asked) as reply:
                    self.answer(reply.status, reply.read(), reply.headers.get("Content-Type", "application/json"))
            except urllib.error.HTTPError as error:
                self.answer(error.code, error.read(), error.headers.get("Content-Type", "application/json"))

        do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = go  # noqa: N815

        def answer(self, status: int, body: str | bytes, kind: str = "application/json") -> None:
            data = body.encode() if isinstance(body, str) else body
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: object) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    state.address = f"http://127.0.0.1:{httpd.server_port}"
    try:
        yield state
    finally:
        closing.set()
        httpd.shutdown()
        httpd.server_close()
