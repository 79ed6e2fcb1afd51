import asyncio
import socket
import threading
import time
from collections import Counter
from typing import Any

import pytest
import uvloop
from aiohttp.abc import AbstractResolver, ResolveResult

from humanvlm.scrape import names
from humanvlm.scrape.names import FIRST_SHARE, SHARE, SharedResolver, SystemResolver, registered_domain


def test_a_name_whose_servers_are_slow_does_not_hold_up_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def look_up(host: str, *arguments: object, **named: object) -> list[Any]:
        time.sleep(0.3)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("8.8.8.8", 80))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)

    async def all_of_them() -> float:
        resolver, start = SystemResolver(), time.monotonic()
        found = await asyncio.gather(*(resolver.resolve(f"{number}.test", 80) for number in range(8)))
        assert {(answer["hostname"], answer["host"], answer["port"]) for answers in found for answer in answers} == {
            (f"{number}.test", "8.8.8.8", 80) for number in range(8)
        }
        return time.monotonic() - start

    for runner in (asyncio.run, uvloop.run):
        assert runner(all_of_them()) < 1.2


def test_nobody_waits_for_a_look_up_that_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments, **named: ended.wait(60))

    async def run() -> None:
        with pytest.raises(OSError, match=r"a\.test was not looked up within 0\.01 s"):
            await SharedResolver(SystemResolver(), 0.01).resolve("a.test")

    start = time.monotonic()
    asyncio.run(run())
    assert time.monotonic() - start < 30
    ended.set()


def test_the_system_knows_literal_addresses() -> None:
    for host, family in (("127.0.0.1", socket.AF_INET), ("127.1", socket.AF_INET)):
        (found,) = asyncio.run(SystemResolver().resolve(host, 80))
        assert (found["host"], found["port"], found["family"]) == ("127.0.0.1", 80, family)
    with pytest.raises(ValueError, match="too long"):
        asyncio.run(SystemResolver().resolve("a" * 70 + ".test"))


@pytest.mark.parametrize(
    ("host", "domain"),
    [("a.b.example.com", "example.com"), ("example.com.", "example.com"), ("a.B.co.uk", "b.co.uk"), ("x.de", "x.de"),
     ("a.github.io", "github.io"), ("localhost", "localhost"), ("", "")],
)  # fmt: skip
def test_the_registered_domain_of_a_name(host: str, domain: str) -> None:
    assert registered_domain(host) == domain


class Servers(AbstractResolver):
    """Name servers. Names of ``silent`` are never answered, of ``none`` there are none. asked: how often."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.at_once: Counter[str] = Counter()
        self.most: Counter[str] = Counter()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked[host] += 1
        domain = host.partition(".")[2]
        self.at_once[domain] += 1
        self.most[domain] = max(self.most[domain], self.at_once[domain])
        await asyncio.sleep(3600 if "silent" in host else 0.001)
        self.at_once[domain] -= 1
        if "none" in host:
            raise OSError("no such name")
        return [ResolveResult(hostname=host, host="8.8.8.8", port=port, family=family, proto=0, flags=0)]

    async def close(self) -> None:
        pass


async def outcome(resolver: SharedResolver, host: str) -> str:
    try:
        (found,) = await resolver.resolve(host, 81)
    except OSError as error:
        return str(error)
    assert found["port"] == 81
    return "ok"


def test_a_domain_has_its_share_and_what_does_not_answer_is_not_asked_on_and_on() -> None:
    servers, now = Servers(), [0.0]

    async def run() -> None:
        resolver = SharedResolver(servers, 0.5, lambda: now[0])
        silent = [asyncio.create_task(outcome(resolver, f"n{n}.silent.test")) for n in range(100)]
        good = [asyncio.create_task(outcome(resolver, f"n{n}.good.test")) for n in range(100)]
        assert set(await asyncio.gather(*good)) == {"ok"}
        assert servers.most["good.test"] == SHARE
        assert servers.most["silent.test"] == FIRST_SHARE
        said = Counter(await asyncio.gather(*silent))
        assert said.pop("the name servers of silent.test do not answer") == 100 - FIRST_SHARE
        assert all("was not looked up within 0.5 s" in one for one in said)
        assert await outcome(resolver, "another.silent.test") == "the name servers of silent.test do not answer"
        now[0] = names.FAILED_S
        assert "was not looked up" in await outcome(resolver, "another.silent.test")

    asyncio.run(run())
    assert sum(count for host, count in servers.asked.items() if "silent" in host) == FIRST_SHARE + 1


def test_answers_are_remembered_and_failures_after_the_second() -> None:
    servers, now = Servers(), [0.0]

    async def run() -> None:
        resolver = SharedResolver(servers, 1.0, lambda: now[0])
        for _ in range(3):
            assert await outcome(resolver, "a.test") == "ok"
        assert await outcome(resolver, "a.none.test") == "no such name"
        assert await outcome(resolver, "a.none.test") == "no such name"
        assert await outcome(resolver, "a.none.test") == "a.none.test was not found twice just now"
        assert servers.asked == {"a.test": 1, "a.none.test": 2}
        now[0] = names.FOUND_S
        assert await outcome(resolver, "a.test") == "ok"
        assert await outcome(resolver, "a.none.test") == "no such name"
        assert servers.asked == {"a.test": 2, "a.none.test": 3}

    asyncio.run(run())


def test_who_asks_for_the_same_name_shares_one_look_up() -> None:
    servers = Servers()

    async def run() -> None:
        resolver = SharedResolver(servers)
        first = asyncio.create_task(outcome(resolver, "a.test"))
        others = [asyncio.create_task(outcome(resolver, "a.test")) for _ in range(9)]
        await asyncio.sleep(0)
        first.cancel()
        assert await asyncio.gather(*others) == ["ok"] * 9

    asyncio.run(run())
    assert servers.asked == {"a.test": 1}
