"""The routes: OpenAI's chat completions and models, claims checked, the page, health, readiness, and metrics."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AbstractAsyncContextManager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from humanvlm.serve.chat import GONE, Serving, complete
from humanvlm.serve.engine import AGAIN_S
from humanvlm.serve.faithful import Checker
from humanvlm.serve.front import Front
from humanvlm.serve.keys import LOOPBACK
from humanvlm.serve.metrics import MEDIA_TYPE
from humanvlm.serve.page import page
from humanvlm.serve.refusals import Refused, broken
from humanvlm.serve.remote import Remote

Fetching = Callable[[], AbstractAsyncContextManager[Remote]]


def make_app(serving: Serving, fetching: Fetching | None = None) -> Front:
    """The application. Its engines start with it, and close with it.

    fetching: opens what fetches remote pictures; None: none are. Without keys it answers to names of loopback only.
    """

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        for engine in serving.engines.values():
            engine.start()
        async with contextlib.AsyncExitStack() as stack:
            if fetching is not None:
                serving.remote = await stack.enter_async_context(fetching())
            yield
        for engine in serving.engines.values():
            await asyncio.to_thread(engine.close)
        serving.preparing.shutdown()
        checker.thread.shutdown(cancel_futures=True)

    shown = page(serving.limits)

    async def front(request: Request) -> Response:
        return Response(shown.html, headers=shown.headers)

    async def chat(request: Request) -> Response:
        return await complete(serving, request)

    async def models(request: Request) -> Response:
        serving.admit(request)
        listed = [{"id": name, "object": "model", "created": 0, "owned_by": "humanvlm"} for name in serving.engines]
        return JSONResponse({"object": "list", "data": listed})

    checker = Checker()

    async def faithfulness(request: Request) -> Response:
        try:
            return JSONResponse(await checker.answer(serving, request))
        except ClientDisconnect:
            return Response(status_code=GONE)

    async def health(request: Request) -> Response:
        return PlainTextResponse("alive\n")

    async def ready(request: Request) -> Response:
        missing = [name for name, engine in serving.engines.items() if engine.loaded is None]
        if missing:
            return PlainTextResponse(f"loading {', '.join(missing)}\n", 503, {"Retry-After": str(AGAIN_S)})
        return PlainTextResponse("ready\n")

    async def metrics(request: Request) -> Response:
        serving.keys.check(request.headers.get("authorization", ""))
        return Response(serving.metrics.text(serving.engines), media_type=MEDIA_TYPE)

    routes = [
        Route("/", front),
        Route("/v1/chat/completions", chat, methods=["POST"]),
        Route("/v1/models", models),
        Route("/v1/faithfulness", faithfulness, methods=["POST"]),
        Route("/health", health),
        Route("/ready", ready),
        Route("/metrics", metrics),
    ]
    app = Starlette(
        routes=routes,
        exception_handlers={Refused: _refused, HTTPException: _no_route, Exception: _broken},
        lifespan=lifespan,
    )
    hosts: Collection[str] = () if serving.keys.digests else LOOPBACK
    return Front(app, serving.metrics, {route.path for route in routes}, hosts)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return JSONResponse(error.body, error.status, error.headers)


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    known = error.status_code in (404, 405)
    message = f"no {request.method} {request.url.path[:200]}" if known else error.detail
    refusal = Refused(error.status_code, message, code="unknown_url", more_headers=error.headers or {})
    return await _refused(request, refusal)


async def _broken(request: Request, error: Exception) -> Response:
    return await _refused(request, broken("the request failed here; the server's log says why"))
