"""Whose turn it is to ask a host: so many requests at a time, starts some time apart, pauses, and hosts given up."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager

from humanvlm.config.raw_scrape import RawScrape
from humanvlm.scrape.held import Bodies
from humanvlm.scrape.reasons import RefusedError

FIRST_AT_ONCE = 2  # requests to a host that has not answered yet
MAX_SITE_FILES = 2  # requests at once to a host for files that other hosts say are there
MAX_LIMITERS = 20_000


class HostLimiter:
    """The turn-taking of one host. at_once: requests, once it has answered. most_timeouts: in a row, after which it is
    given up; 0: never."""

    def __init__(self, at_once: int, most_timeouts: int = 0) -> None:
        first = min(at_once, FIRST_AT_ONCE)
        self.site_files = asyncio.Semaphore(MAX_SITE_FILES)
        self._turns = asyncio.Semaphore(first)
        self._further = at_once - first
        self._most_timeouts = most_timeouts
        self._timeouts = 0
        self._users = 0
        self._free_at = 0.0

    async def acquire(self, interval_s: float) -> None:
        """Wait for a turn, to be held until ``release``. interval_s: least time between the starts of two requests.

        Raises RefusedError (host_unresponsive).
        """
        self._users += 1
        try:
            await self._turns.acquire()
        except BaseException:
            self._users -= 1
            raise
        try:
            await self.start(interval_s)
        except BaseException:
            self.release()
            raise

    async def start(self, interval_s: float) -> None:
        """Wait until a request may begin, by those who have a turn. Raises RefusedError (host_unresponsive)."""
        while True:
            if self._most_timeouts and self._timeouts >= self._most_timeouts:
                raise RefusedError("host_unresponsive", f"{self._timeouts} requests in a row were not answered in time")
            if (wait := self._free_at - time.monotonic()) <= 0:
                break
            await asyncio.sleep(wait)
        if interval_s:
            self._free_at = time.monotonic() + interval_s

    def release(self) -> None:
        self._users -= 1
        self._turns.release()

    def pause(self, seconds: float) -> None:
        self._free_at = max(self._free_at, time.monotonic() + seconds)

    def answered(self) -> None:
        self._timeouts = 0
        for _ in range(self._further):
            self._turns.release()
        self._further = 0

    def timed_out(self) -> None:
        self._timeouts += 1

    @property
    def idle(self) -> bool:
        return not self._users and self._free_at <= time.monotonic()


class Hosts:
    """The hosts that one event loop asks. slots: of requests to all of them. bodies: that are in memory. waiting: rows
    that have no turn, and may not get one soon. answers: of all hosts so far."""

    def __init__(self, config: RawScrape) -> None:
        self._config = config
        self._limiters: dict[str, HostLimiter] = {}
        self.slots = asyncio.Semaphore(config.concurrency)
        self.bodies = Bodies(config.max_bytes_in_flight)
        self.waiting = 0
        self.answers = 0

    def limiter(self, host: str) -> HostLimiter:
        limiter = self._limiters.get(host)
        if limiter is None:
            if len(self._limiters) >= MAX_LIMITERS:
                self._limiters = {name: limiter for name, limiter in self._limiters.items() if not limiter.idle}
            limiter = self._limiters[host] = HostLimiter(self._config.per_host, self._config.max_host_timeouts)
        return limiter


class Turn:
    """What one row may do now: it has the turn of one host and a slot of the crawl, or neither; and its body."""

    def __init__(self, hosts: Hosts) -> None:
        self._hosts = hosts
        self._limiter: HostLimiter | None = None
        self._has_slot = False
        self._answers = 0

    async def take(self, host: str, interval_s: float) -> None:
        """Wait until a request to the host may begin. interval_s: least time between the starts of two of them.

        Raises RefusedError (host_unresponsive).
        """
        limiter = self._hosts.limiter(host)
        if limiter is self._limiter:
            if interval_s:
                self._leave_slot()
            await limiter.start(interval_s)
        else:
            self.leave()
            await limiter.acquire(interval_s)
            self._limiter = limiter
        if not self._has_slot:
            await self._hosts.slots.acquire()
            self._has_slot = True
        self._answers = self._hosts.answers

    async def hold(self, size: int, waiting: Callable[[], AbstractAsyncContextManager[None]]) -> None:
        """Wait until the row may have read ``size`` octets. waiting: as ``Bodies.hold`` has it."""
        await self._hosts.bodies.hold(self, size, waiting)

    def leave(self) -> None:
        """Give up whatever it has."""
        self._hosts.bodies.release(self)
        self._leave_slot()
        if self._limiter:
            self._limiter.release()
            self._limiter = None

    def _leave_slot(self) -> None:
        if self._has_slot:
            self._has_slot = False
            self._hosts.slots.release()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """While the block runs, the row is one of those that wait for others."""
        self._hosts.waiting += 1
        try:
            yield
        finally:
            self._hosts.waiting -= 1

    def pause(self, seconds: float) -> None:
        """The host asked to be left alone."""
        if self._limiter:
            self._limiter.pause(seconds)

    def answered(self) -> None:
        """The host said something."""
        self._hosts.answers += 1
        if self._limiter:
            self._limiter.answered()

    def timed_out(self) -> None:
        """It did not in time, which says something about the host only where others answered meanwhile."""
        if self._limiter and self._hosts.answers != self._answers:
            self._limiter.timed_out()
