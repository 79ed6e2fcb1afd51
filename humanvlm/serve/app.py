"""The routes: OpenAI's chat completions and models, health, readiness, metrics, and the page."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from humanvlm.serve.conversation import Prompt
from humanvlm.serve.engine import AGAIN_S, Engine
from humanvlm.serve.keys import Keys
from humanvlm.serve.limits import Limits
from humanvlm.serve.pictures import picture_of
from humanvlm.serve.refusals import Refused, broken, busy
from humanvlm.serve.replies import DONE, Envelope, event, usage_of
from humanvlm.serve.requests import Asked, read_request
from humanvlm.serve.sampling import Sampling
from humanvlm.serve.writing import End, Event, Failure, Job, Loaded, Piece

log = logging.getLogger("humanvlm")
PREPARING = 2  # threads that decode pictures and split texts into tokens
GONE = 499  # as nginx counts clients that did not wait


@dataclass
class Serving:
    """What the routes share. engines: by the names that clients use."""

    engines: Mapping[str, Engine]
    limits: Limits
    keys: Keys
    preparing: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(PREPARING, "prepare"))

    def model(self, name: str) -> tuple[Engine, Loaded]:
        """Raises Refused: 404 for a model that is not here, 503 for one that is still being loaded."""
        engine = self.engines.get(name)
        if engine is None:
            known = ", ".join(self.engines)
            raise Refused(404, f"no such model {name[:200]!r}; known: {known}", "model", "model_not_found")
        if engine.loaded is None:
            raise busy(f"the model {name!r} is being loaded", AGAIN_S)
        return engine, engine.loaded


def make_app(serving: Serving) -> Starlette:
    """The application. Its engines are started with it, and closed with it."""

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        for engine in serving.engines.values():
            engine.start()
        yield
        for engine in serving.engines.values():
            await asyncio.to_thread(engine.close)
        serving.preparing.shutdown()

    async def chat(request: Request) -> Response:
        return await complete(serving, request)

    async def models(request: Request) -> Response:
        serving.keys.check(request.headers.get("authorization", ""))
        listed = [{"id": name, "object": "model", "created": 0, "owned_by": "humanvlm"} for name in serving.engines]
        return JSONResponse({"object": "list", "data": listed})

    async def health(request: Request) -> Response:
        return PlainTextResponse("alive\n")

    async def ready(request: Request) -> Response:
        missing = [name for name, engine in serving.engines.items() if engine.loaded is None]
        if missing:
            return PlainTextResponse(f"loading {', '.join(missing)}\n", 503, {"Retry-After": str(AGAIN_S)})
        return PlainTextResponse("ready\n")

    return Starlette(
        routes=[
            Route("/v1/chat/completions", chat, methods=["POST"]),
            Route("/v1/models", models),
            Route("/health", health),
            Route("/ready", ready),
        ],
        exception_handlers={Refused: _refused, HTTPException: _no_route, Exception: _broken},
        lifespan=lifespan,
    )


async def complete(serving: Serving, request: Request) -> Response:
    """A reply, whole or in pieces. Raises Refused."""
    serving.keys.check(request.headers.get("authorization", ""))
    try:
        asked = read_request(await _body(request, serving.limits), serving.limits)
    except ClientDisconnect:
        return Response(status_code=GONE)
    engine, loaded = serving.model(asked.model)
    loop = asyncio.get_running_loop()
    prompt = await loop.run_in_executor(serving.preparing, _prepared, asked, loaded, serving.limits)
    events: asyncio.Queue[Event] = asyncio.Queue()

    def tell(one: Event) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(events.put_nowait, one)

    limit = min(asked.max_tokens, loaded.context - prompt.length)
    job = Job(prompt, limit, tell, Sampling(asked.temperature, asked.top_p, asked.seed), asked.stops)
    engine.submit(job)
    envelope = Envelope(asked.model, loaded.fingerprint)
    if asked.stream:
        return _Stream(job, _chunks(envelope, asked, job, events))
    reading = asyncio.ensure_future(_whole(events))
    leaving = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait((reading, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not reading.done():
            return Response(status_code=GONE)
        text, end = await reading
        return JSONResponse(envelope.completion(text, end.finish, usage_of(prompt.length, end.tokens), {}))
    finally:
        job.cancelled = True
        reading.cancel()
        leaving.cancel()


class _Stream(StreamingResponse):
    """Server-sent events. However the client leaves, its slot is free from the next step on."""

    media_type = "text/event-stream"

    def __init__(self, job: Job, content: AsyncIterator[bytes]) -> None:
        super().__init__(content, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self.job = job

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except ClientDisconnect:
            pass
        finally:
            self.job.cancelled = True


async def _body(request: Request, limits: Limits) -> bytes:
    """Raises Refused: 415 for what is not JSON, 413 for too much of it, 408 when it does not come."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Refused(415, "send the request as Content-Type: application/json", code="unsupported_media_type")
    announced = request.headers.get("content-length", "")
    too_large = Refused(413, f"a request has at most {limits.body_bytes} bytes", code="request_too_large")
    if announced.isdigit() and int(announced) > limits.body_bytes:
        raise too_large
    content = bytearray()
    try:
        async with asyncio.timeout(limits.body_s):
            async for part in request.stream():
                content += part
                if len(content) > limits.body_bytes:
                    raise too_large
    except TimeoutError:
        message = f"the body did not arrive within {limits.body_s:g} s"
        raise Refused(408, message, code="timeout", more_headers={"Connection": "close"}) from None
    return bytes(content)


def _prepared(asked: Asked, loaded: Loaded, limits: Limits) -> Prompt:
    """Runs in a thread. Raises Refused."""
    pictures = [picture_of(url, limits) for url in asked.pictures]
    return loaded.reader.read(asked.turns, pictures, loaded.context)


async def _whole(events: asyncio.Queue[Event]) -> tuple[str, End]:
    said: list[str] = []
    while True:
        match await events.get():
            case Piece(text):
                said.append(text)
            case End() as end:
                return "".join(said), end
            case Failure(error):
                raise error


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _chunks(envelope: Envelope, asked: Asked, job: Job, events: asyncio.Queue[Event]) -> AsyncIterator[bytes]:
    none: dict[str, Any] = {"usage": None} if asked.usage else {}
    yield event(envelope.chunk({"role": "assistant", "content": ""}, None, none))
    while True:
        match await events.get():
            case Piece(text):
                yield event(envelope.chunk({"content": text}, None, none))
            case Failure(error):
                yield event(error.body)
                return
            case End(finish, tokens):
                yield event(envelope.chunk({}, finish, none))
                if asked.usage:
                    yield event(envelope.usage_chunk(usage_of(job.prompt.length, tokens), {}))
                yield DONE
                return


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return JSONResponse(error.body, error.status, error.headers)


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = request.url.path[:200]
    message = f"no {request.method} {path}" if error.status_code in (404, 405) else error.detail
    return await _refused(
        request, Refused(error.status_code, message, code="unknown_url", more_headers=error.headers or {})
    )


async def _broken(request: Request, error: Exception) -> Response:
    return await _refused(request, broken("the request failed here; the server's log says why"))
