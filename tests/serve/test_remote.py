"""Remote pictures: only when asked for, and by the crawl's rules of addresses."""

from functools import partial
from pathlib import Path

import pytest

from humanvlm.scrape.addresses import Policy
from humanvlm.scrape.local_server import serve
from humanvlm.serve.limits import Limits
from humanvlm.serve.remote import open_remote

from .running import data_url, png, running
from .test_chat import shown


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1/a.png", "loopback_address"),
        ("http://localhost/a.png", "loopback_address"),
        ("http://169.254.169.254/latest/meta-data", "metadata_address"),
        ("http://10.0.0.1/a.png", "private_address"),
        ("http://[::ffff:10.0.0.1]/a.png", "private_address"),
        ("http://2130706433/a.png", "bad_url"),
        ("http://8.8.8.8:22/a.png", "blocked_port"),
    ],
)
def test_only_public_addresses_are_asked(folder: Path, url: str, reason: str) -> None:
    limits = Limits()
    with running(folder, limits, fetching=partial(open_remote, limits)) as server:
        status, told, _ = server.ask(shown(url))
    assert (status, told["error"]["code"]) == (400, "invalid_image_url")
    assert told["error"]["message"].endswith(f"not fetched: {reason}")


def test_a_remote_picture_is_seen_like_one_that_was_sent(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(4))
    (tmp_path / "large.png").write_bytes(png(4, side=300))
    limits = Limits(body_bytes=100_000)
    with serve({"photos.example": tmp_path}) as port:
        policy = Policy(local_hosts=("photos.example",), port=port)
        with running(folder, limits, fetching=partial(open_remote, limits, policy)) as server:
            sent, fetched = (server.ask(shown(url)) for url in (data_url(png(4)), "http://photos.example/a.png"))
            assert fetched[1]["choices"] == sent[1]["choices"]
            _, told, _ = server.ask(shown("http://photos.example/large.png"))
            assert told["error"]["message"].endswith("not fetched: too_large")
            _, told, _ = server.ask(shown("http://photos.example/none.png"))
            assert told["error"]["message"].endswith("not fetched: http_404")
