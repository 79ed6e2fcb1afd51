"""Sites in memory, and what their files let a crawl do."""

import asyncio
from collections import Counter
from typing import Any

from yarl import URL

from humanvlm.config.raw_scrape import RawScrape
from humanvlm.scrape.consent import Consent, FetchedText
from humanvlm.scrape.reasons import RefusedError

AGENT = "humanvlm"

HOST = "http://h.test"

TDMREP = "/.well-known/tdmrep.json"


class Site:
    """Files by URL, in memory: bytes with status 200, a status, or the refusal that a request for it meets."""

    def __init__(self, files: dict[str, bytes | int | RefusedError]) -> None:
        self.files = files
        self.asked: Counter[str] = Counter()
        self.at_once = 0
        self.limiter = asyncio.Event()
        self.limiter.set()

    async def get(self, url: URL) -> FetchedText:
        self.asked[str(url)] += 1
        self.at_once += 1
        await self.limiter.wait()
        self.at_once -= 1
        found = self.files.get(str(url), 404)
        if isinstance(found, RefusedError):
            raise found
        return FetchedText(found, b"", url) if isinstance(found, int) else FetchedText(200, found, url)


def serving(**files: bytes | int | RefusedError) -> Site:
    """A site with robots=, ai= and tdm=."""
    paths = {"robots": "/robots.txt", "ai": "/ai.txt", "tdm": TDMREP}
    return Site({HOST + paths[name]: found for name, found in files.items()})


def verdict(site: Site, path: str, **changes: Any) -> str:
    consent = Consent(RawScrape(**changes), site.get)
    try:
        asyncio.run(consent.check_url(URL(HOST + path)))
    except RefusedError as refusal:
        return refusal.reason
    return "ok"
