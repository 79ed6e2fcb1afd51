import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from humanvlm.scrape.fetch import Fetched
from humanvlm.scrape.held import Bodies
from humanvlm.scrape.reasons import RefusedError

from .asking import Web, config

SIZE = 400_000


@example(growths=[[0], [2]], most=1)
@given(st.lists(st.lists(st.integers(0, 50), min_size=1, max_size=6), min_size=1, max_size=8), st.integers(1, 120))
def test_no_more_is_held_than_the_bound_and_one_body_and_everybody_ends(growths: list[list[int]], most: int) -> None:
    bodies, most_held = Bodies(most), 0

    async def grow(steps: list[int]) -> None:
        nonlocal most_held
        holder, size = object(), 0
        for step in steps:
            size += step
            await bodies.hold(holder, size)
            most_held = max(most_held, bodies.held)
            await asyncio.sleep(0)
        bodies.release(holder)
        bodies.release(holder)

    async def all_of_them() -> None:
        async with asyncio.timeout(20):
            await asyncio.gather(*map(grow, growths))

    asyncio.run(all_of_them())
    assert bodies.held == 0
    assert most_held <= most + max(map(sum, growths))


def test_who_waits_says_so_and_goes_on_when_there_is_less() -> None:
    async def run() -> list[str]:
        bodies, said = Bodies(10), []

        @asynccontextmanager
        async def waiting() -> AsyncIterator[None]:
            said.append("waits")
            yield
            said.append("goes on")

        await bodies.hold("a", 8, waiting)
        late = asyncio.create_task(bodies.hold("b", 3, waiting))
        await asyncio.sleep(0)
        await bodies.hold("a", 30, waiting)  # the first goes on
        assert said == ["waits"]
        await bodies.hold("a", 7, waiting)  # unpacked, it is less
        await late
        assert bodies.held == 10
        return said

    assert asyncio.run(run()) == ["waits", "goes on"]


class Counted(Bodies):
    """Knows the most that was held."""

    peak = 0

    async def hold(self, *arguments: object) -> None:
        await super().hold(*arguments)  # type: ignore[arg-type]
        Counted.peak = max(Counted.peak, self.held)


@pytest.mark.parametrize("most", [1, 1_000_000, 512_000_000])
def test_bodies_in_flight_are_bounded_and_none_is_lost(web: Web, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("humanvlm.scrape.hosts.Bodies", Counted)
    monkeypatch.setattr(Counted, "peak", 0)
    web.faults.bodies = {"a": b"\xff\xd8\xff" + bytes(SIZE)}
    results = web.get([f"/body/a?{n}" for n in range(16)], config(max_bytes_in_flight=most))
    assert {type(result) for result in results} == {Fetched}
    assert SIZE <= Counted.peak <= most + SIZE + 3


def test_waiting_for_others_bodies_takes_none_of_a_rows_time(web: Web) -> None:
    web.internet.add("other.test", 80, web.faults.port)
    limits = config(max_bytes_in_flight=1, timeout_s=0.6)
    drip, *others = web.get(["/drip", *(f"http://other.test/ok/{n}" for n in range(4))], limits)
    assert isinstance(drip, RefusedError)
    assert drip.reason == "timeout"
    assert {type(result) for result in others} == {Fetched}
