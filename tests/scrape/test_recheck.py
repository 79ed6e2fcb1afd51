"""Consent asked again, over HTTP, of a site that changed its mind."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from humanvlm.data.shards import read_folder
from humanvlm.errors import UserError
from humanvlm.pipeline.runner import run_stage
from humanvlm.scrape import recheck, resume
from humanvlm.scrape.fetch import look
from humanvlm.scrape.local_server import Handler
from humanvlm.scrape.reasons import RefusedError, withdrawn
from humanvlm.scrape.revise import revise

from .conftest import jpeg
from .test_stage import HOST, here, scrape, write_index, write_params, write_site

__all__ = ["here"]
OUT = Path("artifacts/raw_scrape")
OPT_OUT = {"headers": {"X-Robots-Tag": "noai"}}


def ask_again(here: Path, **options: Any) -> dict[str, Any]:
    return run_stage("raw_scrape", here / "params.yaml", recheck=True, **options)


def behave(here: Path, behaviours: dict[str, Any], robots: str | None = None) -> None:
    (here / "site" / "_headers.json").write_text(json.dumps(behaviours))
    if robots is not None:
        (here / "site" / "robots.txt").write_text(robots)


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Requests for pictures by method and path; the server knows no HEAD for ``lacking``, and answers it with 405."""
    seen: Counter[str] = Counter()
    answer = Handler.do_GET

    def counted(self: Handler) -> None:
        if self.path.endswith(".jpg"):
            seen[f"{self.command} {self.path}"] += 1
        if self.command == "HEAD" and self.path in ("/4.jpg", "/5.jpg"):
            return self._answer(405 if self.path == "/4.jpg" else 404, {}, b"")
        return answer(self)

    monkeypatch.setattr(Handler, "do_GET", counted)
    monkeypatch.setattr(Handler, "do_HEAD", counted)
    return seen


@pytest.fixture
def crawled(here: Path) -> list[str]:
    """URLs of 20 stored pictures in three shards."""
    urls = write_site(here, 20)
    write_index(here, [{"url": url, "text": f"t{n}"} for n, url in enumerate(urls)])
    write_params(here)
    assert scrape(here)["rows"]["kept"] == 20
    return urls


def dropped(out: Path = OUT) -> dict[str, str]:
    return {row["url"].rsplit("/", 1)[1]: row["reason"] for row in read_folder(out / "dropped")}


def test_what_is_opted_out_or_gone_leaves_the_shards_with_its_pixels(
    here: Path, crawled: list[str], requests: Counter[str]
) -> None:
    behave(
        here,
        {
            "0.jpg": OPT_OUT,
            "1.jpg": {"status": 410},
            "2.jpg": {"headers": {"Content-Usage": "train-ai=n"}},
            "9.jpg": {"status": 404},
            "10.jpg": {"status": 451},
        },
        robots="User-agent: *\nDisallow: /3.jpg\n\nUser-agent: GPTBot\nDisallow: /11.jpg",
    )
    report = ask_again(here)
    gone = {
        "0.jpg": "opt_out_noai", "1.jpg": "http_410", "2.jpg": "opt_out_content_usage", "3.jpg": "robots_disallow",
        "9.jpg": "http_404", "10.jpg": "http_451", "11.jpg": "opt_out_ai_agents",
    }  # fmt: skip
    assert dropped() == gone
    assert report["rows"] == {"in": 20, "kept": 13, "dropped": dict(sorted(Counter(gone.values()).items()))}
    assert report["info"]["recheck"] == {"asked": 20, "withdrawn": report["rows"]["dropped"], "unanswered": {}}
    assert len(list(read_folder(OUT))) == 13
    files = b"".join(path.read_bytes() for path in OUT.rglob("*") if path.is_file())
    for number in range(20):
        assert (jpeg(seed=number) in files) == (f"{number}.jpg" not in gone)
    # One request without a body each; one byte more where HEAD says what servers say that do not know it.
    paths = [f"/{number}.jpg" for number in range(20)]
    assert [requests[f"HEAD {path}"] for path in paths] == [int(n not in (3, 11)) for n in range(20)]
    assert {path for path in paths if requests[f"GET {path}"]} == {f"/{n}.jpg" for n in (1, 4, 5, 9)}
    assert max(requests.values()) == 1

    requests.clear()
    assert scrape(here)["rows"] == report["rows"]  # up to date
    assert not requests


def test_a_look_that_fails_deletes_nothing(here: Path, crawled: list[str]) -> None:
    before = {path.name: path.read_bytes() for path in OUT.glob("shard-*.parquet")}
    failing = {"0.jpg": {"status": 503}, "1.jpg": {"status": 403}, "6.jpg": {"delay_s": 2.0}}
    behave(here, failing)
    write_params(here, first_byte_timeout_s=0.5)
    report = ask_again(here)
    assert report["rows"]["kept"] == 20
    assert report["info"]["recheck"]["unanswered"] == {"first_byte_timeout": 1, "http_403": 1, "http_503": 1}
    behave(here, {"robots.txt": {"status": 503}, "1.jpg": {"status": 410}})
    report = ask_again(here)
    assert report["info"]["recheck"] == {"asked": 20, "withdrawn": {}, "unanswered": {"robots_unreachable": 20}}
    assert {path.name: path.read_bytes() for path in OUT.glob("shard-*.parquet")} == before


def test_a_redirect_is_followed_to_what_it_says(here: Path, crawled: list[str]) -> None:
    behave(
        here,
        {
            "0.jpg": {"status": 302, "headers": {"Location": f"http://{HOST}/20.jpg"}},
            "20.jpg": {"status": 410},
            "1.jpg": {"status": 302, "headers": {"Location": "/2.jpg"}},
            "3.jpg": {"status": 302, "headers": {"Location": "/4.jpg", "X-Robots-Tag": "noai"}},
        },
    )
    ask_again(here)
    assert dropped() == {"0.jpg": "http_410", "3.jpg": "opt_out_noai"}


@pytest.mark.parametrize("flag", [True, False])
def test_killed_it_goes_on_and_asks_nobody_twice(
    here: Path, crawled: list[str], requests: Counter[str], monkeypatch: pytest.MonkeyPatch, flag: bool
) -> None:
    behave(here, {f"{number}.jpg": OPT_OUT for number in range(0, 20, 2)})
    calls: list[str] = []

    async def dying(client: Any, url: str) -> None:
        await look(client, url)
        calls.append(url)
        if len(calls) > 7:
            raise UserError("no space left")

    monkeypatch.setattr(recheck, "look", dying)
    write_params(here, concurrency=1)
    with pytest.raises(UserError, match="no space left"):
        ask_again(here)
    assert not (OUT / "report.json").exists()
    monkeypatch.setattr(recheck, "look", look)
    asked = {row["url"] for n in range(3) for row in recheck._answers(OUT, n)}
    assert 0 < len(asked) < 20
    requests.clear()
    report = ask_again(here) if flag else scrape(here)
    assert sorted(dropped()) == sorted(f"{number}.jpg" for number in range(0, 20, 2))
    assert report["info"]["recheck"]["asked"] == 20
    assert not asked & {f"http://{HOST}{line.split(' ')[1]}" for line in requests}


def test_killed_while_shards_are_written_again_it_ends_the_same(
    here: Path, crawled: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    behave(here, {f"{number}.jpg": OPT_OUT for number in (0, 9, 19)})
    done: list[Any] = []

    def dying(task: Any) -> int:
        if done:
            raise KeyboardInterrupt
        done.append(task)
        return revise(task)

    monkeypatch.setattr(resume, "revise", dying)
    with pytest.raises(KeyboardInterrupt):
        ask_again(here)
    monkeypatch.setattr(resume, "revise", revise)
    report = scrape(here)
    assert sorted(dropped()) == ["0.jpg", "19.jpg", "9.jpg"]
    assert report["rows"] == {"in": 20, "kept": 17, "dropped": {"opt_out_noai": 3}}


def test_rows_that_were_withdrawn_may_be_asked_for_again_by_their_reason(here: Path, crawled: list[str]) -> None:
    behave(here, {"0.jpg": {"status": 410}})
    ask_again(here)
    behave(here, {})
    assert scrape(here, retry=["http_410"])["rows"] == {"in": 20, "kept": 20, "dropped": {}}


def test_nothing_is_downloaded_again_though_a_crawl_would_start_afresh(
    here: Path, crawled: list[str], requests: Counter[str]
) -> None:
    write_params(here, incremental=False)
    scrape(here)
    requests.clear()
    behave(here, {"0.jpg": OPT_OUT})
    assert ask_again(here)["rows"] == {"in": 20, "kept": 19, "dropped": {"opt_out_noai": 1}}
    assert {line for line in requests if line.startswith("GET")} <= {"GET /4.jpg", "GET /5.jpg"}


def test_what_a_site_says_and_what_only_failed() -> None:
    said = ["opt_out_noai", "opt_out_ai_agents", "robots_disallow", "http_404", "http_410", "http_451"]
    failed = ["robots_unreachable", "tdmrep_unreachable", "http_403", "http_500", "timeout", "dns_error", "bad_url"]
    assert [withdrawn(reason) for reason in (*said, *failed)] == [True] * len(said) + [False] * len(failed)
    assert RefusedError("http_410", status=410).status == 410
