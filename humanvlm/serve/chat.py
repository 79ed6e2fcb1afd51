"""A chat completion from its body to its last word."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

from PIL import Image
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from humanvlm.inference.grounded import ground
from humanvlm.serve.conversation import Prompt
from humanvlm.serve.engine import AGAIN_S, Engine
from humanvlm.serve.keys import Keys
from humanvlm.serve.limits import Limits
from humanvlm.serve.metrics import Metrics
from humanvlm.serve.pictures import PLACE, data_of, decoded, is_remote
from humanvlm.serve.rates import Rates
from humanvlm.serve.refusals import Refused, busy
from humanvlm.serve.remote import Remote
from humanvlm.serve.replies import DONE, Envelope, event, usage_of
from humanvlm.serve.requests import Asked, read_request
from humanvlm.serve.room import Room, Share
from humanvlm.serve.sampling import Sampling
from humanvlm.serve.writing import End, Event, Failure, Job, Loaded, Piece

PREPARING = 2  # threads that decode pictures and split texts into tokens
GONE = 499  # as nginx counts clients that did not wait


@dataclass
class Serving:
    """What the routes share. engines: by the names that clients use. remote: fetches pictures; None: none are."""

    engines: Mapping[str, Engine]
    limits: Limits
    keys: Keys
    metrics: Metrics = field(default_factory=Metrics)
    remote: Remote | None = None
    preparing: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(PREPARING, "prepare"))

    def __post_init__(self) -> None:
        self.rates, self.room = Rates(self.limits.per_minute), Room(self.limits.bodies_bytes)

    def admit(self, request: Request) -> None:
        """Raises Refused: 401 for whoever has no key, 429 for one who asks too often."""
        key = self.keys.check(request.headers.get("authorization", ""))
        self.rates.count(key or (request.client.host if request.client else ""))

    def model(self, name: str) -> tuple[Engine, Loaded]:
        """Raises Refused: 404 for a model that is not here, 503 for one that is still being loaded."""
        engine = self.engines.get(name)
        if engine is None:
            known = ", ".join(self.engines)
            raise Refused(404, f"no such model {name[:200]!r}; known: {known}", "model", "model_not_found")
        if engine.loaded is None:
            raise busy(f"the model {name!r} is being loaded", AGAIN_S)
        return engine, engine.loaded


@dataclass(frozen=True)
class Ready:
    """A request that has become a prompt. size: width and height of the last picture, pixels; None without one."""

    asked: Asked
    engine: Engine
    loaded: Loaded
    prompt: Prompt
    size: tuple[int, int] | None


async def complete(serving: Serving, request: Request) -> Response:
    """A reply, whole or in pieces. Raises Refused."""
    start = time.monotonic()
    serving.admit(request)
    try:
        with serving.room.share() as share:
            ready = await _ready(serving, request, share)
    except ClientDisconnect:
        return Response(status_code=GONE)
    loop, events = asyncio.get_running_loop(), asyncio.Queue[Event]()

    def tell(one: Event) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(events.put_nowait, one)

    asked, prompt = ready.asked, ready.prompt
    limit = min(asked.max_tokens, ready.loaded.context - prompt.length)
    job = Job(prompt, limit, tell, Sampling(asked.temperature, asked.top_p, asked.seed), asked.stops)
    ready.engine.submit(job)
    told = _timed(serving.metrics, events, start)
    if asked.stream:
        return _Stream(job, _chunks(ready, told))
    reading, leaving = asyncio.ensure_future(_whole(ready, told)), asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait((reading, leaving), return_when=asyncio.FIRST_COMPLETED)
        return JSONResponse(await reading) if reading.done() else Response(status_code=GONE)
    finally:
        job.cancelled = True
        reading.cancel()
        leaving.cancel()


async def _ready(serving: Serving, request: Request, share: Share) -> Ready:
    """What a request asks for, understood, its pictures fetched and decoded. Raises Refused."""
    limits, loop = serving.limits, asyncio.get_running_loop()
    content = await read_body(request, limits, share)
    asked = await loop.run_in_executor(serving.preparing, read_request, content, limits)
    del content
    engine, loaded = serving.model(asked.model)
    files = []
    for url in asked.pictures:
        if not is_remote(url):
            files.append(data_of(url))
            continue
        if serving.remote is None:
            message = f"{PLACE}: remote pictures are not fetched here; send data:image/…;base64,…"
            raise Refused(400, message, PLACE, "invalid_image_url")
        files.append(await serving.remote.get(url))
        share.take(len(files[-1]))

    def prepare() -> tuple[Prompt, tuple[int, int] | None]:
        pictures: list[Image.Image] = [decoded(data, limits) for data in files]
        prompt = loaded.reader.read(asked.turns, pictures, loaded.context)
        return prompt, pictures[-1].size if pictures else None

    prompt, size = await loop.run_in_executor(serving.preparing, prepare)
    return Ready(asked, engine, loaded, prompt, size)


async def read_body(request: Request, limits: Limits, share: Share) -> bytes:
    """Raises Refused: 415 for what is not JSON, 413 for too much of it, 408 when it does not come, 503 while others
    send too much."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Refused(415, "send the request as Content-Type: application/json", code="unsupported_media_type")
    announced = request.headers.get("content-length", "")
    too_large = Refused(413, f"a request has at most {limits.body_bytes} bytes", code="request_too_large")
    if announced.isdigit() and int(announced[:20]) > limits.body_bytes:
        raise too_large
    content = bytearray()
    try:
        async with asyncio.timeout(limits.body_s):
            async for part in request.stream():
                share.take(len(part))
                content += part
                if len(content) > limits.body_bytes:
                    raise too_large
    except TimeoutError:
        message = f"the body did not arrive within {limits.body_s:g} s"
        raise Refused(408, message, code="timeout", more_headers={"Connection": "close"}) from None
    return bytes(content)


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


async def _timed(metrics: Metrics, events: asyncio.Queue[Event], start: float) -> AsyncIterator[Event]:
    """The events of a reply to its end; when the first words and the end come is counted."""
    first = True
    while True:
        one = await events.get()
        if isinstance(one, Piece) and first:
            metrics.first.add(time.monotonic() - start)
            first = False
        if isinstance(one, End):
            metrics.seconds.add(time.monotonic() - start)
        yield one
        if not isinstance(one, Piece):
            return


async def _whole(ready: Ready, events: AsyncIterator[Event]) -> dict[str, Any]:
    said: list[str] = []
    async for one in events:
        match one:
            case Piece(text):
                said.append(text)
            case Failure(error):
                raise error
            case End(finish, tokens):
                text = "".join(said)
                usage = usage_of(ready.prompt.length, tokens)
                return _envelope(ready).completion(text, finish, usage, _more(ready, text))
    raise AssertionError("a reply without an end")


async def _chunks(ready: Ready, events: AsyncIterator[Event]) -> AsyncIterator[bytes]:
    envelope, usage = _envelope(ready), ready.asked.usage
    none: dict[str, Any] = {"usage": None} if usage else {}
    said: list[str] = []
    yield event(envelope.chunk({"role": "assistant", "content": ""}, None, none))
    async for one in events:
        match one:
            case Piece(text):
                said.append(text)
                yield event(envelope.chunk({"content": text}, None, none))
            case Failure(error):
                yield event(error.body)
            case End(finish, tokens):
                more = _more(ready, "".join(said))
                yield event(envelope.chunk({}, finish, none if usage else more))
                if usage:
                    yield event(envelope.usage_chunk(usage_of(ready.prompt.length, tokens), more))
                yield DONE


def _envelope(ready: Ready) -> Envelope:
    return Envelope(ready.asked.model, ready.loaded.fingerprint)


def _more(ready: Ready, text: str) -> dict[str, Any]:
    """What a reply says beside its words: where in the picture it points."""
    grounded = ground(text, ready.size) if ready.size else None
    return {"humanvlm": asdict(grounded)} if grounded else {}


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
