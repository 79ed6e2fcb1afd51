"""A hostile web on loopback: servers that misbehave in every way a crawler meets, and the names that lead to them.

``Faults`` writes its answers octet by octet, because no HTTP library would send most of them. ``Internet`` gives names
public addresses, and connects whoever asks for these to a server on 127.0.0.1, so that a crawl runs with the policy of
the open web and yet no packet leaves the machine. What is really connected to is recorded by an audit hook, beneath
all of it.
"""

import asyncio
import contextlib
import errno
import gzip
import socket
import ssl
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import cache
from typing import Any
from urllib.parse import parse_qsl

from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

CONTACTED: set[str] = set()  # addresses that any socket of this process was connected or sent to
LOOKED_UP: set[str] = set()  # names that the system's resolver was asked for


def _record(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("socket.connect", "socket.sendto") and isinstance(arguments[1], tuple):
        CONTACTED.add(str(arguments[1][0]))
    elif event == "socket.getaddrinfo":
        LOOKED_UP.add(str(arguments[0]))


sys.addaudithook(_record)

SITE_FILES = ("/robots.txt", "/ai.txt", "/.well-known/tdmrep.json")
OK = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
JPEG = b"Content-Type: image/jpeg\r\n"


@cache
def gzip_bomb(megabytes: int) -> bytes:
    return gzip.compress(bytes(megabytes << 20))


class Faults:
    """One server. hits, times: requests by path, and when the last came. port: of 127.0.0.1. most_at_once: of pictures.
    targets: requests by path and query as they were sent. authorized: the last Authorization by path.

    bodies: what ``/body/NAME`` and ``/raw/NAME`` send. aliases: paths that are answered like others.
    """

    def __init__(self, picture: bytes, bodies: Mapping[str, bytes] = {}, aliases: Mapping[str, str] = {}) -> None:
        self.picture = picture
        self.bodies = bodies
        self.aliases = aliases
        self.hits: Counter[str] = Counter()
        self.times: dict[str, float] = {}
        self.agents: set[str] = set()
        self.targets: Counter[str] = Counter()
        self.authorized: dict[str, str] = {}
        self.port = 0
        self.most_at_once = 0
        self._at_once = 0
        self._connections: set[asyncio.Task[None] | None] = set()

    async def connected(self, reader: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
        self._connections.add(asyncio.current_task())
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            first = await reader.readexactly(1)
            if first == b"\x16":  # a TLS handshake
                out.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            else:
                await self._answer((first + await reader.readuntil(b"\r\n\r\n")).decode("latin-1"), out)
            await out.drain()
        out.close()
        self._connections.discard(asyncio.current_task())

    def end(self) -> None:
        for task in self._connections:
            assert task
            task.cancel()

    async def _answer(self, request: str, out: asyncio.StreamWriter) -> None:
        url = URL(f"http://here{request.split(' ')[1]}", encoded=True)
        headers = dict(line.split(": ", 1) for line in request.split("\r\n")[1:] if line)
        self.hits[url.path] += 1
        self.times[url.path] = time.monotonic()
        self.targets[request.split(" ")[1]] += 1
        self.authorized[url.path] = headers.get("Authorization", "")
        self.agents.add(headers.get("User-Agent", ""))
        if url.path in self.aliases:
            url = URL(f"http://here{self.aliases[url.path]}")
        elif url.path in SITE_FILES:
            return await self.get_status(URL("/status/404"), out)
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            if url.path == "/cookie" and headers.get("Cookie") != "seen=1":
                url = URL("/status/403")
            await getattr(self, f"get_{url.path.split('/')[1]}")(url, out)
        finally:
            self._at_once -= 1

    async def get_ok(self, url: URL, out: asyncio.StreamWriter) -> None:
        headers = b'ETag: "x"\r\nLast-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\n'
        self._whole(out, self.picture, headers)

    def _whole(self, out: asyncio.StreamWriter, body: bytes, headers: bytes = b"", length: int | None = None) -> None:
        announced = b"Content-Length: %d\r\n" % (len(body) if length is None else length)
        out.write(OK + JPEG + headers + announced + b"\r\n" + body)

    async def get_body(self, url: URL, out: asyncio.StreamWriter) -> None:
        self._whole(out, self.bodies[url.name])

    async def get_raw(self, url: URL, out: asyncio.StreamWriter) -> None:
        """``/raw/NAME``: this body is the whole answer."""
        out.write(self.bodies[url.name])

    get_cookie = get_ok  # for those who bring one

    async def get_slowly(self, url: URL, out: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.05)
        await self.get_ok(url, out)

    # statuses and redirects

    async def get_status(self, url: URL, out: asyncio.StreamWriter) -> None:
        """``/status/NUMBER?after=VALUE``: the latter in Retry-After; ``date`` is two hours from now."""
        after = url.query.get("after", "")
        if after == "date":
            after = format_datetime(datetime.now(UTC) + timedelta(hours=2), usegmt=True)
        head = f"HTTP/1.1 {url.parts[2]} Whatever\r\nConnection: close\r\nContent-Length: 0\r\n"
        out.write((head + (f"Retry-After: {after}\r\n" if after else "") + "\r\n").encode("latin-1"))

    async def get_flaky(self, url: URL, out: asyncio.StreamWriter) -> None:
        if self.hits[url.path] == 1:
            return await self.get_status(URL("/status/503").with_query(url.query), out)
        await self.get_ok(url, out)

    async def get_to(self, url: URL, out: asyncio.StreamWriter) -> None:
        self._redirect(out, url.query["url"])

    async def get_loop(self, url: URL, out: asyncio.StreamWriter) -> None:
        self._redirect(out, "/loop/b" if url.name == "a" else "/loop/a")

    async def get_chain(self, url: URL, out: asyncio.StreamWriter) -> None:
        """``/chain/N``: N redirects, then a picture."""
        left = int(url.parts[2])
        self._redirect(out, f"/chain/{left - 1}" if left > 1 else "/ok/end")

    def _redirect(self, out: asyncio.StreamWriter, target: str) -> None:
        head = b"HTTP/1.1 302 Found\r\nConnection: close\r\nContent-Length: 0\r\nLocation: "
        out.write(head + target.encode() + b"\r\n\r\n")

    # bodies

    async def get_drip(self, url: URL, out: asyncio.StreamWriter) -> None:
        await self._repeat(out, OK + JPEG + b"\r\n", b"x", 0.05)

    async def get_endless(self, url: URL, out: asyncio.StreamWriter) -> None:
        await self._repeat(out, OK + JPEG + b"\r\n", bytes(65536))

    async def _repeat(self, out: asyncio.StreamWriter, start: bytes, piece: bytes, pause_s: float = 0.0) -> None:
        out.write(start)
        while not out.is_closing():
            out.write(piece)
            await out.drain()
            await asyncio.sleep(pause_s)

    async def get_announced(self, url: URL, out: asyncio.StreamWriter) -> None:
        self._whole(out, b"", length=10**12)

    async def get_short(self, url: URL, out: asyncio.StreamWriter) -> None:
        self._whole(out, self.picture[:100], length=len(self.picture))

    async def get_cut(self, url: URL, out: asyncio.StreamWriter) -> None:
        """``/cut/WHEN``: the length announced is less than the picture's; the rest comes later, or at once."""
        length = len(self.picture) - 500
        announced = b"Content-Length: %d\r\n\r\n" % length
        whole = b"HTTP/1.1 200 OK\r\n" + JPEG + announced + self.picture
        if url.name == "later":
            out.write(whole[:-500])
            await out.drain()
            await asyncio.sleep(0.3)
            whole = whole[-500:]
        out.write(whole)  # in one piece, so that it is read as one

    async def get_chunks(self, url: URL, out: asyncio.StreamWriter) -> None:
        """``/chunks/END``: the picture in chunks, whose last one is missing or cut, or after half of it no chunk."""
        out.write(OK + JPEG + b"Transfer-Encoding: chunked\r\n\r\n")
        half = len(self.picture) // 2
        out.write(b"%x\r\n%s\r\n" % (half, self.picture[:half]))
        if url.name == "garbage":
            out.write(b"zz\r\n")
        elif url.name == "cut":
            out.write(b"%x\r\n%s" % (half + 1, self.picture[half:-500]))
        else:
            out.write(b"%x\r\n%s\r\n" % (len(self.picture) - half, self.picture[half:]))

    async def get_encoded(self, url: URL, out: asyncio.StreamWriter) -> None:
        """``/encoded/WHAT``: compressed though not asked to be."""
        body = {"bomb": gzip_bomb(64), "picture": gzip.compress(self.picture), "garbage": b"\x1f\x8b garbage " * 9}
        encoding = b"br" if url.name == "br" else b"gzip"
        self._whole(out, body.get(url.name, b"x" * 100), b"Content-Encoding: %s\r\n" % encoding)

    # heads

    async def get_header(self, url: URL, out: asyncio.StreamWriter) -> None:
        """``/header?NAME=VALUE``: a picture with these headers, octets of Latin-1."""
        pairs = parse_qsl(url.raw_query_string, encoding="latin-1")
        self._whole(out, self.picture, "".join(f"{name}: {value}\r\n" for name, value in pairs).encode("latin-1"))

    async def get_head(self, url: URL, out: asyncio.StreamWriter) -> None:
        """``/head/WHAT``: an answer that goes wrong before its body."""
        what = url.parts[2]
        starts = {
            "garbage": b"this is not HTTP\r\n\r\n",
            "http09": self.picture,
            "length": OK + b"Content-Length: many\r\n\r\n" + self.picture,
            "lengths": OK + b"Content-Length: 7\r\nContent-Length: 9\r\n\r\n" + self.picture,
            "long": OK + b"X: " + b"y" * 100_000 + b"\r\n\r\n",
            "many": OK + b"".join(b"X%d: y\r\n" % n for n in range(10_000)) + b"\r\n",
            "status": b"HTTP/1.1 2000 OK\r\n\r\n",
            "closed": b"",
        }
        repeats = {
            "drip": (b"HTTP/1.1 200 OK\r\nX: ", b"y", 0.05),
            "endless_line": (OK + b"X: ", b"y" * 65536, 0.0),
            "endless_lines": (OK, b"X: y\r\n" * 1000, 0.0),
            "endless_interim": (b"", b"HTTP/1.1 102 Processing\r\n\r\n" * 100, 0.02),
        }
        if what in starts:
            out.write(starts[what])
        elif what in repeats:
            await self._repeat(out, *repeats[what])
        elif what == "reset":
            out.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            out.transport.abort()
        else:
            assert what == "silence"
            await asyncio.sleep(3600)


@contextlib.contextmanager
def serve_faults(
    picture: bytes,
    bodies: Mapping[str, bytes] = {},
    aliases: Mapping[str, str] = {},
    tls: ssl.SSLContext | None = None,
) -> Iterator[Faults]:
    faults = Faults(picture, bodies, aliases)
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda loop, context: None)  # clients that give up in the middle of a handshake
    server = loop.run_until_complete(asyncio.start_server(faults.connected, "127.0.0.1", 0, ssl=tls, backlog=256))
    faults.port = server.sockets[0].getsockname()[1]

    async def stop() -> None:
        server.close()
        faults.end()
        await asyncio.sleep(0.01)

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield faults
    finally:
        asyncio.run_coroutine_threadsafe(stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class Internet(AbstractResolver):
    """Names and addresses of the outside, under somebody else's control.

    names: addresses of a name, look-up after look-up, the last one again and again; a name that is not there does not
    resolve, and one without addresses is never answered. routes: port of 127.0.0.1 by address and port. refused:
    addresses that something wanted to connect to though they have no route.
    """

    def __init__(self) -> None:
        self.names: dict[str, list[Sequence[str]]] = {}
        self.routes: dict[tuple[str, int], int] = {}
        self.refused: set[str] = set()
        self.lookups: Counter[str] = Counter()

    def add(self, name: str, port: int, server_port: int) -> None:
        """Let ``name`` have a public address of its own, and a server there."""
        address = f"93.184.{len(self.names) // 250}.{len(self.names) % 250 + 1}"
        self.names[name] = [[address]]
        self.routes[address, port] = server_port

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        host.encode("idna")  # which the system's resolver does, and raises ValueError
        answers = self.names.get(host)
        if answers is None:
            raise OSError(errno.ENOENT, "no such name")
        if not answers:
            await asyncio.sleep(3600)
        found = answers[min(self.lookups[host], len(answers) - 1)]
        self.lookups[host] += 1
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in found
        ]

    async def close(self) -> None:
        pass

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Every socket of the process leads into this internet while the block runs, and none out of the machine."""
        connect = socket.socket.connect

        def routed(self_: socket.socket, address: Any) -> None:
            if not isinstance(address, tuple) or address[0] == "127.0.0.1":
                return connect(self_, address)
            if port := self.routes.get(address[:2]):
                return connect(self_, ("127.0.0.1", port))
            self.refused.add(address[0])
            raise OSError(errno.ENETUNREACH, "Network is unreachable")

        socket.socket.connect = routed  # type: ignore[method-assign, assignment]
        CONTACTED.clear()
        LOOKED_UP.clear()
        try:
            yield
            assert {"127.0.0.1"} >= CONTACTED
            assert not LOOKED_UP - {"127.0.0.1"}
        finally:
            socket.socket.connect = connect  # type: ignore[method-assign]
