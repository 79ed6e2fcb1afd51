"""Whom a conversation in the terminal is with: a model on this machine, or one behind a server."""

import http.client
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

from humanvlm.config.endpoint import Endpoint
from humanvlm.errors import UserError
from humanvlm.inference.failures import message_in
from humanvlm.inference.keys import OPENAI_VARIABLE, key_of, withheld
from humanvlm.serve.conversation import Turn
from humanvlm.serve.limits import Limits
from humanvlm.serve.models import find, loader
from humanvlm.serve.refusals import Refused
from humanvlm.serve.writing import LENGTH, STOP, Counts, End, Event, Failure, Job, Loaded, Piece, Writing

PLACE = "--endpoint"
WAIT_S = 300.0  # seconds in which a server must say something
MOST_LINE = 1 << 20  # bytes of one event of a stream
MOST_ANSWER = 8 << 20  # bytes of an answer that is no stream
SAID = 300  # characters of what a server said


@dataclass(frozen=True)
class Picture:
    """data_url: as it is sent. size: width and height, upright, pixels. decoded: upright, RGB."""

    data_url: str = field(repr=False)
    size: tuple[int, int]
    decoded: Any = field(repr=False)


class Speaker(Protocol):
    """Someone who answers."""

    def say(self, turns: Sequence[Turn], picture: Picture, max_tokens: int) -> Iterator[Piece | End]:
        """The answer to a conversation whose first turn shows the picture, as it is made. Raises UserError."""


@dataclass(frozen=True)
class Here:
    """A model on this machine."""

    loaded: Loaded

    def say(self, turns: Sequence[Turn], picture: Picture, max_tokens: int) -> Iterator[Piece | End]:
        told: list[Event] = []
        try:
            prompt = self.loaded.reader.read(turns, [picture.decoded], self.loaded.context)
        except Refused as refused:
            raise UserError(f"{refused.message}; begin anew with /new, or ask less") from None
        writing = Writing(self.loaded, 1, Counts())
        writing.join(Job(prompt, min(max_tokens, self.loaded.context - prompt.length), told.append))
        while True:
            for one in told:
                if isinstance(one, Failure):
                    raise UserError(f"{one.error.message}; close what else takes memory")
                yield one
                if isinstance(one, End):
                    return
            told.clear()
            writing.step()


def open_here(reference: str) -> Here:
    """A checkpoint, as ``humanvlm.serve.models.find`` knows it. Raises UserError when there is none to be loaded."""
    return Here(loader(find(reference), Limits())())


@dataclass(frozen=True)
class There:
    """A model behind an OpenAI-compatible server, asked without a driver of its own: answers come as events."""

    url: str
    model: str
    key: str = field(default="", repr=False)
    remedy: str = ""

    def say(self, turns: Sequence[Turn], picture: Picture, max_tokens: int) -> Iterator[Piece | End]:
        shown = {"type": "image_url", "image_url": {"url": picture.data_url}}
        messages = [
            {"role": turn.role, "content": [shown, {"type": "text", "text": turn.text}] if turn.pictures else turn.text}
            for turn in turns
        ]
        body = {"model": self.model, "messages": messages, "max_tokens": max_tokens, "temperature": 0, "stream": True}
        finish, count = "", 0
        with self._answer("POST", "/chat/completions", body) as response:
            for event in self._events(response):
                if event.get("error"):
                    raise UserError(f"{self.url}: {self._said(json.dumps(event))}; ask again")
                for choice in event.get("choices") or ():
                    if text := (choice.get("delta") or {}).get("content"):
                        count += 1
                        yield Piece(str(text))
                    finish = choice.get("finish_reason") or finish
        if not finish:
            raise UserError(f"{self.url}: the connection broke off before the answer ended; ask again")
        yield End(LENGTH if finish == LENGTH else STOP, count)

    def models(self) -> list[str]:
        """The server's names of its models. Raises UserError when it does not tell."""
        with self._answer("GET", "/models", None) as response:
            try:
                return [str(one["id"]) for one in json.loads(response.read(MOST_ANSWER))["data"]]
            except (ValueError, LookupError, TypeError, RecursionError):
                raise UserError(f"{PLACE} {self.url}: it lists no models; name one with --model") from None

    def _answer(self, method: str, path: str, body: Any) -> http.client.HTTPResponse:
        """Raises UserError for anything but an answer of status 200. Redirects are none: they would take the key."""
        address = urlsplit(self.url)
        kind = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
        headers = {"Content-Type": "application/json", "Connection": "close"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        connection = kind(address.hostname or "", address.port, timeout=WAIT_S)
        try:
            connection.request(
                method, f"{address.path.rstrip('/')}{path}", None if body is None else json.dumps(body), headers
            )
            response = connection.getresponse()
            if response.status == 200:
                return response
            said = self._said(response.read(MOST_ANSWER).decode(errors="replace"))
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise UserError(f"{PLACE} {self.url}: {reason}; see whether the server runs there") from None
        if response.status in (401, 403):  # its words may quote a header, and what follows one is not shown
            raise UserError(f"{PLACE} {self.url}: HTTP {response.status}: {self.remedy}; it says: {said}")
        again = response.headers.get("Retry-After")
        remedy = f"ask again after {again} s" if again else f"check {PLACE} and --model"
        raise UserError(f"{PLACE} {self.url}: HTTP {response.status}: {said}; {remedy}")

    def _events(self, response: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
        """Until the server says that it is done, or ends. Raises UserError for what is no stream."""
        try:
            while line := response.readline(MOST_LINE):
                kind, _, data = line.decode(errors="replace").partition(":")
                if kind != "data":
                    continue
                if data.strip() == "[DONE]":
                    return
                event = json.loads(data)
                if isinstance(event, dict):
                    yield event
        except (ValueError, RecursionError):
            raise UserError(f"{PLACE} {self.url}: an event that is no JSON; is it OpenAI-compatible?") from None
        except (OSError, http.client.HTTPException) as error:
            raise UserError(f"{PLACE} {self.url}: {str(error) or type(error).__name__}; ask again") from None

    def _said(self, text: str) -> str:
        said = " ".join(message_in(text).split()) or "no words"
        return (said.replace(self.key, "…") if self.key else said)[:SAID]


def open_there(url: str, model: str | None, key_variable: str = OPENAI_VARIABLE) -> There:
    """A server's model; None: its first one. Raises UserError naming what is wrong."""
    address = urlsplit(url)
    if address.scheme not in ("http", "https") or not address.hostname or address.query or address.username:
        raise UserError(f"{PLACE} {url!r}: no http(s)://HOST[:PORT]/v1")
    config = Endpoint(url=url, key_variable=key_variable)
    key = key_of(config, PLACE)
    remedy = (
        "name the environment variable of its key with --key-variable"
        if withheld(config)
        else f"set the environment variable {key_variable} to a valid key"
    )
    server = There(url.rstrip("/"), model or "", key, remedy)
    if model:
        return server
    names = server.models()
    if not names:
        raise UserError(f"{PLACE} {url}: it has no models")
    return There(server.url, names[0], key, remedy)
