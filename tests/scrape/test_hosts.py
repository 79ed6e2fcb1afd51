import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest

from humanvlm.config.raw_scrape import RawScrape
from humanvlm.scrape.hosts import FIRST_AT_ONCE, HostLimiter, Hosts, Turn
from humanvlm.scrape.reasons import RefusedError

STEP_S = 0.03
EARLY_S = 0.002  # by which a sleep may end before its time


@asynccontextmanager
async def turn(limiter: HostLimiter, interval_s: float) -> AsyncIterator[None]:
    await limiter.acquire(interval_s)
    try:
        yield
    finally:
        limiter.release()


def starts(work: Callable[[list[float]], Awaitable[None]]) -> list[float]:
    """Seconds after the beginning at which something was noted."""
    times: list[float] = []

    async def run() -> None:
        await work(times)

    begin = time.monotonic()
    asyncio.run(run())
    return [moment - begin for moment in times]


@pytest.mark.parametrize("at_once", [1, 3])
def test_so_many_at_once_and_no_more(at_once: int) -> None:
    inside = most = done = 0

    async def visit(limiter: HostLimiter) -> None:
        nonlocal inside, most, done
        async with turn(limiter, 0):
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.001)
            inside -= 1
            done += 1

    async def run() -> None:
        nonlocal most, done
        limiter = HostLimiter(at_once)
        await asyncio.gather(*(visit(limiter) for _ in range(20)))
        assert (most, done) == (min(at_once, FIRST_AT_ONCE), 20)  # it has not answered yet
        done = 0
        for _ in range(2):
            limiter.answered()
        await asyncio.gather(*(visit(limiter) for _ in range(20)))

    asyncio.run(run())
    assert (most, done) == (at_once, 20)


async def note(limiter: HostLimiter, times: list[float], interval_s: float = 0.0) -> None:
    async with turn(limiter, interval_s):
        times.append(time.monotonic())


def test_requests_start_an_interval_apart_however_many_may_run() -> None:
    async def work(times: list[float]) -> None:
        limiter = HostLimiter(4)
        await asyncio.gather(*(note(limiter, times, STEP_S) for _ in range(6)))

    found = starts(work)
    assert len(found) == 6
    assert all(later - earlier >= STEP_S - EARLY_S for earlier, later in pairwise(found))


def test_a_pause_holds_everyone_back_and_a_shorter_one_does_not_end_it() -> None:
    async def work(times: list[float]) -> None:
        limiter, other = HostLimiter(2), HostLimiter(2)
        limiter.pause(3 * STEP_S)
        limiter.pause(STEP_S)
        assert not limiter.idle
        await note(other, times)
        await asyncio.gather(*(note(limiter, times) for _ in range(4)))
        assert limiter.idle

    other, *held = starts(work)
    assert other < 2 * STEP_S
    assert all(moment >= 3 * STEP_S - EARLY_S for moment in held)


def test_a_pause_reaches_those_that_wait_already() -> None:
    async def work(times: list[float]) -> None:
        limiter = HostLimiter(1)
        limiter.pause(STEP_S)
        waiting = asyncio.create_task(note(limiter, times))
        await asyncio.sleep(STEP_S / 2)
        limiter.pause(2 * STEP_S)
        await waiting

    assert starts(work)[0] >= 2.5 * STEP_S - EARLY_S


def test_who_gives_up_waiting_leaves_the_turn_to_others() -> None:
    async def work(times: list[float]) -> None:
        limiter = HostLimiter(1)
        limiter.pause(STEP_S)
        waiting = [asyncio.create_task(note(limiter, times)) for _ in range(3)]
        await asyncio.sleep(0)
        for task in waiting[:2]:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    assert len(starts(work)) == 1


def test_a_row_has_one_turn_and_one_slot_and_none_while_it_waits() -> None:
    async def run() -> None:
        hosts = Hosts(RawScrape(concurrency=1, per_host=1))
        first, second = Turn(hosts), Turn(hosts)
        await first.take("a.test", 0)
        await first.take("a.test", 0)
        waiting = asyncio.create_task(second.take("b.test", 0))
        await asyncio.sleep(0.01)
        assert not waiting.done()  # for the slot
        moving = asyncio.create_task(first.take("b.test", 0))
        await waiting
        assert hosts.limiter("a.test").idle
        assert not moving.done()
        second.leave()
        await moving
        first.leave()
        first.leave()
        assert hosts.slots._value == 1
        assert hosts.limiter("b.test").idle

    asyncio.run(run())


def test_a_host_is_given_up_only_while_others_answer() -> None:
    async def run() -> None:
        hosts = Hosts(RawScrape(max_host_timeouts=2))
        turn, other = Turn(hosts), Turn(hosts)
        await turn.take("a.test", 0)
        for _ in range(5):
            turn.timed_out()
        await turn.take("a.test", 0)
        await other.take("b.test", 0)
        other.answered()
        turn.timed_out()
        turn.answered()
        turn.timed_out()
        await turn.take("a.test", 0)
        other.answered()
        turn.timed_out()
        with pytest.raises(RefusedError, match="host_unresponsive"):
            await turn.take("a.test", 0)
        with pytest.raises(RefusedError, match="host_unresponsive"):
            await Turn(hosts).take("a.test", 0)

    asyncio.run(run())
