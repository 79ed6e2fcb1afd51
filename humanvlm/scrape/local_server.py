"""A loopback HTTP/1.1 server for a synthetic crawl: threaded, keep-alive, 127.0.0.1 only.

The folder is picked by the request's Host header (port ignored). A host that it does not serve gets 421, so that a page
whose name a stranger points to this machine (DNS rebinding) reads nothing. No dot files, no links out of a folder, no
listings; what a browser opens may load nothing, run nothing and be embedded nowhere else.

``FOLDER/_headers.json``, never served itself, makes
paths misbehave like the open web: ``{path: {"status": 200, "headers": {}, "delay_s": 0.0, "truncate": null}}``.
``status`` and ``headers`` are sent as they are (a redirect is a 3xx with ``Location``), ``delay_s`` waits before the
answer, ``truncate`` announces the whole length and closes the connection after that many bytes. Paths are relative to
the folder; one with a status may lack a file. Bodies carry an ETag; conditional requests are answered with 304.
"""

import hashlib
import json
import logging
import mimetypes
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from humanvlm.errors import UserError

log = logging.getLogger("humanvlm")
HEADERS_FILE = "_headers.json"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
SHOWN_DOT = ".well-known"  # RFC 8615: there to be asked for
SAFE = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; sandbox; "
    "frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
IDLE_S = 60.0
# Not the machine's mime.types: the same file gets the same type everywhere.
MIME = mimetypes.MimeTypes(filenames=())


@dataclass(frozen=True)
class Behaviour:
    """What is special about one path."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    truncate: int | None = None


@dataclass(frozen=True)
class Folder:
    """A served folder, resolved, and its special paths."""

    root: Path
    behaviours: Mapping[str, Behaviour]

    def find(self, path: str) -> Path | None:
        """The file of a decoded URL path; None when absent, hidden, or outside the folder (links followed)."""
        if "\0" in path or "\\" in path:
            return None
        try:
            file = (self.root / path).resolve()
            inside = file.is_relative_to(self.root) and file.is_file()
        except OSError:  # a name too long, a loop of links
            return None
        return file if inside and not _is_hidden(file.relative_to(self.root)) else None


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") and part != SHOWN_DOT for part in path.parts) or path.name == HEADERS_FILE


def read_folder(root: Path) -> Folder:
    """Raises UserError naming a folder that is absent or a ``_headers.json`` that is malformed."""
    if not root.is_dir():
        raise UserError(f"{root}: no such folder to serve; make it with `humanvlm sample`")
    file = root / HEADERS_FILE
    if not file.exists():
        return Folder(root.resolve(), {})
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        behaviours = {path.lstrip("/"): Behaviour(**value) for path, value in values.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{file}: expected {{path: {{status, headers, delay_s, truncate}}}}: {error}") from None
    return Folder(root.resolve(), behaviours)


class Server(ThreadingHTTPServer):
    """Threads die with the process; ``folders`` is host name -> folder, "" those of ``LOOPBACK``."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, folders: Mapping[str, Folder], port: int) -> None:
        own = dict.fromkeys(LOOPBACK, folders[""]) if "" in folders else {}
        self.folders = own | {host: folder for host, folder in folders.items() if host}
        self.closing = threading.Event()
        super().__init__(("127.0.0.1", port), Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.debug("client %s went away", client_address)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "humanvlm-sample"
    sys_version = ""
    timeout = IDLE_S
    wbufsize = -1  # one packet an answer: head and body leave together
    disable_nagle_algorithm = True
    server: Server

    def do_GET(self) -> None:
        folder = self.server.folders.get(_host_of(self.headers.get_all("Host", [])))
        if folder is None:
            return self._answer(HTTPStatus.MISDIRECTED_REQUEST, {}, b"no such host\n")
        path = unquote(urlsplit(self.path).path).lstrip("/")
        behaviour = folder.behaviours.get(path, Behaviour())
        if behaviour.delay_s:
            self.server.closing.wait(behaviour.delay_s)
        file = folder.find(path)
        if file is None:
            status = behaviour.status if behaviour.status != 200 else HTTPStatus.NOT_FOUND
            return self._answer(status, behaviour.headers, f"{HTTPStatus(status).phrase}\n".encode())
        body = file.read_bytes()
        kind = MIME.guess_type(file.name)[0] or "application/octet-stream"
        headers = {"Content-Type": kind, "ETag": f'"{hashlib.sha256(body).hexdigest()[:20]}"', **behaviour.headers}
        if behaviour.status == 200 and self.headers.get("If-None-Match") == headers["ETag"]:
            return self._answer(HTTPStatus.NOT_MODIFIED, headers, b"")
        return self._answer(behaviour.status, headers, body, behaviour.truncate)

    do_HEAD = do_GET  # noqa: N815

    def _answer(self, status: int, headers: Mapping[str, str], body: bytes, truncate: int | None = None) -> None:
        self.send_response(status)
        for name, value in ({"Content-Type": "text/plain"} | SAFE | dict(headers)).items():
            self.send_header(name, value)
        if status != HTTPStatus.NOT_MODIFIED:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:truncate])
        if truncate is not None and truncate < len(body):
            self.close_connection = True
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        log.debug("%s " + format, self.client_address[0], *args)


def _host_of(values: Sequence[str]) -> str:
    """The name in the one Host header of a request; "" for none, several, or what is no name."""
    try:
        return (urlsplit(f"//{values[0]}").hostname or "") if len(values) == 1 else ""
    except ValueError:
        return ""


def _listen(folders: Mapping[str, Path], port: int) -> Server:
    found = {host.lower(): read_folder(path) for host, path in folders.items()}
    try:
        return Server(found, port)
    except OSError as error:
        raise UserError(f"127.0.0.1:{port}: {error.strerror}; choose another with --port") from None


@contextmanager
def serve(folders: Mapping[str, Path]) -> Iterator[int]:
    """Serve folders by host name on an ephemeral port of 127.0.0.1, given to the block; stops when it ends.

    folders: host name without port -> folder; the name "" answers for ``LOOPBACK``. Raises UserError naming a missing
    folder or a malformed ``_headers.json``.
    """
    server = _listen(folders, 0)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()


def serve_forever(folder: Path, port: int) -> None:
    """Serve one folder on 127.0.0.1 until interrupted. Raises UserError when the port is taken."""
    server = _listen({"": folder}, port)
    log.info("%s: serving http://127.0.0.1:%d/ (Ctrl-C stops)", folder, server.server_address[1])
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        log.info("stopped")
    finally:
        server.server_close()
