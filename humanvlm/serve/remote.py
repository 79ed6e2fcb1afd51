"""Pictures at remote addresses: fetched as the crawl fetches them, by its rules and from public addresses only."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from humanvlm.serve.limits import Limits
from humanvlm.serve.pictures import PLACE
from humanvlm.serve.refusals import Refused

if TYPE_CHECKING:
    from humanvlm.scrape.addresses import Policy
    from humanvlm.scrape.fetch import Client


@dataclass(frozen=True)
class Remote:
    """client: of the crawl, of one event loop."""

    client: "Client"

    async def get(self, url: str) -> bytes:
        """The file of a picture. Raises Refused (400) with the crawl's reason."""
        from humanvlm.scrape.fetch import fetch
        from humanvlm.scrape.reasons import RefusedError

        try:
            return (await fetch(self.client, url)).data
        except RefusedError as error:
            message = f"{PLACE}: not fetched: {error.reason}"  # no details of what this machine can reach
            raise Refused(400, message, PLACE, "invalid_image_url") from None


@asynccontextmanager
async def open_remote(limits: Limits, policy: "Policy | None" = None) -> AsyncIterator[Remote]:
    """policy: which addresses may be asked; by default public ones."""
    from humanvlm.config.raw_scrape import RawScrape
    from humanvlm.scrape.addresses import Policy
    from humanvlm.scrape.fetch import open_client

    config = RawScrape(max_bytes=limits.body_bytes, timeout_s=limits.fetch_s, retries=0)
    async with open_client(config, policy or Policy()) as client:
        yield Remote(client)
