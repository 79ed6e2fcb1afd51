"""Looking names up, so that those whose servers never answer do not hold up the others."""

import _thread
import asyncio
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from aiohttp.abc import AbstractResolver, ResolveResult

from humanvlm.scrape.kept import Kept

MAX_LOOKUPS = 256  # at once; one that is not answered ends when the system gives up
# Of them, for the names of one registered domain; and how many in a row are not answered before its names fail at once.
SHARE = 8
FIRST_SHARE = 2  # the same until it has answered
FAILED_S = 60.0  # for which a name that failed twice, or a silent domain, is not looked up again
FOUND_S = 300.0  # for which answers are good
MAX_KEPT_BYTES = 16 << 20
ENTRY_BYTES = 1000  # of a name or domain that is remembered
Name = tuple[str, socket.AddressFamily]


@dataclass
class _Domain:
    """turns: look-ups that may begin. silent: in a row, that were not answered. until: when to ask again."""

    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(FIRST_SHARE))
    answered: bool = False
    silent: int = 0
    until: float = 0.0


@dataclass(frozen=True)
class _Known:
    """What was found of a name. failures: in a row, without answers. until: seconds of the clock."""

    answers: tuple[ResolveResult, ...]
    failures: int
    until: float


def registered_domain(host: str) -> str:
    """Roughly what is registered of a name: its last two labels, or three under a country's ``co.uk`` and the like."""
    labels = host.lower().rstrip(".").split(".")
    short = len(labels) > 2 and len(labels[-1]) == 2 and len(labels[-2]) <= 3
    return ".".join(labels[-3 if short else -2 :])


class SystemResolver(AbstractResolver):
    """Looks names up as the system does, in threads that nobody waits for.

    The loop's own ``getaddrinfo`` is not used: uvloop's has two at a time (half of libuv's threads).
    """

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Addresses of a name. Raises OSError when there are none, ValueError when it is no name."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[list[ResolveResult]] = loop.create_future()

        def finish(found: list[ResolveResult], error: Exception | None) -> None:
            if done.cancelled():
                return
            if error is None:
                done.set_result(found)
            else:
                done.set_exception(error)

        def look_up() -> None:
            found: list[ResolveResult] = []
            failure = None
            try:
                found = _looked_up(host, port, family)
            except Exception as error:
                failure = error
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(finish, found, failure)

        _thread.start_new_thread(look_up, ())  # Thread.start waits, for milliseconds when others compute
        return await done

    async def close(self) -> None:
        pass


def _looked_up(host: str, port: int, family: int) -> list[ResolveResult]:
    found = socket.getaddrinfo(host, port, family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    return [
        ResolveResult(hostname=host, host=str(address[0]), port=port, family=kind, proto=protocol, flags=flags)
        for kind, _, protocol, _, address in found
    ]


class SharedResolver(AbstractResolver):
    """Asks another resolver, of which one registered domain has a share, and remembers what it said or did not say."""

    def __init__(
        self, resolver: AbstractResolver, timeout_s: float = 5.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """timeout_s: of one look-up, once it has begun. clock: seconds that only increase."""
        self._resolver = resolver
        self._timeout_s = timeout_s
        self._clock = clock
        self._lookups = asyncio.Semaphore(MAX_LOOKUPS)
        self._domains: Kept[str, _Domain] = Kept(MAX_KEPT_BYTES)
        self._known: Kept[Name, _Known] = Kept(MAX_KEPT_BYTES)
        self._asking: dict[Name, asyncio.Task[tuple[ResolveResult, ...]]] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Addresses of a name. Raises OSError when there are none, or were none just now; ValueError when it is no
        name."""
        name = host, family
        known = self._known.get(name)
        if known and known.until > self._clock() and (known.answers or known.failures > 1):
            found = known.answers
            if not found:
                raise OSError(f"{host} was not found twice just now")
        else:
            asking = self._asking.get(name)
            if asking is None:
                asking = self._asking[name] = asyncio.create_task(self._ask(name))
                asking.add_done_callback(lambda _: self._asking.pop(name))
            found = await asyncio.shield(asking)
        return [ResolveResult(**{**answer, "port": port}) for answer in found]

    async def _ask(self, name: Name) -> tuple[ResolveResult, ...]:
        host, family = name
        domain = self._domain(registered_domain(host))
        self._check(host, domain)
        async with domain.turns:
            self._check(host, domain)  # which others may have found out meanwhile
            await self._lookups.acquire()
            look_up = asyncio.create_task(self._resolver.resolve(host, 0, family))
            look_up.add_done_callback(self._ended)
            done, _ = await asyncio.wait([look_up], timeout=self._timeout_s)
        if not done:
            self._failed(name)
            domain.silent += 1
            domain.until = self._clock() + FAILED_S
            raise OSError(f"{host} was not looked up within {self._timeout_s:g} s")
        try:
            found = tuple(look_up.result())
        except OSError:
            self._failed(name)
            self._answered(domain)
            raise
        self._known.put(name, _Known(found, 0, self._clock() + FOUND_S), ENTRY_BYTES + len(host))
        self._answered(domain)
        return found

    def _domain(self, name: str) -> _Domain:
        domain = self._domains.get(name)
        if domain is None:
            domain = _Domain()
            self._domains.put(name, domain, ENTRY_BYTES + len(name))
        return domain

    def _check(self, host: str, domain: _Domain) -> None:
        if domain.silent >= (SHARE if domain.answered else FIRST_SHARE) and domain.until > self._clock():
            raise OSError(f"the name servers of {registered_domain(host)} do not answer")

    def _failed(self, name: Name) -> None:
        known = self._known.get(name)
        failures = known.failures + 1 if known else 1
        self._known.put(name, _Known((), failures, self._clock() + FAILED_S), ENTRY_BYTES + len(name[0]))

    def _answered(self, domain: _Domain) -> None:
        domain.silent = 0
        if not domain.answered:
            domain.answered = True
            for _ in range(SHARE - FIRST_SHARE):
                domain.turns.release()

    def _ended(self, look_up: "asyncio.Task[list[ResolveResult]]") -> None:
        """It counts until the other resolver is done with it, whoever still waits."""
        self._lookups.release()
        if not look_up.cancelled():
            look_up.exception()  # which nobody may ask for any more

    async def close(self) -> None:
        for task in list(self._asking.values()):
            task.cancel()
        await self._resolver.close()
