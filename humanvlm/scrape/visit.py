"""What one fetch carries from redirect to redirect, and forgets at its end: credentials, cookies, and its time."""

import asyncio
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from yarl import URL

MAX_COOKIES = 8190  # octets of a header that servers still take


class Visit:
    """The way from one URL to its picture. Credentials of the URL go to its own origin only."""

    def __init__(self, url: URL) -> None:
        self._origin = url.origin() if url.raw_user else None
        self._authorization = _basic(url)
        self._jar: aiohttp.CookieJar | None = None

    def headers(self, url: URL) -> dict[str, str]:
        """Headers of a request for ``url``."""
        found = {}
        if authorization := _basic(url) or self._kept(url):
            found["Authorization"] = authorization
        if cookies := self.cookies(url):
            found["Cookie"] = cookies
        return found

    def _kept(self, url: URL) -> str:
        return self._authorization if self._origin is not None and url.origin() == self._origin else ""

    def keep_cookies(self, response: aiohttp.ClientResponse) -> None:
        """Remember what an answer sets."""
        if response.cookies:
            if self._jar is None:
                self._jar = aiohttp.CookieJar(unsafe=True, quote_cookie=False)  # of literal addresses too
            self._jar.update_cookies(response.cookies, response.url)

    def cookies(self, url: URL) -> str:
        """The value of ``Cookie`` in a request for ``url``; empty when there is none, or too much for a server."""
        if self._jar is None:
            return ""
        text = "; ".join(f"{name}={morsel.value}" for name, morsel in self._jar.filter_cookies(url).items())
        return text if len(text) <= MAX_COOKIES else ""


class Allowance:
    """Seconds that a row may take for asking; what it waits for others does not count."""

    def __init__(self, seconds: float) -> None:
        self.left = seconds
        self._limit: asyncio.Timeout | None = None

    @asynccontextmanager
    async def spent(self) -> AsyncIterator[None]:
        """Raises TimeoutError when nothing is left before the block ends."""
        start = time.monotonic()
        try:
            async with asyncio.timeout(max(self.left, 0)) as self._limit:
                yield
        finally:
            self._limit = None
            self.left -= time.monotonic() - start

    @asynccontextmanager
    async def waiting(self) -> AsyncIterator[None]:
        """While the block runs, nothing is spent, within ``spent`` too."""
        start, limit = time.monotonic(), self._limit
        end = limit.when() if limit else None
        if limit:
            limit.reschedule(None)
        try:
            yield
        finally:
            waited = time.monotonic() - start
            if limit and end is not None:
                self.left += waited
                limit.reschedule(end + waited)


def _basic(url: URL) -> str:
    if not url.raw_user:
        return ""
    return "Basic " + b64encode(f"{url.user}:{url.password or ''}".encode()).decode()
