"""HTTP with time limits: uvicorn's own waits for ever for a request's head, and for a client to read its answer."""

import asyncio
from functools import partial
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from humanvlm.serve.limits import Limits

TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class Timed(H11Protocol):
    """A connection. limits.head_s: from its start, or the first byte after an answer, to the end of a head, whatever
    trickles in between. limits.stall_s: that what is written may stay unread."""

    def __init__(self, *args: Any, limits: Limits, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.limits = limits
        self.head: asyncio.TimerHandle | None = None
        self.stall: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            self._await_head()
        else:
            self._forget_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_head()
        self.resume_writing()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self.stall = self.stall or self.loop.call_later(self.limits.stall_s, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.stall is not None:
            self.stall.cancel()
            self.stall = None

    def _await_head(self) -> None:
        self.head = self.head or self.loop.call_later(self.limits.head_s, self._too_slow)

    def _forget_head(self) -> None:
        if self.head is not None:
            self.head.cancel()
            self.head = None

    def _too_slow(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(TOO_SLOW)
            self.transport.close()


def timed(limits: Limits) -> Any:
    """What makes a connection for uvicorn."""
    return partial(Timed, limits=limits)
