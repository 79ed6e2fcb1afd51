import asyncio
from http.cookies import SimpleCookie
from types import SimpleNamespace
from typing import Any

from yarl import URL

from humanvlm.scrape.visit import MAX_COOKIES, Visit


def visited(*answers: tuple[str, str]) -> Visit:
    """A visit on whose way answers of these URLs set these cookies."""
    visit = Visit(URL(answers[0][0]))
    for url, text in answers:
        response: Any = SimpleNamespace(url=URL(url), cookies=SimpleCookie(text))
        visit.keep_cookies(response)
    return visit


def test_cookies_go_where_they_belong() -> None:
    async def check() -> None:
        visit = visited(("http://a.test/x", "one=1; path=/; "), ("http://b.test/", "two=2; path=/deep"))
        assert visit.cookies(URL("http://a.test/y")) == "one=1"
        assert visit.cookies(URL("http://b.test/deep/x")) == "two=2"
        assert visit.cookies(URL("http://b.test/")) == visit.cookies(URL("http://c.test/")) == ""
        assert visit.headers(URL("http://a.test/")) == {"Cookie": "one=1"}
        huge = visited(("http://a.test/", f"one={'x' * MAX_COOKIES}"))
        assert huge.headers(URL("http://a.test/")) == {}

    asyncio.run(check())


def test_credentials_go_to_their_own_origin() -> None:
    visit = Visit(URL("https://me:pass@a.test/x"))
    sent = {"Authorization": "Basic bWU6cGFzcw=="}
    assert visit.headers(URL("https://me:pass@a.test/x")) == visit.headers(URL("https://a.test/y")) == sent
    for other in ("http://a.test/y", "https://b.test/", "https://a.test:8443/"):
        assert visit.headers(URL(other)) == {}
    assert visit.headers(URL("http://you@b.test/")) == {"Authorization": "Basic eW91Og=="}
    assert Visit(URL("https://a.test/x")).headers(URL("https://a.test/x")) == {}
