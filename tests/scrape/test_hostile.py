"""The whole stage on a web where everything is wrong: each row ends under its own reason, in time, and nothing but
127.0.0.1 is ever contacted."""

import json
import socket
import ssl
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from humanvlm.config.raw_scrape import RawScrape
from humanvlm.data.shards import read_folder, read_rows
from humanvlm.pipeline.runner import run_stage
from humanvlm.scrape import addresses, names
from humanvlm.scrape.hosts import HostLimiter

from .certificates import authority, server_context, sign
from .conftest import bomb_png, jpeg
from .faults import CONTACTED, SITE_FILES, Faults, Internet, serve_faults

SITE = "site.test"
TIMEOUT_S = 4.0
LIMITS = {
    "timeout_s": TIMEOUT_S,
    "first_byte_timeout_s": 1.6,
    "connect_timeout_s": 1.0,
    "max_retry_after_s": 0.2,
    "max_bytes": 200_000,
    "concurrency": 256,
    "per_host": 256,
    "rows_per_shard": 32,
}
CONSENT_FILES = ("respect_robots_txt", "respect_tdm_reservation", "respect_ai_txt")
SECRET = "/ok/secret"
# What a row's URL, or its path on SITE, ends as. None: it is kept.
ROWS: dict[str, str | None] = {
    "/ok/1": None,
    "/flaky/1": None,
    "/chain/3": None,
    "/encoded/picture": None,
    "/header?ETag=%FF%FE&Content-Language=x": None,  # octets that are not UTF-8
    "/header?X-Robots-Tag=otherbot: noai": None,
    # too slow
    "/drip": "timeout",
    "/head/silence": "first_byte_timeout",
    "/head/drip": "first_byte_timeout",
    "http://unanswered.test/x": "dns_error",
    # too much
    "/endless": "too_large",
    "/announced": "too_large",
    "/encoded/bomb": "too_large",
    "/body/bomb.png": "image_bomb",
    "/head/long": "bad_response",
    "/head/many": "bad_response",
    "/head/endless_line": "bad_response",
    "/head/endless_lines": "bad_response",
    "/head/endless_interim": "bad_response",
    # not what it says it is
    "/short": "incomplete_body",
    "/chunks/cut": "incomplete_body",
    "/chunks/garbage": "incomplete_body",
    "/chunks/missing": None,  # all of the picture is there
    "/encoded/garbage": "bad_response",
    "/encoded/br": "bad_response",
    "http://cut.test/cut/later": "truncated_image",  # what comes later must not be another row's answer
    "/cut/at_once": "truncated_image",
    "/body/page.html": "not_an_image",
    "/body/nothing": "not_an_image",
    "/head/garbage": "bad_response",
    "/head/http09": "bad_response",
    "/head/length": None,  # the end of the connection is the end of the picture
    "/head/lengths": None,
    "/head/status": "bad_response",
    "/head/closed": "connect_error",
    "/head/reset": "connect_error",
    # not there, or not now
    "/status/204": "http_204",
    "/status/304": "http_304",
    "/status/404": "http_404",
    "/status/410": "http_410",
    "/status/500": "http_500",
    "/status/429": "http_429",
    "/status/429?after=7200": "http_429",
    "/status/429?after=soon": "http_429",
    "/status/503?after=date": "http_503",
    "/status/503?after=" + "9" * 5000: "http_503",
    "/status/503?after=Mon, 31 Dec 9999 23:59:59 -2359": "http_503",
    "http://nowhere.test/x": "dns_error",
    # redirects
    "/loop/a": "redirect_loop",
    "/chain/6": "too_many_redirects",
    "/to?url=": "http_302",
    "/to?url=ftp://site.test/x": "bad_url",
    "/to?url=file:///etc/passwd": "bad_url",
    "/to?url=javascript:alert(1)": "bad_url",
    "/to?url=data:image/gif;base64,R0lGODlhAQABAAAAACw=": "bad_url",
    "/to?url=http://[::1": "bad_url",
    "/to?url=http://127.1:{port}/ok/secret": "bad_url",
    "/to?url=http://2130706433:{port}/ok/secret": "bad_url",
    "/to?url=//127.0.0.1:{port}/ok/secret": "loopback_address",
    "/to?url=http://localhost:{port}/ok/secret": "loopback_address",
    "/to?url=http://[::1]:{port}/ok/secret": "loopback_address",
    "/to?url=http://[::ffff:127.0.0.1]:{port}/ok/secret": "loopback_address",
    "/to?url=http://[64:ff9b::7f00:1]:{port}/ok/secret": "loopback_address",
    "/to?url=http://[2002:7f00:1::]:{port}/ok/secret": "loopback_address",
    "/to?url=http://0.0.0.0:{port}/ok/secret": "loopback_address",
    "/to?url=http://169.254.1.1/x": "link_local_address",
    "/to?url=http://[fe80::1]/x": "link_local_address",
    "/to?url=http://169.254.169.254/latest/meta-data": "metadata_address",
    "/to?url=http://[::ffff:169.254.169.254]/latest/meta-data": "metadata_address",
    "/to?url=http://[fd00:ec2::254]/latest/meta-data": "metadata_address",
    "/to?url=http://100.100.100.200/latest/meta-data": "metadata_address",
    "/to?url=http://10.0.0.1/x": "private_address",
    "/to?url=http://[::ffff:192.168.0.1]/x": "private_address",
    "/to?url=http://[fc00::1]/x": "private_address",
    "/to?url=http://metadata.test/latest/meta-data": "metadata_address",
    "/to?url=http://mapped.test:{port}/ok/secret": "loopback_address",
    # and asked for at once
    "http://127.0.0.1:{port}/ok/secret": "loopback_address",
    "http://localhost:{port}/ok/secret": "loopback_address",
    "http://private.test/x": "private_address",
    "http://link.test/x": "link_local_address",
    "http://rebinding.test/ok/1": "loopback_address",
    "http://mixed.test/ok/1": None,
    # consent
    "/header?X-Robots-Tag=noai": "opt_out_noai",
    "/header?X-Robots-Tag=noai, %FF": "opt_out_noai",
    "/header?tdm-reservation=1": "opt_out_tdm",
    "http://robots.test/ok/1": "robots_disallow",
    "http://silent.test/ok/1": "robots_unreachable",
    "http://broken.test/ok/1": "robots_unreachable",
    "http://flood.test/ok/1": None,  # robots.txt without end, read as far as RFC 9309 asks
    "http://reserved.test/ok/1": "opt_out_tdm",  # with half a surrogate pair in its policy
}
TDMREP = rb'[{"location": "/*", "tdm-reservation": 1, "tdm-policy": "\ud800"}]'
BODIES = {
    "robots": b"User-agent: *\nDisallow: /\n",
    "tdmrep": TDMREP,
    "bomb.png": bomb_png(),
    "page.html": b"<!doctype html><title>404</title>",
    "nothing": b"",
}
ALIASES: dict[str, dict[str, str]] = {
    "cut.test": {},
    "robots.test": {"/robots.txt": "/body/robots"},
    "silent.test": {"/robots.txt": "/head/silence"},
    "broken.test": {"/robots.txt": "/status/503"},
    "flood.test": {"/robots.txt": "/endless"},
    "reserved.test": {"/.well-known/tdmrep.json": "/body/tdmrep"},
}


@contextmanager
def unanswering_port() -> Iterator[int]:
    """A port whose queue of new connections is full: the next one waits for ever."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(3):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        yield server.getsockname()[1]


@pytest.fixture
def internet(monkeypatch: pytest.MonkeyPatch) -> Iterator[Internet]:
    internet = Internet()
    monkeypatch.setattr(addresses, "SystemResolver", lambda: internet)
    with internet.installed():
        yield internet


@pytest.fixture
def web(internet: Internet) -> Iterator[Faults]:
    """SITE and its neighbours; the server of SITE."""
    with ExitStack() as stack:
        site = stack.enter_context(serve_faults(jpeg(), BODIES))
        internet.add(SITE, 80, site.port)
        for name, aliases in ALIASES.items():
            internet.add(name, 80, stack.enter_context(serve_faults(jpeg(), BODIES, aliases)).port)
        internet.add("full.test", 80, stack.enter_context(unanswering_port()))
        internet.add("dead.test", 80, 1)
        internet.add("public.test", 80, site.port)
        (public,) = internet.names["public.test"]
        internet.names |= {
            "unanswered.test": [],
            "localhost": [["127.0.0.1", "::1"]],
            "metadata.test": [["169.254.169.254"]],
            "mapped.test": [["::ffff:127.0.0.1"]],
            "private.test": [["10.0.0.1", "192.168.1.1"]],
            "link.test": [["fe80::1"]],
            "mixed.test": [["10.0.0.1", *public, "127.0.0.1"]],
            "rebinding.test": [public, ["127.0.0.1"]],
        }
        yield site


def run(folder: Path, urls: list[str], **changes: Any) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Crawl the URLs: the report, and the outcome of each."""
    report = crawl(folder, [{"url": url, "text": url} for url in urls], **changes)
    rows = [*read_folder(folder / "out")]
    for path in sorted((folder / "out" / "dropped").glob("*.parquet")):
        rows += read_rows(path)
    assert len(rows) == len(urls)
    return report, {row["url"]: row for row in rows}


def crawl(folder: Path, rows: list[dict[str, str]], **changes: Any) -> dict[str, Any]:
    (folder / "data").mkdir(exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), folder / "data" / "index.parquet")
    sections: dict[str, Any] = {"raw_scrape": RawScrape(**LIMITS | changes).model_dump(mode="json")}
    names = "human_scenes human_caption human_caption_hq model stage1_checkpoint stage2_checkpoint benchmark_scores"
    sections |= {name: {} for name in [*names.split(), "registered_model"]}
    (folder / "params.yaml").write_text(yaml.safe_dump(sections))
    return run_stage("raw_scrape", folder / "params.yaml", out=folder / "out", force=True)


def reasons(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, str | None]:
    return {url: row.get("reason") for url, row in rows.items()}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HUMANVLM_WORKERS", "1")
    return tmp_path


def test_every_fault_ends_in_its_own_reason_and_in_time(
    here: Path, internet: Internet, web: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "FOUND_S", 0)  # every request looks its name up again
    expected = {
        (f"http://{SITE}{row}" if row.startswith("/") else row).replace("{port}", str(web.port)): reason
        for row, reason in ROWS.items()
    }
    start = time.monotonic()
    report, rows = run(here, list(expected))
    elapsed = time.monotonic() - start
    assert reasons(rows) == expected
    dropped = Counter(reason for reason in expected.values() if reason)
    kept = len(expected) - dropped.total()
    assert report["rows"] == {"in": len(expected), "kept": kept, "dropped": dict(sorted(dropped.items()))}
    # a site's own files and its picture may take the limit each; then start-up, pauses, decoding and plots
    assert elapsed < 2 * TIMEOUT_S + 5
    assert web.hits[SECRET] == 0
    assert internet.refused == set()
    assert {"127.0.0.1"} == CONTACTED
    assert internet.lookups["rebinding.test"] > 1


def test_hosts_that_cannot_be_talked_to_are_told_apart(
    here: Path, internet: Internet, web: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their robots.txt cannot be had either: asked for pictures alone, each says what is wrong with it."""
    trusting = ssl.create_default_context(cadata=authority().pem.decode())
    monkeypatch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", trusting)
    certificates = {
        "good.test": sign("good.test", authority()),
        "expired.test": sign("expired.test", authority(), days=-1),
        "other.test": sign("good.test", authority()),
        "self.test": sign("self.test"),
    }
    expected: dict[str, tuple[str | None, str]] = {
        "https://good.test/ok/1": (None, ""),
        "https://expired.test/ok/1": ("tls_error", "certificate has expired"),
        "https://other.test/ok/1": ("tls_error", "Hostname mismatch"),
        "https://self.test/ok/1": ("tls_error", "self-signed certificate"),
        "https://plain.test/ok/1": ("tls_error", ""),  # no TLS there
        "http://plain.test:443/to?url=https://plain.test/ok/1": ("tls_error", ""),
        "http://good.test:443/ok/1": ("connect_error", ""),  # nothing but TLS there
        "https://silent.test/ok/1": ("connect_timeout", "silent.test"),
        "http://dead.test/ok/1": ("connect_error", ""),
        "http://full.test/ok/1": ("connect_timeout", "full.test"),
    }
    with ExitStack() as stack:
        for name, signed in certificates.items():
            server = stack.enter_context(serve_faults(jpeg(), tls=server_context(signed, here)))
            internet.add(name, 443, server.port)
        internet.add("plain.test", 443, web.port)
        silent = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        internet.add("silent.test", 443, silent.getsockname()[1])
        quiet: dict[str, Any] = dict.fromkeys(CONSENT_FILES, False) | {"timeout_s": 2.5, "connect_timeout_s": 0.7}
        _, rows = run(here, list(expected), **quiet)
        assert reasons(rows) == {url: reason for url, (reason, _) in expected.items()}
        for url, (_, detail) in expected.items():
            assert detail in (rows[url].get("detail") or "")
        assert rows["https://good.test/ok/1"]["tls"] == "verified"
        report, rows = run(here, list(expected)[:5], verify_tls=False, **quiet)
        assert set(list(reasons(rows).values())[:4]) == {None}
        assert [rows[url]["tls"] for url in list(expected)[:4]] == ["unverified"] * 4
        assert report["info"]["tls"] == {"unverified": 4}
        _, rows = run(here, list(expected)[:5])
        assert set(list(reasons(rows).values())[1:]) <= {"robots_unreachable", "tls_error"}
    assert internet.refused == set()


def test_one_host_gets_no_more_requests_at_once_than_allowed(here: Path, web: Faults) -> None:
    urls = [f"http://{SITE}/slowly/{number}" for number in range(24)]
    report, _ = run(here, urls, per_host=3)
    assert report["rows"]["kept"] == 24
    assert web.most_at_once == 3


def test_a_url_of_several_rows_is_asked_for_once(here: Path, web: Faults) -> None:
    """In whichever shard they are; its failures too, but for the attempts that are configured."""
    urls = [f"http://{SITE}/{path}" for path in ("ok/1", "status/404", "status/500", "ok/2")]
    rows = [{"url": url, "text": f"{number}"} for number, url in enumerate(urls * 3)]
    report = crawl(here, rows, rows_per_shard=5)
    dropped = {"duplicate_url": 8, "http_404": 1, "http_500": 1}
    assert report["rows"] == {"in": 12, "kept": 2, "dropped": dropped}
    hits = {path: web.hits[f"/{path}"] for path in ("ok/1", "ok/2", "status/404", "status/500")}
    assert hits == {"ok/1": 1, "ok/2": 1, "status/404": 1, "status/500": 2}
    assert [web.hits[path] for path in SITE_FILES] == [1, 1, 1]


def test_a_host_that_asks_for_time_gets_it_and_others_do_not_wait(here: Path, web: Faults) -> None:
    busy = [f"http://{SITE}/status/429?after=1", *(f"http://{SITE}/ok/{number}" for number in range(3))]
    other = [f"http://public.test/ok/other{number}" for number in range(3)]
    _, rows = run(here, [*busy, *other], per_host=1, retries=0, max_retry_after_s=9)
    assert reasons(rows)[busy[0]] == "http_429"
    asked = web.times["/status/429"]
    assert all(web.times[f"/ok/{number}"] - asked >= 1 for number in range(3))
    assert all(web.times[f"/ok/other{number}"] - asked < 0.9 for number in range(3))


def test_credentials_of_addresses_are_sent_and_stored_nowhere(here: Path, web: Faults) -> None:
    sent = [f"http://me:secret@{SITE}/{path}" for path in ("ok/1", "status/404", "loop/a", "body/page.html")]
    report = crawl(here, [{"url": url, "text": "a text"} for url in sent])
    assert web.authorized["/ok/1"].startswith("Basic ")
    out = here / "out"
    rows = [*read_folder(out), *(row for path in (out / "dropped").glob("*.parquet") for row in read_rows(path))]
    assert {row["url"] for row in rows} == {url.replace("me:secret@", "") for url in sent}
    assert "secret" not in repr(rows)
    assert "secret" not in "".join(path.read_text() for path in out.rglob("*.json"))
    hits = web.hits.copy()
    params = here / "params.yaml"
    pq.write_table(pa.Table.from_pylist([{"url": url, "text": "another"} for url in sent]), here / "data/index.parquet")
    again = run_stage("raw_scrape", params, out=out)
    assert again["rows"] == report["rows"]
    assert web.hits == hits  # the same addresses, known


def test_a_crawl_delay_is_kept(here: Path, internet: Internet, monkeypatch: pytest.MonkeyPatch) -> None:
    intervals: list[float] = []
    acquire = HostLimiter.acquire

    async def noted(limiter: HostLimiter, interval_s: float) -> None:  # that it waits so long is test_hosts.py's
        intervals.append(interval_s)
        await acquire(limiter, 0)

    monkeypatch.setattr(HostLimiter, "acquire", noted)
    robots = b"User-agent: *\nCrawl-delay: 7\n"
    with serve_faults(jpeg(), {"robots": robots}, {"/robots.txt": "/body/robots"}) as slow:
        internet.add("slow.test", 80, slow.port)
        _, rows = run(here, [f"http://slow.test/ok/{number}" for number in range(5)])
    assert set(reasons(rows).values()) == {None}
    assert intervals == [7.0] * 5


@pytest.mark.slow
def test_a_crawl_that_is_killed_again_and_again_loses_nothing(repo: Path) -> None:
    options = {"rows": 60, "kills": 3, "seconds": 2, "rows-per-shard": 16, "processes": 1}
    command = [sys.executable, str(repo / "benchmarks" / "kill.py")]
    command += [f"--{name}={value}" for name, value in options.items()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["kills"] >= 1
    assert figures["equal_to_undisturbed"]
    assert (figures["outcomes_lost"], figures["outcomes_asked_for_again"]) == (0, 0)
    assert figures["requests_repeated"] <= 2 * 8 * figures["kills"]  # 8 in flight, each perhaps in its second attempt
