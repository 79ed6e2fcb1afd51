import base64
import time
from typing import Any

import pytest

from humanvlm.scrape.fetch import Fetched

from .asking import HOST, Web, config, redirect
from .conftest import jpeg
from .faults import serve_faults


def test_redirects_within_the_limit_are_followed(web: Web) -> None:
    (result,) = web.get(["/chain/2"], config())
    assert isinstance(result, Fetched)
    assert result.url == f"http://{HOST}/ok/end"
    assert web.reason("/chain/2", max_redirects=1) == "too_many_redirects"
    assert web.reason("/chain/1", max_redirects=0) == "too_many_redirects"
    assert web.reason("/to?url=") == "http_302"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0x7f000001", "2130706433", "127.1"])
def test_a_redirect_to_a_private_address_is_never_contacted(web: Web, host: str) -> None:
    with serve_faults(jpeg()) as inner:
        found = web.reason(f"/to?url=http://{host}:{inner.port}/ok/secret")
        assert found in ("loopback_address", "bad_url")
        assert not inner.hits
        allowed: dict[str, Any] = {"allow_private_hosts": (f"127.0.0.1:{inner.port}",)}
        assert web.reason(f"/to?url=http://127.0.0.1:{inner.port}/ok/x", **allowed) == "loopback_address"
        assert not inner.hits
        assert web.reason(f"http://127.0.0.1:{inner.port}/to?url=/ok/x", **allowed) == "ok"
        assert inner.hits["/ok/x"] == 1


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("10.0.0.1", "private_address"),
        ("169.254.1.1", "link_local_address"),
        ("169.254.169.254", "metadata_address"),
        ("[fd00:ec2::254]", "metadata_address"),
    ],
)
def test_a_redirect_into_the_network_is_refused_at_once(web: Web, address: str, expected: str) -> None:
    start = time.monotonic()
    assert web.reason(f"/to?url=http://{address}/latest/meta-data", retries=3) == expected
    assert time.monotonic() - start < 2


def test_an_opt_out_on_the_way_counts(web: Web) -> None:
    """A redirect may carry it too."""
    assert web.reason("/to?url=/header?X-Robots-Tag=noai") == "opt_out_noai"
    assert web.reason("/header?tdm-reservation=1") == "opt_out_tdm"


def test_a_third_party_is_asked_as_it_wishes_whoever_leads_to_it(web: Web) -> None:
    robots = b"User-agent: *\nCrawl-delay: 0.1\n"
    with serve_faults(jpeg(), {"robots": robots}, {"/robots.txt": "/body/robots"}) as third:
        web.internet.add("third.test", 80, third.port)
        start = time.monotonic()
        results = web.get([f"/to?url=http://third.test/ok/{n}" for n in range(6)], config())
        assert {type(result) for result in results} == {Fetched}
        assert time.monotonic() - start > 5 * 0.1
    assert third.most_at_once == 1


def test_no_more_than_a_hosts_share_is_asked_of_it_at_once_through_redirects(web: Web) -> None:
    with serve_faults(jpeg()) as third:
        web.internet.add("third.test", 80, third.port)
        urls = [f"/to?url=http://third.test/slowly/{n}" for n in range(20)]
        results = web.get(urls, config(per_host=3))
        assert {type(result) for result in results} == {Fetched}
    assert third.most_at_once == 3
    assert web.faults.most_at_once <= 3


def test_two_hosts_that_lead_to_each_other_do_not_wait_for_each_other(web: Web) -> None:
    web.internet.add("other.test", 80, web.faults.port)
    urls = [
        f"http://{a}/to?url=http://{b}/slowly/{n}"
        for n in range(9)
        for a, b in ((HOST, "other.test"), ("other.test", HOST))
    ]
    results = web.get(urls, config(per_host=1, concurrency=2))
    assert {type(result) for result in results} == {Fetched}


@pytest.mark.parametrize(
    ("location", "asked"),
    [
        (b"/ok/a%2Cb,c", "/ok/a%2Cb,c"),
        (b"/ok/my photo.jpg", "/ok/my%20photo.jpg"),
        ("/ok/café".encode(), "/ok/caf%C3%A9"),
        ("/ok/café".encode("latin-1"), "/ok/caf%E9"),
        (b"../ok/x?sig=a%2Fb%3D&t=1+2#part", "/ok/x?sig=a%2Fb%3D&t=1+2"),
    ],
)
def test_addresses_are_asked_for_as_they_are_spelled(web: Web, location: bytes, asked: str) -> None:
    web.faults.bodies = {"x": redirect(location)}
    (result,) = web.get(["/raw/x"], config())
    assert isinstance(result, Fetched)
    assert result.url == f"http://{HOST}{asked}"
    assert asked in web.faults.targets
    (result,) = web.get([asked], config())
    assert isinstance(result, Fetched)
    assert web.faults.targets[asked] == 2


def test_cookies_live_as_long_as_one_fetch(web: Web) -> None:
    web.faults.bodies = {"set": redirect(b"/cookie", b"Set-Cookie: seen=1; Path=/"), "twice": redirect(b"/raw/set")}
    assert web.reason("/raw/twice") == "ok"
    assert web.reason("/cookie") == "http_403"


def test_credentials_go_to_their_own_origin_and_are_kept_nowhere(web: Web) -> None:
    web.internet.add("other.test", 80, web.faults.port)
    web.faults.bodies = {"away": redirect(b"http://other.test/ok/x"), "here": redirect(b"/ok/y")}
    urls = [f"http://me:se%40cret@{HOST}/{path}" for path in ("ok/1", "raw/here", "raw/away", "status/404")]
    results = web.get(urls, config())
    assert [str(getattr(result, "url", "")) for result in results[:3]] == [
        f"http://{HOST}/ok/1", f"http://{HOST}/ok/y", "http://other.test/ok/x"
    ]  # fmt: skip
    assert "cret" not in repr(results)
    sent = "Basic " + base64.b64encode(b"me:se@cret").decode()
    asked = {path: value for path, value in web.faults.authorized.items() if not path.startswith("/robots")}
    assert asked["/ok/1"] == asked["/ok/y"] == asked["/raw/away"] == sent
    assert not asked["/ok/x"]
    for address in ("http://me:secret@", "ftp://me:secret" + "x" * 200 + "@a.test/", "http:/\t/me:secret@"):
        (result,) = web.get([address], config())
        assert "secret" not in repr(result)
    (result,) = web.get([f"http://:secret@{HOST}/ok/1"], config())
    assert isinstance(result, Fetched)
    assert result.url == f"http://{HOST}/ok/1"
