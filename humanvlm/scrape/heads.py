"""Heads of answers as servers send them: what the strict reading refuses is mended, and read again.

aiohttp reads heads with llhttp, which refuses some that browsers and curl read: two lengths, a space before a colon, a
transfer encoding of another name. A head is therefore kept until it is whole, at most ``MAX_HEAD`` octets, and when it
is refused, its ``mended`` form is read in its place. What a head says about a body's length is not believed either
where more is known: an answer that ends with its connection is read until then.
"""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

from aiohttp import ClientPayloadError, TCPConnector
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import HttpResponseParser
from aiohttp.http_exceptions import BadHttpMessage, HttpProcessingError

MAX_LINE = 1 << 16  # octets
MAX_FIELDS = 1000
MAX_HEAD = 1 << 20  # octets of all fields together
NOT_PARSERS = ("read_timeout", "timeout_ceil_threshold")  # parameters of aiohttp's protocol alone
MAX_INTERIM = 20  # answers (103 and the like) before the one that counts

_START = re.compile(rb"(?:HTTP/|ICY )|(?:H|HT|HTT|HTTP|I|IC|ICY)?\Z", re.IGNORECASE)  # or the start of one
_END = re.compile(rb"\n\r?\n")
_STATUS = re.compile(rb"(?:HTTP/ *([0-9.]*)|ICY) +([1-5][0-9]{2})(?: +(.*))?", re.IGNORECASE | re.DOTALL)
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROLS = bytes(range(9)) + bytes(range(10, 32)) + b"\x7f"
_PRINTABLE = bytes.maketrans(_CONTROLS, b" " * len(_CONTROLS))
Found = tuple[Any, bool, bytes]  # messages with their payloads, whether the protocol changes, octets after that


class Connector(TCPConnector):
    """Connects as aiohttp does, and reads what comes leniently. mended: heads that needed it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.mended = 0
        make: Any = partial(Protocol, self._loop, self)
        self._factory = make  # aiohttp has no public place for it


class Protocol(ResponseHandler):
    """One connection: reads each answer with a parser of its own."""

    def __init__(self, loop: Any, connector: Connector) -> None:
        super().__init__(loop)
        self._connector = connector

    def set_response_params(self, **options: Any) -> None:
        early, self._tail = self._tail, b""
        super().set_response_params(**options)
        parser: Any = _Parser(self._parser, partial(self._strict, **options), self)
        self._parser = parser
        self._tail = early
        self._drain_tail()

    def _strict(self, *, skip_payload: bool = False, read_bufsize: int = 1 << 16, **options: Any) -> Any:
        """A parser as ``set_response_params`` makes it."""
        options = {name: value for name, value in options.items() if name not in NOT_PARSERS}
        options |= {"payload_exception": ClientPayloadError, "response_with_body": not skip_payload}
        return HttpResponseParser(self, self._loop, read_bufsize, **options)

    def mended(self) -> None:
        """A head was not as it should be: no other answer is read from this connection."""
        self._connector.mended += 1
        self.force_close()

    def hang_up(self) -> None:
        """What comes after this answer is nobody's, even if the connection is idle again already."""
        self.force_close()
        if self.transport is not None:
            self.transport.close()


class _Parser:
    """Reads one answer, as aiohttp's parser does, of which it takes another for each reading of a head."""

    def __init__(self, strict: Any, make: Callable[[], Any], protocol: Protocol) -> None:
        self._strict = strict
        self._make = make
        self._protocol = protocol
        self._head = bytearray()
        self._payload: Any = None  # None: the head is not whole
        self._interim = 0

    def feed_data(self, data: bytes) -> Found:
        """Raises HttpProcessingError."""
        if self._payload is not None:
            return self._feed_body(data)
        if not self._head and _END.search(data):
            if found := self._feed_plainly(data):
                return found
            self._strict = self._make()
        searched = max(0, len(self._head) - 2)
        self._head += data if self._head else data.lstrip()  # servers send empty lines before a head
        messages: list[Any] = []
        while end := _END.search(self._head, searched):
            head, rest = bytes(self._head[: end.end()]), bytes(self._head[end.end() :])
            message, payload = self._read_head(head)
            messages.append((message, payload))
            if message.code == 101:
                return messages, True, rest
            if message.code >= 200:
                self._head.clear()
                self._payload = payload
                if rest:
                    self._feed_body(rest, first=True)
                break
            self._interim += 1
            if self._interim > MAX_INTERIM:
                raise BadHttpMessage(f"more than {MAX_INTERIM} interim answers")
            self._head = bytearray(rest.lstrip())
            searched = 0
        else:
            self._check_start()
        return messages, False, b""

    def _feed_plainly(self, data: bytes) -> Found | None:
        """The usual answer, whose head is whole and right, with no copy made of what follows; None: not that."""
        try:
            found: Found = self._strict.feed_data(data)
        except HttpProcessingError:
            return None
        messages = found[0]
        if len(messages) != 1 or messages[0][0].code < 200 or _is_sized_by_both(messages[0][0]):
            return None
        self._payload = messages[0][1]
        return found

    def _check_start(self) -> None:
        start = bytes(self._head[:5])
        if not _START.match(start):
            raise BadHttpMessage(f"starts with {start!r}, which is not HTTP")
        if len(self._head) > MAX_HEAD:
            raise BadHttpMessage(f"a head of more than {MAX_HEAD} octets")

    def _read_head(self, head: bytes) -> tuple[Any, Any]:
        """The message of a head and the payload that its body will be."""
        try:
            found = self._strict.feed_data(head)[0]
        except HttpProcessingError:
            better = mended(head)
            if better is None:
                raise
            head = better
            found = self._again(head)
            self._protocol.mended()
        message, payload = found[-1]
        if message.code >= 200 and _is_sized_by_both(message):
            unsized = mended(head, sized=False)
            payload = self._again(unsized)[-1][1] if unsized else payload  # ends where the connection does
        return message, payload

    def _again(self, head: bytes) -> Any:
        self._strict = self._make()
        return self._strict.feed_data(head)[0]

    def _feed_body(self, data: bytes, *, first: bool = False) -> Found:
        """first: the answer has not been given to anybody yet. Raises HttpProcessingError about what comes unasked."""
        was_whole = self._payload.is_eof() and not first
        try:
            unasked = bool(self._strict.feed_data(data)[0])
        except HttpProcessingError as error:
            if was_whole:
                raise
            if not self._payload.is_eof():  # aiohttp would leave its reader waiting
                self._payload.set_exception(ClientPayloadError(str(error)), error)
            unasked = True
        if unasked:
            self._protocol.hang_up()
        return [], False, b""

    def feed_eof(self) -> Any:
        """Raises what aiohttp's parser does about a body that ends early."""
        return None if self._payload is None else self._strict.feed_eof()

    def pause_reading(self) -> None:
        self._strict.pause_reading()

    def message_consumed(self) -> None:
        self._strict.message_consumed()


def _is_sized_by_both(message: Any) -> bool:
    """Whether a body has a length, and ends with the connection too."""
    return bool(message.should_close and not message.chunked and "Content-Length" in message.headers)


def mended(head: bytes, *, sized: bool = True) -> bytes | None:
    """The head of an answer as it should be (RFC 9112), or None when it starts as none or has too many lines.

    One length is left of several equal ones, and none of those that differ or are no numbers; of the transfer
    encodings only ``chunked``, which overrides a length; lines that are no fields are left out, folded ones are joined,
    and control characters become spaces. sized: False leaves the length out.
    """
    first, *lines = re.split(rb"\r?\n", head.strip())
    status = _STATUS.fullmatch(first)
    if status is None or len(lines) > MAX_FIELDS:
        return None
    fields: list[tuple[bytes, list[bytes]]] = []
    for line in lines:
        name, colon, value = line.partition(b":")
        name = name.strip()
        if line[:1] in (b" ", b"\t") and fields:
            fields[-1][1].append(line)
        elif colon and _TOKEN.fullmatch(name):
            fields.append((name, [value]))
    named = [(name, b" ".join(parts).translate(_PRINTABLE).strip()) for name, parts in fields]
    kept = [(name, value) for name, value in named if name.lower() not in (b"content-length", b"transfer-encoding")]
    if b"chunked" in _listed(named, b"transfer-encoding"):
        kept.append((b"Transfer-Encoding", b"chunked"))
    elif sized and len(lengths := _listed(named, b"content-length")) == 1:
        length = lengths.pop()
        if length.isdigit() and len(length) < 19:
            kept.append((b"Content-Length", length))
    version = b"1.0" if (status[1] or b"1.0")[:3] in (b"0.9", b"1.0") else b"1.1"
    reason = (status[3] or b"").translate(_PRINTABLE)
    start = b"HTTP/%s %s %s" % (version, status[2], reason)
    return b"\r\n".join([start, *(b"%s: %s" % field for field in kept), b"", b""])


def _listed(fields: list[tuple[bytes, bytes]], wanted: bytes) -> set[bytes]:
    """The different values of a field whose values are separated by commas, in lower case."""
    return {part.strip().lower() for name, value in fields if name.lower() == wanted for part in value.split(b",")}
