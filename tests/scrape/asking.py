"""Asking a server of faults, as a crawl would."""

import asyncio
from collections.abc import Sequence
from typing import Any

from humanvlm.config.raw_scrape import RawScrape
from humanvlm.scrape.addresses import Policy
from humanvlm.scrape.fetch import Client, Fetched, fetch, open_client
from humanvlm.scrape.hosts import Hosts, Turn
from humanvlm.scrape.reasons import RefusedError

from .faults import Faults, Internet

HOST = "faults.test"

Outcome = Fetched | RefusedError


def config(**changes: Any) -> RawScrape:
    return RawScrape(**({"timeout_s": 5.0, "retries": 0, "max_bytes": 1_000_000} | changes))


class Noted(Turn):
    """A turn that notes which pauses a host asks for."""

    def __init__(self, hosts: Hosts, pauses: list[float]) -> None:
        super().__init__(hosts)
        self.pauses = pauses

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        super().pause(seconds)


class Web:
    """Asks the server of HOST, as a crawl would; every name and address but its own leads nowhere."""

    def __init__(self, faults: Faults, internet: Internet) -> None:
        self.faults = faults
        self.internet = internet
        self.hits = faults.hits

    def get(self, urls: Sequence[str], settings: RawScrape, pauses: list[float] | None = None) -> list[Outcome]:
        async def one(client: Client, url: str) -> Outcome:
            turn = Noted(client.hosts, [] if pauses is None else pauses)
            try:
                return await fetch(client, f"http://{HOST}{url}" if url.startswith("/") else url, turn)
            except RefusedError as refusal:
                return refusal
            finally:
                turn.leave()

        async def all_of_them() -> list[Outcome]:
            async with open_client(settings, Policy(settings.allow_private_hosts), self.internet) as client:
                return await asyncio.gather(*(one(client, url) for url in urls))

        return asyncio.run(all_of_them())

    def reason(self, url: str, pauses: list[float] | None = None, **changes: Any) -> str:
        (result,) = self.get([url], config(**changes), pauses)
        return result.reason if isinstance(result, RefusedError) else "ok"


def redirect(location: bytes, *fields: bytes) -> bytes:
    lines = [b"HTTP/1.1 302 Found", b"Location: " + location, *fields, b"Content-Length: 0", b"Connection: close"]
    return b"\r\n".join([*lines, b"", b""])
