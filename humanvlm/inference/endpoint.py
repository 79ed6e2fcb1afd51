"""A model behind an OpenAI-compatible server: chat completions over HTTP, pictures as base64 data URLs.

Requests are sent ``concurrency`` at a time. A failure that may pass (429, 5xx, a time-out, a lost connection, a reply
that is not what was agreed) is tried again after an exponential back-off with full jitter (Brooker, AWS Architecture
Blog, 2015) or, where the server says so, after its Retry-After. What fails in the end is an error of that request.
What a model does not answer (it refuses, a filter stops it, it only thinks) is a reply, as it is what the model does.
"""

import asyncio
import random
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from humanvlm.config.endpoint import Endpoint
from humanvlm.data.http import retry_after_s
from humanvlm.errors import UserError
from humanvlm.inference.base import CORRUPT, Reply, Request
from humanvlm.inference.cache import digest, store_folder
from humanvlm.inference.chat import ENDED_EARLY, JPEG_QUALITY, data_url, parse_reply, request_body
from humanvlm.inference.failures import MALFORMED, AttemptError, http_failure, malformed, message_in
from humanvlm.inference.keys import key_of, withheld
from humanvlm.inference.pace import Pace
from humanvlm.inference.tokens import most_tokens
from humanvlm.shown import masked_values, shown

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession

MAX_BODY = 8 << 20  # bytes of one answer
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 30.0
NO_SCHEMA = ("http_400", "http_422", "http_501")  # what servers say to a schema that they do not take
UNHURRIED = Pace(Path())
SAID_CHARACTERS = 160  # of what a server said


@dataclass(frozen=True)
class Server:
    """A model that is asked over HTTP. key: sent as a bearer token, kept nowhere. section: of the parameters that name
    it. known: whether it takes JSON schemas, under ``schema``, once that is known."""

    config: Endpoint
    key: str = field(default="", repr=False)
    section: str = "benchmark_scores"
    pace: Pace = UNHURRIED
    known: dict[str, bool] = field(default_factory=dict, compare=False, repr=False)

    @property
    def identity(self) -> Mapping[str, Any]:
        """Where and what is asked, and how a request is worded; not how often or how patiently."""
        config = self.config
        return {
            "kind": "endpoint",
            "url": config.url.rstrip("/"),
            "request": masked_values(request_body(config, "PROMPT", "PICTURE", 0)),
            "image_size": config.image_size,
            "jpeg_quality": JPEG_QUALITY,
        }

    def answer(self, requests: Iterable[Request]) -> Iterator[Sequence[Reply]]:
        """Replies as they come. Raises UserError when the server refuses key, address or model.

        Requests go one at a time as long as none fares better than to be refused for good.
        """
        waiting, pending, at_once = iter(requests), set[asyncio.Task[Reply]](), 1
        with asyncio.Runner() as runner:
            session = runner.run(self._session())
            try:
                while True:
                    while len(pending) < at_once and (request := next(waiting, None)):
                        pending.add(runner.get_loop().create_task(self._ask(session, request)))
                    if not pending:
                        return
                    done, pending = runner.run(asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED))
                    errors = [error for task in done if (error := task.exception())]
                    replies = [task.result() for task in done if not task.exception()]
                    if not all(reply.permanent or reply.error == CORRUPT for reply in replies):
                        at_once = self.config.concurrency
                    yield replies
                    if errors:
                        raise errors[0]
            finally:
                for task in pending:
                    task.cancel()
                runner.run(session.close())

    async def _session(self) -> "ClientSession":
        import aiohttp

        return aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {self.key}"} if self.key else {},
            connector=aiohttp.TCPConnector(limit=self.config.concurrency),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def _ask(self, session: "ClientSession", request: Request) -> Reply:
        """The reply to one request, after as many attempts as it takes and may."""
        deadline = time.monotonic() + self.config.timeout_s
        try:
            picture = await asyncio.to_thread(data_url, request, self.config.image_size)
        except ValueError as error:
            return Reply(request.key, error=CORRUPT, detail=str(error))
        failure, empty = AttemptError("timeout", "no time for an attempt"), False
        for attempt in range(self.config.retries + 1):
            wait = self.pace.turn(most_tokens(request, self.config.image_size))
            await asyncio.sleep(wait)
            deadline += wait
            start = time.monotonic()
            try:
                reply = await self._worded(session, request, picture, deadline - start)
            except AttemptError as found:
                failure = found
            else:
                # A model may have nothing to say: believed when it does so twice, or says why.
                if reply.raw or reply.refusal or empty or reply.finish in ENDED_EARLY:
                    return reply
                failure, empty = AttemptError("empty_reply", f"finish_reason {reply.finish}"), True
            wait = failure.retry_after + random.uniform(0, min(LONGEST_WAIT_S, FIRST_WAIT_S * 2**attempt))
            if not failure.passing or attempt == self.config.retries or time.monotonic() + wait >= deadline:
                break
            await asyncio.sleep(wait)
        lasting = not failure.passing or failure.reason == MALFORMED
        return Reply(request.key, error=failure.reason, detail=self._told(failure), permanent=lasting)

    async def _worded(self, session: "ClientSession", request: Request, picture: str, time_left: float) -> Reply:
        """One attempt, with the request's schema unless the server takes none. One that refuses the first request with
        a schema, and answers the same one without, takes none. Raises as ``_attempt``."""
        schema = request.schema if self.known.get("schema", True) else None
        start = time.monotonic()

        async def attempt(schema: Mapping[str, Any] | None) -> Reply:
            body = request_body(self.config, request.prompt, picture, request.max_new_tokens, schema)
            return await self._attempt(session, request.key, body, time_left - (time.monotonic() - start))

        try:
            reply = await attempt(schema)
        except AttemptError as failure:
            if not schema or "schema" in self.known or failure.reason not in NO_SCHEMA:
                raise
            try:
                reply = await attempt(None)
            except AttemptError:
                raise failure from None
            self.known["schema"] = False
        else:
            if schema:
                self.known["schema"] = True
        return reply

    async def _attempt(self, session: "ClientSession", key: str, body: Mapping[str, Any], time_left: float) -> Reply:
        """One attempt. Raises AttemptError when there is no reply, and UserError when no request will get one."""
        import aiohttp

        start = time.monotonic()
        limit = aiohttp.ClientTimeout(total=max(0.01, min(self.config.attempt_timeout_s, time_left)))
        url = f"{self.config.url.rstrip('/')}/chat/completions"
        try:
            # Not followed: a redirect would carry the key to another host.
            async with session.post(url, json=body, timeout=limit, allow_redirects=False) as response:
                content = await _read(response, self.section)
        except TimeoutError:
            raise AttemptError("timeout", f"no answer within {limit.total:.3g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise AttemptError("connection", f"{type(error).__name__}: {error}") from None
        if response.status != 200:
            wait = retry_after_s(response.headers.get("Retry-After")) or 0.0
            said = content.decode(errors="replace")
            failure = http_failure(response.status, said, self.config.key_variable, self.section, wait)
        else:
            try:
                seconds = round(time.monotonic() - start, 4)
                return parse_reply(key, content, seconds, self.section, self.config.key_variable)
            except AttemptError as found:
                failure = found
        if failure.hopeless:
            raise UserError(f"{url}: {failure.reason.replace('http_', 'HTTP ')}: {self._told(failure)}")
        raise failure

    def _told(self, failure: AttemptError) -> str:
        """What a server said, and the remedy."""
        said = self._clean(message_in(failure.detail))
        if failure.reason in ("http_401", "http_403") and withheld(self.config):
            return f"{said}; name the environment variable of its key as {self.section}.endpoint.key_variable"
        return f"{said}; {failure.remedy}" if failure.remedy else said

    def _clean(self, text: str) -> str:
        """What a server said as one short line, without the key, which some repeat."""
        return shown(" ".join((text.replace(self.key, "…") if self.key else text).split()))[:SAID_CHARACTERS]


def open_endpoint(config: Endpoint, section: str) -> Server:
    """The server that the ``endpoint`` of a section names. Raises UserError naming the key of what is missing or
    wrong."""
    address = urlsplit(config.url)
    if address.scheme not in ("http", "https") or not address.hostname or address.query or address.fragment:
        raise UserError(f"{section}.endpoint.url: {config.url!r} is no http(s)://HOST[:PORT]/v1")
    if address.username or address.password:
        raise UserError(f"{section}.endpoint.url: holds credentials; put them in the variable of key_variable")
    if not config.model:
        raise UserError(f"{section}.endpoint.model: missing; give the server's name of the model")
    key = key_of(config, f"{section}.endpoint.url")
    name = digest([config.url, config.model, key])[:24]
    pace = Pace(store_folder() / f"{name}.pace", config.requests_per_minute, config.tokens_per_minute)
    return Server(config, key, section, pace)


async def _read(response: "ClientResponse", section: str) -> bytes:
    """The body. Raises AttemptError when it is longer than any reply."""
    content = bytearray()
    async for chunk in response.content.iter_chunked(1 << 16):
        content += chunk
        if len(content) > MAX_BODY:
            raise malformed(f"more than {MAX_BODY} bytes", section)
    return bytes(content)
