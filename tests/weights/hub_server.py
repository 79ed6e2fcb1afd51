"""A Hugging Face hub on loopback: the routes that its client asks of a repository of models, and what was asked."""

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """repositories: folders by id. gated: ids whose files are refused. commit: of every ``main``. asked: paths."""

    url: str
    repositories: Mapping[str, Path]
    gated: frozenset[str] = frozenset()
    commit: str = COMMIT
    asked: list[str] = field(default_factory=list)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def do_GET(self) -> None:
        path = self.path.partition("?")[0].strip("/")
        self.hub.asked.append(path)
        parts = path.removeprefix("api/models/").split("/")
        name, rest = "/".join(parts[:2]), "/".join(parts[4:])
        route, revision = parts[2:4] or ("", "")
        folder = self.hub.repositories.get(name)
        if folder is None:
            self.fail(404, "RepoNotFound")
        elif name in self.hub.gated:
            self.fail(403, "GatedRepo")
        elif revision not in ("", "main", self.hub.commit):
            self.fail(404, "RevisionNotFound")
        elif route == "resolve":
            self.send((folder / rest).read_bytes(), {"X-Repo-Commit": self.hub.commit})
        elif route == "tree":
            files = [path for path in folder.rglob("*") if path.is_file()]
            self.send_json([entry(path, path.relative_to(folder).as_posix()) for path in files])
        else:
            self.send_json({"id": name, "sha": self.hub.commit, "siblings": []})

    def do_HEAD(self) -> None:
        self.do_GET()

    def send_json(self, value: object) -> None:
        self.send(json.dumps(value).encode(), {"Content-Type": "application/json"})

    def send(self, content: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(200)
        etag = hashlib.sha1(content, usedforsecurity=False).hexdigest()
        for name, value in {"ETag": f'"{etag}"', "Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def fail(self, status: int, code: str) -> None:
        self.send_response(status)
        for name, value in {"X-Error-Code": code, "X-Error-Message": code, "Content-Length": "0"}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def entry(path: Path, name: str) -> dict[str, object]:
    content = path.read_bytes()
    oid = hashlib.sha1(content, usedforsecurity=False).hexdigest()
    return {"type": "file", "path": name, "size": len(content), "oid": oid}


@contextmanager
def serve(repositories: Mapping[str, Path], gated: frozenset[str] = frozenset()) -> Iterator[Hub]:
    """A hub on a free port of 127.0.0.1 while the block runs."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub = Hub(f"http://127.0.0.1:{server.server_port}", repositories, gated)
    server.RequestHandlerClass = type("Handler", (Handler,), {"hub": hub})
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
