"""A web server on loopback that misbehaves in every way a crawler meets, and remembers what it was asked for."""

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator

from aiohttp import web

HOST = "faults.test"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Faults:
    """hits: requests by path. port: where it listens on 127.0.0.1."""

    def __init__(self, picture: bytes) -> None:
        self.hits: Counter[str] = Counter()
        self.agents: set[str] = set()
        self.picture = picture
        self.port = 0
        self.most_at_once = 0
        self._at_once = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.hits[request.path] += 1
        self.agents.add(request.headers.get("User-Agent", ""))
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            return await getattr(self, f"get_{request.path.split('/')[1]}")(request)
        finally:
            self._at_once -= 1

    async def get_ok(self, request: web.Request) -> web.Response:
        headers = {"ETag": '"x"', "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}
        return web.Response(body=self.picture, content_type="image/jpeg", headers=headers)

    async def get_slowly(self, request: web.Request) -> web.Response:
        await asyncio.sleep(0.05)
        return await self.get_ok(request)

    async def get_status(self, request: web.Request) -> web.Response:
        return web.Response(status=int(request.path.split("/")[2]))

    async def get_flaky(self, request: web.Request) -> web.Response:
        return web.Response(status=503) if self.hits[request.path] == 1 else await self.get_ok(request)

    async def get_to(self, request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": request.query["url"]})

    async def get_loop(self, request: web.Request) -> web.Response:
        return web.Response(status=301, headers={"Location": "/loop"})

    async def get_drip(self, request: web.Request) -> web.StreamResponse:
        return await self._stream(request, b"x", 0.05)

    async def get_endless(self, request: web.Request) -> web.StreamResponse:
        return await self._stream(request, b"x" * 65536, 0)

    async def _stream(self, request: web.Request, chunk: bytes, pause: float) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "image/jpeg"})
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while True:
                await response.write(chunk)
                await asyncio.sleep(pause)
        return response

    async def get_announced(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(10**12)})
        await response.prepare(request)
        return response

    async def get_short(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100000"})
        await response.prepare(request)
        await response.write(self.picture[:100])
        if request.transport:
            request.transport.close()
        return response

    async def get_noai(self, request: web.Request) -> web.Response:
        return web.Response(body=self.picture, headers={"X-Robots-Tag": request.query["tag"]})

    async def get_garbage(self, request: web.Request) -> web.Response:
        if request.transport:
            request.transport.write(b"this is not HTTP\r\n\r\n")  # type: ignore[attr-defined]
            request.transport.close()
        return web.Response()


@contextlib.contextmanager
def serve_faults(picture: bytes) -> Iterator[Faults]:
    faults = Faults(picture)
    loop = asyncio.new_event_loop()

    async def start() -> web.AppRunner:
        app = web.Application()
        app.router.add_route("GET", "/{path:.*}", faults.handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        faults.port = runner.addresses[0][1]
        return runner

    runner = loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield faults
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
