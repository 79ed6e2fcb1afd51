"""Bodies in memory: how much of them, of all rows of an event loop together."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext


class Bodies:
    """Lets rows read on while all bodies together are within a bound, ``most`` octets.

    Beyond it a row waits until others are done with theirs, and its server with it, which sends no more than is taken.
    The one that has had some the longest never waits, so that somebody goes on: there are at most ``most`` octets and
    one body.
    """

    def __init__(self, most: int) -> None:
        self.held = 0  # octets
        self._most = most
        self._holders: dict[object, int] = {}  # octets by who has them, the longest first
        self._less = asyncio.Event()

    async def hold(
        self, holder: object, size: int, waiting: Callable[[], AbstractAsyncContextManager[None]] = nullcontext
    ) -> None:
        """Go on when ``holder`` may have ``size`` octets in all. waiting: the context of a wait, if there is one."""
        if not self._fits(holder, size):
            async with waiting():
                while not self._fits(holder, size):
                    await self._less.wait()
        self._have(holder, size)

    def release(self, holder: object) -> None:
        """It has none any more."""
        self.held -= self._holders.pop(holder, 0)
        self._wake()  # the next is the longest now, whatever this one had

    def _fits(self, holder: object, size: int) -> bool:
        more = size - self._holders.get(holder, 0)
        return more <= 0 or self.held + more <= self._most or next(iter(self._holders), holder) is holder

    def _have(self, holder: object, size: int) -> None:
        more = size - self._holders.get(holder, 0)
        self._holders[holder] = size
        self.held += more
        if more < 0:
            self._wake()

    def _wake(self) -> None:
        """All who wait now look again."""
        self._less.set()
        self._less.clear()
