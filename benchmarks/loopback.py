"""A web server on 127.0.0.1 that costs next to nothing: answers are built before the first request.

It runs as its own process, so that its CPU is not counted with what it measures. HTTP/1.1 with keep-alive, GET only,
over TCP or TLS. Queries are ignored; whatever is not a picture of its folder is answered with 404.
"""

import asyncio
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HEAD = 'HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nETag: "{tag}"\r\n\r\n'
MAX_REQUEST = 1 << 16  # bytes
BACKLOG = 1024


@dataclass(frozen=True)
class Certificate:
    """A self-signed certificate for 127.0.0.1 and its key, PEM files."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Server:
    """Ports of 127.0.0.1, and the process that listens there."""

    http: int
    https: int
    pid: int

    def cpu_seconds(self) -> float:
        """User and system time so far (``proc(5)``: fields 14 and 15 of /proc/PID/stat, in clock ticks)."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Pictures(asyncio.Protocol):
    """One connection. ``answers`` is path -> head and body; ``missing`` is the answer to any other request."""

    def __init__(self, answers: Mapping[bytes, bytes], missing: bytes) -> None:
        self.answers, self.missing = answers, missing
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        while (end := self.received.find(b"\r\n\r\n")) >= 0:
            request, self.received = self.received[:end], self.received[end + 4 :]
            method, _, rest = request.partition(b" ")
            path = rest.partition(b" ")[0].partition(b"?")[0]
            found = self.answers.get(path) if method == b"GET" else None
            self.transport.write(found or self.missing)
            if b"\nconnection: close" in request.lower():
                return self.transport.close()
        if len(self.received) > MAX_REQUEST:
            self.transport.close()


def answer(status: str, kind: str, body: bytes, tag: str) -> bytes:
    return HEAD.format(status=status, kind=kind, length=len(body), tag=tag).encode() + body


async def run_server(folder: Path, certificate: Certificate) -> None:
    """Serve the folder's JPEGs until standard input ends; the two ports are printed first."""
    answers = {
        f"/{path.name}".encode(): answer("200 OK", "image/jpeg", path.read_bytes(), path.stem)
        for path in sorted(folder.glob("*.jpg"))
    }
    missing = answer("404 Not Found", "text/plain", b"not found\n", "404")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate, certificate.key)
    loop = asyncio.get_running_loop()
    servers = [
        await loop.create_server(lambda: Pictures(answers, missing), "127.0.0.1", 0, backlog=BACKLOG, ssl=tls)
        for tls in (None, context)
    ]
    print(*(server.sockets[0].getsockname()[1] for server in servers), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


def make_certificate(folder: Path) -> Certificate:
    """The certificate in ``folder``, made with the openssl command if it is not there."""
    made = Certificate(folder / "loopback.pem", folder / "loopback.key")
    if not made.certificate.exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = ["openssl", "req", "-x509", "-nodes", "-days", "3650", "-subj", "/CN=127.0.0.1"]
        command += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
        command += ["-addext", "subjectAltName=IP:127.0.0.1"]
        command += ["-keyout", str(made.key), "-out", str(made.certificate)]
        subprocess.run(command, check=True, capture_output=True)
    return made


@contextmanager
def serve(folder: Path, certificate: Certificate) -> Iterator[Server]:
    """Serve the JPEGs of ``folder`` from another process while the block runs."""
    command = [sys.executable, __file__, str(folder), str(certificate.certificate), str(certificate.key)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        try:
            http, https = map(int, process.stdout.readline().split())
            yield Server(http, https, process.pid)
        finally:
            process.stdin.close()


if __name__ == "__main__":
    asyncio.run(run_server(Path(sys.argv[1]), Certificate(Path(sys.argv[2]), Path(sys.argv[3]))))
