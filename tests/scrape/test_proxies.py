import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from yarl import URL

from humanvlm.config.raw_scrape import RawScrape
from humanvlm.errors import UserError
from humanvlm.scrape.addresses import Policy
from humanvlm.scrape.fetch import Fetched, fetch, open_client
from humanvlm.scrape.proxies import proxies_of_environment
from humanvlm.scrape.reasons import RefusedError

from .certificates import server_context, sign
from .faults import Internet, serve_faults

PICTURE = b"\xff\xd8\xff a picture"
CONFIG = RawScrape(retries=0, timeout_s=5, verify_tls=False)


@dataclass
class Proxy:
    """Answers for the whole web. asked: first lines of requests; heads: all of them.

    tunnel: the port of 127.0.0.1 that CONNECT leads to, if it may.
    """

    port: int = 0
    tunnel: int = 0
    asked: list[str] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)

    async def connected(self, reader: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        line = head.splitlines()[0]
        if ".txt" not in line and ".json" not in line:
            self.asked.append(line)
            self.heads.append(head)
        if self.tunnel and line.startswith("CONNECT"):
            return await self._tunnel(reader, out)
        status = "403 No" if line.startswith("CONNECT") else "200 OK" if line in self.asked else "404 No"
        out.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(PICTURE)}\r\nConnection: close\r\n\r\n".encode())
        out.write(PICTURE)
        await out.drain()
        out.close()

    async def _tunnel(self, reader: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection("127.0.0.1", self.tunnel)
        out.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(_piped(reader, there[1]), _piped(there[0], out))


async def _piped(reader: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(1 << 16):
            out.write(data)
            await out.drain()
    out.close()


@asynccontextmanager
async def running() -> AsyncIterator[Proxy]:
    proxy = Proxy()
    server = await asyncio.start_server(proxy.connected, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    async with server:
        yield proxy


async def outcomes(policy: Policy, *urls: str) -> list[str]:
    """What becomes of URLs when ``inner.test`` is private, and no other name is known here."""
    internet = Internet()
    internet.names["inner.test"] = [["10.0.0.1"]]
    found = []
    with internet.installed():
        async with open_client(CONFIG, policy, internet) as client:
            for url in urls:
                try:
                    fetched = await fetch(client, url)
                    assert isinstance(fetched, Fetched)
                    assert fetched.data == PICTURE
                    found.append("ok")
                except RefusedError as refusal:
                    found.append(refusal.reason)
    return found


def test_the_proxy_is_asked_as_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    async def check() -> None:
        async with running() as proxy:
            monkeypatch.setenv("HTTP_PROXY", f"http://me:secret@127.0.0.1:{proxy.port}")
            monkeypatch.setenv("https_proxy", f"127.0.0.1:{proxy.port}")
            monkeypatch.setenv("NO_PROXY", "direct.test")
            urls = ("http://far.test/a%2Cb", "https://far.test/", "http://direct.test/x")
            assert await outcomes(Policy(), *urls) == ["ok", "proxy_error", "dns_error"]
            assert set(proxy.asked) == {"GET http://far.test/a%2Cb HTTP/1.1", "CONNECT far.test:443 HTTP/1.1"}
            assert "\r\nProxy-Authorization: Basic bWU6c2VjcmV0\r\n" in proxy.heads[0]
            assert not any("\r\nAuthorization:" in head for head in proxy.heads)

    asyncio.run(check())


def test_https_goes_through_a_tunnel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async def check(port: int) -> None:
        async with running() as proxy:
            proxy.tunnel = port
            monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
            assert await outcomes(Policy(), "https://far.test/ok/x", "https://far.test/status/404") == [
                "ok",
                "http_404",
            ]
            assert set(proxy.asked) == {"CONNECT far.test:443 HTTP/1.1"}

    with serve_faults(PICTURE, tls=server_context(sign("far.test"), tmp_path)) as faults:
        asyncio.run(check(faults.port))


def test_a_proxy_may_be_private_and_what_is_asked_of_it_may_not(monkeypatch: pytest.MonkeyPatch) -> None:
    async def check() -> None:
        async with running() as proxy:
            monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
            urls = (f"http://127.0.0.1:{proxy.port}/", "http://10.0.0.1/", "http://inner.test/", "http://inner.test/y")
            refused = ["loopback_address", "private_address", "private_address", "private_address"]
            assert await outcomes(Policy(), *urls) == refused
            assert not proxy.asked
            assert await outcomes(Policy(("inner.test:80",)), "http://inner.test/") == ["ok"]

    asyncio.run(check())


def test_a_proxy_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for address in ("http://127.0.0.1:1", "http://proxy.invalid:3128"):
        monkeypatch.setenv("http_proxy", address)
        assert asyncio.run(outcomes(Policy(), "http://far.test/")) == ["proxy_error"]


def test_hosts_that_the_run_serves_are_asked_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    proxies = proxies_of_environment()
    assert proxies.of(URL("http://photos.example/x"), Policy((), ("photos.example",), 80)) is None
    assert proxies.of(URL("http://other.example/x"), Policy()) == URL("http://127.0.0.1:1")
    assert proxies.of(URL("https://other.example/x"), Policy()) is None


@pytest.mark.parametrize("value", ["socks5://127.0.0.1:1080", "http://", "http://[::1", "http://h:99999"])
def test_what_is_no_http_proxy_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("https_proxy", value)
    with pytest.raises(UserError, match="https_proxy: not the address of an HTTP proxy"):
        proxies_of_environment()
