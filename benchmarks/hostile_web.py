"""A web on loopback, half of which is hostile: healthy hosts with pictures beside every way to harm a crawl.

One server answers for all names, by the ``Host`` of a request. ``KINDS`` names what hostile hosts do; each has a few
hosts, and the names of ``silent`` are never answered. Runs as a process of its own, so that its memory and CPU are not
counted with the crawl's; ``/figures`` says what the third party and those inside were asked for.
"""

import asyncio
import contextlib
import gzip
import io
import json
import struct
import sys
import zlib
from collections.abc import Awaitable, Callable

import numpy as np
from PIL import Image

MAX_REQUEST = 1 << 17  # octets
HALF_MIB = 500 << 10
LATENCY_S = 0.05  # of healthy hosts
OK = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
JPEG = b"Content-Type: image/jpeg\r\n"
METADATA = ("169.254.169.254", "168.63.129.16", "192.0.0.192", "[fd00:ec2::254]", "10.0.0.1")
Write = Callable[[asyncio.StreamWriter], Awaitable[None]]


def photograph(side: int = 160) -> bytes:
    """A JPEG of smooth noise, some 10 kB."""
    pixels = np.random.default_rng(0).integers(0, 256, (side // 8, side // 8, 3), dtype=np.uint8)
    sink = io.BytesIO()
    Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC).save(sink, "JPEG", quality=92)
    return sink.getvalue()


def scan_bomb(side: int, scans: int, *, progressive: bool) -> bytes:
    """A JPEG of few octets with many scans, each of which a decoder takes over the whole picture."""

    def segment(marker: int, body: bytes) -> bytes:
        return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body

    sink = io.BytesIO()
    Image.new("RGB", (16, 16)).save(sink, "JPEG", quality=50, subsampling=0)
    real, at, start = sink.getvalue(), 2, b"\xff\xd8"
    while (marker := real[at + 1]) != 0xDA:
        length = int.from_bytes(real[at + 2 : at + 4])
        body = real[at + 4 : at + 2 + length]
        if marker in (0xDB, 0xC4):  # tables
            start += segment(marker, body)
        elif marker == 0xC0:  # the frame
            start += segment(0xC2 if progressive else 0xC0, body[:1] + struct.pack(">HH", side, side) + body[5:])
        at += 2 + length
    last = 0 if progressive else 63
    parts = (segment(0xDA, bytes([1, n % 3 + 1, 0x11 if n % 3 else 0, 0, last, 0])) + b"\0" for n in range(scans))
    return start + b"".join(parts) + b"\xff\xd9"


def huge_png(side: int = 60_000) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(1 << 20))) + chunk(b"IEND", b"")


def many_frames(count: int = 2000) -> bytes:
    frames = [Image.new("RGB", (8, 8), (number % 256, 0, 0)) for number in range(count)]
    sink = io.BytesIO()
    frames[0].save(sink, "WEBP", save_all=True, append_images=frames[1:], duration=1)
    return sink.getvalue()


def bombs() -> dict[str, bytes]:
    return {
        "sequential": scan_bomb(2000, 2000, progressive=False),
        "progressive": scan_bomb(2000, 2000, progressive=True),
        "huge": huge_png(),
        "frames": many_frames(),
        "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9000 9000\n{} loop\n%%EOF\n",
        "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
    }


class Web:
    """The server. most_at_once: requests of pictures of the third party; trespasses: those inside."""

    def __init__(self, canary: int) -> None:
        """canary: a port of 127.0.0.1 that nobody should come to."""
        self.canary = canary
        self.picture = photograph()
        self.bombs = bombs()
        self.lies = (
            JPEG + b"Content-Length: 1000000000000\r\n\r\n" + self.picture,
            JPEG + b"Content-Length: 7\r\nContent-Length: 9\r\n\r\n<html>",
            JPEG + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(bytes(64 << 20)),
            b"Content-Type: text/html\r\n\r\n<html>no picture</html>",
            JPEG + b"\r\n" + self.picture[:500],
        )
        self.third = self.most_at_once = self.trespasses = 0
        stars = b"allow:*" + b"a" * 40 + b"b" + b"a" * 40 + b"\n"
        self.robots = {
            "robots_cpu": b"user-agent:*\n" + stars * (HALF_MIB // len(stars)),
            "robots_stars": b"user-agent:*\nallow:" + b"*ab" * (HALF_MIB // 3) + b"\n",
            "robots_gzip": gzip.compress(b"user-agent:*\ndisallow:" + b"*ab" * (HALF_MIB // 3)),
            "subdomains": gzip.compress(b"user-agent:*\n" + b"".join(b"disallow:/%x\n" % n for n in range(40_000))),
        }

    async def connected(self, reader: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            while not out.is_closing():
                request = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                path = request.split(" ")[1]
                host = next(line[6:] for line in request.split("\r\n") if line.lower().startswith("host: "))
                await self.answer(host, path, out)
                await out.drain()
        out.close()

    async def trespassed(self, reader: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
        self.trespasses += 1
        out.write(OK + JPEG + b"\r\n" + self.picture)
        out.close()

    async def answer(self, host: str, path: str, out: asyncio.StreamWriter) -> None:
        kind = host.split(".")[-2]
        if path == "/figures":
            return self.send(out, json.dumps(self.figures()).encode())
        if path in ("/robots.txt", "/ai.txt", "/.well-known/tdmrep.json"):
            return await self.site_file(kind, path, out)
        if kind == "healthy":
            await asyncio.sleep(LATENCY_S)
            return self.send(out, self.picture, keep=True)
        if kind == "third":
            self.third += 1
            self.most_at_once = max(self.most_at_once, self.third)
            await asyncio.sleep(LATENCY_S)
            self.third -= 1
            return self.send(out, self.picture, keep=True)
        await getattr(self, f"do_{kind}", self.do_picture)(path, out)

    def figures(self) -> dict[str, int]:
        return {"third_party_at_once": self.most_at_once, "trespasses": self.trespasses}

    def send(self, out: asyncio.StreamWriter, body: bytes, headers: bytes = JPEG, *, keep: bool = False) -> None:
        status = b"HTTP/1.1 200 OK\r\n" if keep else OK
        out.write(status + headers + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        if not keep:
            out.close()

    async def site_file(self, kind: str, path: str, out: asyncio.StreamWriter) -> None:
        body = self.robots.get(kind)
        if kind == "robots_slow":
            return await self.repeat(out, OK + b"\r\nUser-agent: *\n", b"#", 0.2)
        if kind == "robots_endless":
            return await self.repeat(out, OK + b"\r\nUser-agent: *\n", b"Disallow: /x\n" * 5000, 0.05)
        if body is None or path != "/robots.txt":
            out.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        else:
            packed = b"Content-Encoding: gzip\r\n" if body.startswith(b"\x1f\x8b") else b""
            self.send(out, body, b"Content-Type: text/plain\r\n" + packed)

    async def repeat(self, out: asyncio.StreamWriter, start: bytes, piece: bytes, pause_s: float) -> None:
        out.write(start)
        while not out.is_closing():
            out.write(piece)
            await out.drain()
            await asyncio.sleep(pause_s)

    async def do_picture(self, path: str, out: asyncio.StreamWriter) -> None:
        self.send(out, self.picture)

    async def do_tarpit(self, path: str, out: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    async def do_drip(self, path: str, out: asyncio.StreamWriter) -> None:
        await self.repeat(out, OK + JPEG + b"\r\n\xff\xd8\xff", b"x", 0.2)

    async def do_endless(self, path: str, out: asyncio.StreamWriter) -> None:
        await self.repeat(out, OK + JPEG + b"\r\n", bytes(1 << 18), 0.02)

    async def do_heads(self, path: str, out: asyncio.StreamWriter) -> None:
        starts = {0: OK + b"X: ", 1: OK, 2: b""}
        pieces = {0: b"y" * 4096, 1: b"X: y\r\n" * 100, 2: b"HTTP/1.1 102 Processing\r\n\r\n"}
        which = len(path) % 3
        await self.repeat(out, starts[which], pieces[which], 0.02)

    async def do_lies(self, path: str, out: asyncio.StreamWriter) -> None:
        out.write(OK + self.lies[sum(path.encode()) % len(self.lies)])
        out.close()

    async def do_bombs(self, path: str, out: asyncio.StreamWriter) -> None:
        names = sorted(self.bombs)
        self.send(out, self.bombs[names[sum(path.encode()) % len(names)]])

    async def do_redirects(self, path: str, out: asyncio.StreamWriter) -> None:
        targets = [f"http://www.third.test{path}"] * 4
        targets += [f"http://127.0.0.1:{self.canary}/", f"http://localhost:{self.canary}/", "http://www.third.test:25/"]
        targets += [f"http://{address}/" for address in METADATA] + ["?again", "/" + "x" * 60_000]
        target = targets[sum(path.encode()) % len(targets)]
        head = f"HTTP/1.1 302 Found\r\nConnection: close\r\nContent-Length: 0\r\nLocation: {target}\r\n\r\n"
        out.write(head.encode())
        out.close()


KINDS = (
    "robots_slow", "robots_endless", "robots_cpu", "robots_stars", "robots_gzip", "subdomains", "silent", "tarpit",
    "drip", "endless", "heads", "lies", "bombs", "redirects",
)  # fmt: skip


async def run() -> None:
    """Serve until standard input ends; the ports of the web and of the canary are printed first."""
    webs: list[Web] = []

    async def trespassed(reader: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
        await webs[0].trespassed(reader, out)

    canary = await asyncio.start_server(trespassed, "127.0.0.1", 0)
    webs.append(Web(canary.sockets[0].getsockname()[1]))
    web = await asyncio.start_server(webs[0].connected, "127.0.0.1", 0, limit=MAX_REQUEST, backlog=1024)
    print(web.sockets[0].getsockname()[1], webs[0].canary, flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(run())
