import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from humanvlm.config.raw_scrape import RawScrape
from humanvlm.data.shards import read_folder, read_rows
from humanvlm.data.tombstones import Tombstones
from humanvlm.errors import UserError
from humanvlm.pipeline.runner import run_stage
from humanvlm.scrape.addresses import Policy
from humanvlm.scrape.crawl import Partition, crawl_partition
from humanvlm.scrape.journal import Journal
from humanvlm.scrape.reconcile import reconciled
from humanvlm.scrape.urls import sample_id

from .conftest import jpeg

HOST = "photos.test"


def write_index(folder: Path, rows: list[dict[str, Any]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "data" / "index.parquet"
    path.parent.mkdir(exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=7)
    return path


def write_params(folder: Path, **changes: Any) -> Path:
    values = {"local_hosts": {HOST: "site"}, "rows_per_shard": 8, "timeout_s": 5, **changes}
    sections = RawScrape(**values).model_dump(mode="json")
    names = "human_scenes human_caption human_caption_hq model stage1_checkpoint stage2_checkpoint benchmark_scores"
    others: dict[str, Any] = {name: {} for name in [*names.split(), "registered_model"]}
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump({"raw_scrape": sections, **others}))
    return path


def write_site(folder: Path, count: int, behaviours: Mapping[str, Any] | None = None) -> list[str]:
    site = folder / "site"
    site.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        (site / f"{number}.jpg").write_bytes(jpeg(seed=number))
    (site / "_headers.json").write_text(json.dumps(behaviours or {}))
    return [f"http://{HOST}/{number}.jpg" for number in range(count)]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HUMANVLM_WORKERS", "1")
    return tmp_path


def scrape(
    here: Path,
    out: str = "artifacts/raw_scrape",
    retry: Sequence[str] = (),
    refetch: bool = False,
    remove_missing: bool = False,
) -> dict[str, Any]:
    params = here / "params.yaml"
    return run_stage("raw_scrape", params, out=Path(out), retry=retry, refetch=refetch, remove_missing=remove_missing)


def test_every_row_is_kept_or_dropped_under_a_reason_in_index_order(here: Path) -> None:
    urls = write_site(here, 20, {"3.jpg": {"status": 410}, "4.jpg": {"headers": {"X-Robots-Tag": "noai"}}})
    (here / "site" / "5.jpg").write_text("<html>")
    (here / "site" / "6.jpg").write_bytes(jpeg(orientation=6))
    rows: list[dict[str, Any]] = [
        {"url": url, "captions": [f"picture {n}", "more"], "license": "CC0"} for n, url in enumerate(urls)
    ]
    extra = [
        (None, "x"),
        ("ftp://a/b", "x"),
        ("http://10.0.0.1/a.jpg", "x"),
        (urls[0], "other text"),
        (urls[1], "picture 1"),
    ]
    rows += [{"url": url, "captions": [text], "license": None} for url, text in extra]
    write_index(here, rows)
    write_params(here)
    report = scrape(here)
    assert report["rows"] == {
        "in": 25,
        "kept": 17,
        "dropped": {
            "bad_url": 2, "duplicate_url": 2, "http_410": 1, "not_an_image": 1, "opt_out_noai": 1, "private_address": 1,
        },
    }  # fmt: skip
    kept = list(read_folder(here / "artifacts/raw_scrape"))
    assert [row["url"] for row in kept] == [url for n, url in enumerate(urls) if n not in (3, 4, 5)]
    first = kept[0]
    assert (
        first["id"]
        == sample_id(urls[0], "picture 0")
        == hashlib.sha256(f"{urls[0]}\npicture 0".encode()).hexdigest()[:20]
    )
    assert (first["text"], first["captions"], first["license"]) == ("picture 0", ["picture 0", "more"], "CC0")
    assert first["image"]["bytes"] == jpeg(seed=0)
    assert first["sha256"] == hashlib.sha256(jpeg(seed=0)).hexdigest()
    assert (first["width"], first["height"], first["format"], first["status"]) == (64, 48, "JPEG", 200)
    turned = next(row for row in kept if row["url"] == urls[6])
    assert (turned["width"], turned["height"]) == (48, 64)
    assert len({row["id"] for row in kept}) == len(kept)
    dropped = list(read_folder(here / "artifacts/raw_scrape/dropped"))
    assert [row["reason"] for row in dropped if row["url"] == urls[4]] == ["opt_out_noai"]
    assert report["info"]["hosts"][HOST] == {
        "duplicate_url": 2, "http_410": 1, "kept": 17, "not_an_image": 1, "opt_out_noai": 1,
    }  # fmt: skip
    assert report["metrics"]["success_rate"] == 17 / 25
    for plot in report["plots"]:
        assert (here / "artifacts/raw_scrape" / plot).stat().st_size > 1000


def without_times(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Rows of each shard file, but for the time at which they were fetched."""
    paths = sorted([*folder.glob("shard-*.parquet"), *folder.glob("dropped/shard-*.parquet")])
    found = {str(path.relative_to(folder)): list(read_rows(path)) for path in paths}
    return {name: [row | {"fetched_at": None} for row in rows] for name, rows in found.items()}


def test_workers_change_nothing(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("humanvlm.scrape.stage.MIN_PARTITION_ROWS", 8)
    urls = write_site(here, 24, {"2.jpg": {"delay_s": 0.3}, "9.jpg": {"status": 404}, "11.jpg": {"truncate": 500}})
    write_index(
        here, [{"url": url, "text": f"t{n % 3}"} for n, url in enumerate([*urls, *urls[:4], "http://x.invalid/"])]
    )
    write_params(here)
    one = scrape(here, "one")
    monkeypatch.setenv("HUMANVLM_WORKERS", "2")
    two = scrape(here, "two")
    assert one["rows"] == two["rows"]
    assert one["info"] == two["info"]
    assert without_times(here / "one") == without_times(here / "two")


def test_provenance_is_kept_with_each_row(here: Path) -> None:
    before = int(time.time())
    headers = {"Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT", "X-Robots-Tag": "noindex"}
    urls = write_site(here, 2, {"1.jpg": {"headers": headers}})
    write_index(here, [{"url": url, "text": "x", "md5": hashlib.md5(jpeg(seed=0)).hexdigest()} for url in urls])
    write_params(here)
    scrape(here)
    (row,) = read_folder(here / "artifacts/raw_scrape")
    assert row["fetched_at"].timestamp() >= before
    assert (row["status"], row["content_type"], row["bytes"]) == (200, "image/jpeg", len(jpeg(seed=0)))
    assert row["etag"]
    (drop,) = read_folder(here / "artifacts/raw_scrape/dropped")
    assert (drop["reason"], drop["status"]) == ("md5_mismatch", 200)
    write_index(here, [{"url": urls[1], "text": "y"}])
    scrape(here, retry=["md5_mismatch"], remove_missing=True)
    (row,) = read_folder(here / "artifacts/raw_scrape")
    assert row["last_modified"] == headers["Last-Modified"]
    assert json.loads(row["headers"]) == {"x-robots-tag": "noindex"}


def command(here: Path, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
    line = [sys.executable, "-c", "from humanvlm.cli import main; main()", "raw_scrape", *arguments]
    return subprocess.Popen(line, cwd=here, env=os.environ | environment, stderr=subprocess.DEVNULL)


def test_a_killed_run_continues_where_it_was(here: Path) -> None:
    count = 48
    urls = write_site(here, count, {f"{n}.jpg": {"delay_s": 0.2} for n in range(count)})
    write_index(here, [{"url": url, "text": "x"} for url in urls])
    write_params(here, concurrency=3)
    out = here / "artifacts/raw_scrape"
    with command(here) as process:
        deadline = time.monotonic() + 60
        while len(list(out.glob("records/shard-*.json"))) < 2:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    finished = {path.stem: path.stat().st_mtime_ns for path in out.glob("shard-*.parquet")}
    assert 2 <= len(finished) < count // 8
    assert not (out / "report.json").exists()
    journals = [Journal(path) for path in out.glob(".work/journal/*")]
    fetched = {row["fetched_at"] for row in read_folder(out)}
    fetched |= {entry.row["fetched_at"] for journal in journals for entry in journal.entries.values()}
    known = {row["id"] for row in read_folder(out)}  # the journal of a finished shard may be there still
    known |= {entry.row["id"] for journal in journals for entry in journal.entries.values()}
    write_site(here, count)  # the same pictures, without delay
    time.sleep(1.1)

    report = scrape(here)
    assert {path.stem: path.stat().st_mtime_ns for path in out.glob("shard-*.parquet") if path.stem in finished} == (
        finished
    )
    assert report["rows"] == {"in": count, "kept": count, "dropped": {}}
    old = [row for row in read_folder(out) if row["fetched_at"] in fetched]
    assert len(known) >= 8 * len(finished)
    assert {row["id"] for row in old} >= known  # rows of unfinished shards too were not fetched again
    scrape(here, "clean")
    assert without_times(here / "clean") == without_times(out)


def test_an_index_that_grew_downloads_only_what_is_new(here: Path) -> None:
    urls = write_site(here, 20, {"3.jpg": {"status": 404}})
    rows = [{"url": url, "text": f"t{n}"} for n, url in enumerate(urls)]
    write_index(here, rows[:12])
    write_params(here)
    scrape(here)
    out = here / "artifacts/raw_scrape"
    before = {path.name: path.stat().st_mtime_ns for path in out.glob("shard-*.parquet")}
    write_site(here, 20, {f"{n}.jpg": {"status": 500} for n in range(12)})  # what is there is not asked for again
    write_index(here, [*rows[14:], *rows[:14], rows[0] | {"text": "other"}])
    report = scrape(here)
    assert report["rows"] == {"in": 21, "kept": 19, "dropped": {"duplicate_url": 1, "http_404": 1}}
    assert {path.name: path.stat().st_mtime_ns for path in out.glob("shard-*.parquet") if path.name in before} == before
    assert {row["id"] for row in read_folder(out)} == {sample_id(r["url"], r["text"]) for r in rows if r != rows[3]}
    write_site(here, 20)
    write_index(here, [row for n, row in enumerate(rows) if n not in (1, 3)])  # and one that shrank loses rows
    assert scrape(here)["rows"] == {"in": 18, "kept": 18, "dropped": {}}
    scrape(here, "afresh")
    assert ids(out) == ids(here / "afresh")


def ids(folder: Path) -> set[tuple[str, str]]:
    return {(row["id"], row["sha256"]) for row in read_folder(folder, ("id", "sha256"))}


def test_failed_rows_are_asked_for_again_by_reason(here: Path) -> None:
    broken = {"2.jpg": {"status": 503}, "9.jpg": {"status": 503}, "5.jpg": {"status": 404}, "6.jpg": {"truncate": 99}}
    urls = write_site(here, 16, broken)
    write_index(here, [{"url": url, "text": "x"} for url in [*urls, urls[2]]])
    write_params(here, retries=0)
    failed = {"duplicate_url": 1, "http_404": 1, "http_503": 2, "incomplete_body": 1}
    assert scrape(here)["rows"]["dropped"] == failed
    out = here / "artifacts/raw_scrape"
    before = {path.name: path.stat().st_mtime_ns for path in out.glob("shard-*.parquet")}
    write_site(here, 16, {"9.jpg": {"status": 503}})
    assert scrape(here)["rows"]["dropped"] == failed  # up to date: nothing is asked without being told so
    assert scrape(here, retry=["http_503"])["rows"]["dropped"] == failed | {"http_503": 1}
    assert scrape(here, retry=["transient"])["rows"]["dropped"] == {
        "duplicate_url": 1, "http_404": 1, "http_503": 1,
    }  # fmt: skip
    assert scrape(here, retry=["http_404"])["rows"]["dropped"] == {"duplicate_url": 1, "http_503": 1}
    assert {path.name: path.stat().st_mtime_ns for path in out.glob("shard-*.parquet") if path.name in before} == before
    write_site(here, 16)
    report = scrape(here, retry=["transient"])
    assert report["rows"] == {"in": 17, "kept": 16, "dropped": {"duplicate_url": 1}}
    scrape(here, "afresh")
    assert ids(out) == ids(here / "afresh")


def test_a_retry_that_is_interrupted_and_planned_anew_loses_nothing(here: Path) -> None:
    urls = write_site(here, 24, {f"{n}.jpg": {"status": 503} for n in range(24)})
    rows = [{"url": url, "text": "x"} for url in urls]
    write_index(here, rows)
    write_params(here, retries=0)
    with pytest.raises(UserError, match="none of 24 rows has a picture, mostly http_503"):
        scrape(here)
    out = here / "artifacts/raw_scrape"
    write_site(here, 24, {f"{n}.jpg": {"delay_s": 0.1} for n in range(24)})
    write_params(here, retries=0, concurrency=1)
    with command(here, "--retry-failed") as process:
        deadline = time.monotonic() + 60
        while len(list(out.glob("records/shard-*.json"))) < 4:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    write_site(here, 24)
    write_index(here, rows[:20])
    write_params(here, retries=0)
    report = scrape(here, retry=["transient"], remove_missing=True)
    assert report["rows"] == {"in": 20, "kept": 20, "dropped": {}}


def test_rows_that_were_taken_down_are_not_fetched_and_leave(here: Path) -> None:
    urls = write_site(here, 12)
    write_index(here, [{"url": url, "text": "x"} for url in urls])
    write_params(here)
    scrape(here)
    (here / "tombstones.csv").write_text(
        f"kind,value,date\nsha256,{hashlib.sha256(jpeg(seed=9)).hexdigest()},2026-01-01\n"
        f"url,{hashlib.sha256(urls[4].encode()).hexdigest()},2026-01-01\n"
    )
    for out in ("artifacts/raw_scrape", "afresh"):
        assert scrape(here, out)["rows"] == {"in": 12, "kept": 10, "dropped": {"forgotten": 2}}
        assert not {urls[4], urls[9]} & {row["url"] for row in read_folder(here / out)}
        assert scrape(here, out)["rows"]["kept"] == 10
    assert len(list((here / "afresh/records").glob("shard-*"))) == 2


def test_a_host_s_wishes_are_heeded(here: Path) -> None:
    urls = write_site(here, 3)
    (here / "site" / "robots.txt").write_text("User-agent: humanvlm\nCrawl-delay: 0.4\nDisallow: /1.jpg\n")
    write_index(here, [{"url": url, "text": "x"} for url in urls])
    write_params(here)
    start = time.monotonic()
    assert scrape(here)["rows"]["dropped"] == {"robots_disallow": 1}
    assert time.monotonic() - start > 0.4
    write_params(here, respect_robots_txt=False)
    assert scrape(here, retry=["robots_disallow"])["rows"]["kept"] == 3


def test_reports_show_hosts_statuses_and_sizes(here: Path) -> None:
    urls = write_site(here, 9, {"3.jpg": {"status": 404}})
    write_index(here, [{"url": url, "text": "x"} for url in [*urls, "http://10.0.0.1/x"]])
    write_params(here)
    tables = scrape(here)["info"]["tables"]
    assert tables["rows by reason"][0] == {"reason": "kept", "rows": 8, "share": "80.0%"}
    assert tables["hosts with most rows"][0] == {
        "host": HOST, "rows": 9, "kept": 8, "success": "88.9%", "commonest failures": "http_404 1",
    }  # fmt: skip
    assert tables["rows by HTTP status"][0] == {"status": "200", "rows": 8, "share": "80.0%"}
    assert sum(row["pictures"] for row in tables["pictures by size"]) == 8
    manifest = json.loads((here / "artifacts/raw_scrape/manifest.json").read_text())["files"]
    for file in manifest:
        assert hashlib.sha256((here / "artifacts/raw_scrape" / file["path"]).read_bytes()).hexdigest() == file["sha256"]


def test_the_index_is_checked_before_any_work(here: Path) -> None:
    write_params(here)
    write_site(here, 1)
    (here / "data").mkdir()
    broken: list[tuple[list[dict[str, Any]], str]] = [
        ([{"link": "http://a/b"}], r"data/index.parquet: no column 'url'; has link"),
        ([{"url": 3}], r"column 'url' is int64, must be a string"),
        ([{"url": "http://a/b", "captions": "x"}], r"column 'captions' is string, must be a list of strings"),
        ([{"url": "http://a/b", "text": 1.5}], r"column 'text' is double, must be a string"),
    ]
    for rows, message in broken:
        write_index(here, rows)
        with pytest.raises(UserError, match=message):
            scrape(here)
    (here / "data/index.parquet").unlink()
    with pytest.raises(UserError, match=r"data/index.parquet: no such file; make it with `humanvlm sample`"):
        scrape(here)
    (here / "data/index.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match=r"index\.parquet: truncated or not Parquet"):
        scrape(here)


def test_a_missing_local_folder_is_named(here: Path) -> None:
    write_params(here)
    write_index(here, [{"url": f"http://{HOST}/0.jpg"}])
    with pytest.raises(UserError, match="site: no such folder"):
        scrape(here)


def test_a_shard_is_not_written_when_the_local_server_is_gone(here: Path) -> None:
    path = write_index(here, [{"url": f"http://{HOST}/0.jpg"}])
    with reconciled(path, 8, here) as found:
        (part,) = found.plan.slices
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        policy = Policy(local_hosts=(HOST,), port=unused.getsockname()[1])
    config = RawScrape(local_hosts={HOST: "site"}, retries=0)
    with pytest.raises(UserError, match="run the same command again"):
        crawl_partition(Partition(0, [part], path, here / "out", config, policy, Tombstones(), 1))
    assert not list((here / "out").glob("*.parquet"))


def test_an_empty_index_makes_an_empty_artifact(here: Path) -> None:
    write_site(here, 1)
    write_params(here)
    path = here / "data" / "index.parquet"
    path.parent.mkdir()
    pq.write_table(pa.table({"url": pa.array([], pa.string())}), path)
    assert scrape(here)["rows"] == {"in": 0, "kept": 0, "dropped": {}}


def test_datasets_reads_the_shards_and_nothing_else(here: Path) -> None:
    from datasets import load_dataset

    urls = write_site(here, 10, {"1.jpg": {"status": 404}})
    write_index(here, [{"url": url, "text": "x"} for url in urls])
    write_params(here)
    scrape(here)
    data = load_dataset(str(here / "artifacts/raw_scrape"), cache_dir=str(here / "cache"))
    assert {split: len(rows) for split, rows in data.items()} == {"train": 9}
    assert data["train"][0]["image"].size == (64, 48)
