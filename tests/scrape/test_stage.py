import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from humanvlm.config import RawScrape
from humanvlm.errors import UserError
from humanvlm.scrape.addresses import Policy
from humanvlm.scrape.stage import plan, scrape_shard
from humanvlm.scrape.urls import duplicate_rows, read_index, sample_id
from humanvlm.shards import read_folder
from humanvlm.stage import run_stage

from .conftest import jpeg

HOST = "photos.test"


def write_index(folder: Path, rows: list[dict[str, Any]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "data" / "index.parquet"
    path.parent.mkdir(exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=7)
    return path


def write_params(folder: Path, **changes: Any) -> Path:
    sections = RawScrape(local_hosts={HOST: "site"}, rows_per_shard=8, timeout_s=5, **changes).model_dump(mode="json")
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


def scrape(here: Path, out: str = "artifacts/raw_scrape") -> dict[str, Any]:
    return run_stage("raw_scrape", here / "params.yaml", out=Path(out))


def test_every_row_is_kept_or_dropped_under_a_reason_in_index_order(here: Path) -> None:
    urls = write_site(here, 20, {"3.jpg": {"status": 410}, "4.jpg": {"headers": {"X-Robots-Tag": "noai"}}})
    (here / "site" / "5.jpg").write_text("<html>")
    (here / "site" / "6.jpg").write_bytes(jpeg(orientation=6))
    rows = [{"url": url, "captions": [f"picture {n}", "more"], "license": "CC0"} for n, url in enumerate(urls)]
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
        "kept": 18,
        "dropped": {
            "bad_url": 2, "duplicate_row": 1, "http_410": 1, "not_an_image": 1, "opt_out_noai": 1, "private_address": 1,
        },
    }  # fmt: skip
    kept = list(read_folder(here / "artifacts/raw_scrape"))
    assert [row["url"] for row in kept] == [url for n, url in enumerate(urls) if n not in (3, 4, 5)] + [urls[0]]
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
    assert kept[-1]["image"] == first["image"]
    assert len({row["id"] for row in kept}) == len(kept)
    dropped = list(read_folder(here / "artifacts/raw_scrape/dropped"))
    assert [row["reason"] for row in dropped if row["url"] == urls[4]] == ["opt_out_noai"]
    assert report["info"]["hosts"][HOST] == {
        "duplicate_row": 1, "http_410": 1, "kept": 18, "not_an_image": 1, "opt_out_noai": 1,
    }  # fmt: skip
    assert report["metrics"]["success_rate"] == 18 / 25
    for plot in report["plots"]:
        assert (here / "artifacts/raw_scrape" / plot).stat().st_size > 1000


def test_workers_change_nothing(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    urls = write_site(here, 24, {"2.jpg": {"delay_s": 0.3}, "9.jpg": {"status": 404}, "11.jpg": {"truncate": 500}})
    write_index(
        here, [{"url": url, "text": f"t{n % 3}"} for n, url in enumerate([*urls, *urls[:4], "http://x.invalid/"])]
    )
    write_params(here)
    one = scrape(here, "one")
    monkeypatch.setenv("HUMANVLM_WORKERS", "2")
    two = scrape(here, "two")
    assert one["rows"] == two["rows"]
    assert one["outputs"] == two["outputs"]  # byte for byte
    assert one["info"] == two["info"]


def test_a_killed_run_continues_where_it_was(here: Path) -> None:
    count = 48
    urls = write_site(here, count, {f"{n}.jpg": {"delay_s": 0.25} for n in range(count)})
    write_index(here, [{"url": url, "text": "x"} for url in urls])
    write_params(here, concurrency=4)
    command = [sys.executable, "-c", "from humanvlm.cli import main; main()", "raw_scrape"]
    environment = os.environ | {"HUMANVLM_WORKERS": "2"}
    work = here / "artifacts/raw_scrape/.work"
    with subprocess.Popen(command, cwd=here, env=environment, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while len(list(work.glob("shard-*.json"))) < 2:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    time.sleep(1)
    finished = {path.stem: path.stat().st_mtime_ns for path in work.glob("shard-*.json")}
    assert 2 <= len(finished) < count // 8
    assert not (here / "artifacts/raw_scrape/report.json").exists()
    shards = {name: (work.parent / f"{name}.parquet").stat().st_mtime_ns for name in finished}

    report = scrape(here)
    assert {name: (work.parent / f"{name}.parquet").stat().st_mtime_ns for name in finished} == shards
    assert report["rows"] == {"in": count, "kept": count, "dropped": {}}
    write_site(here, count)  # the same pictures, without delay
    assert scrape(here, "clean")["outputs"] == report["outputs"]


def test_the_index_is_checked_before_any_work(here: Path) -> None:
    write_params(here)
    write_site(here, 1)
    (here / "data").mkdir()
    for rows, message in [
        ([{"link": "http://a/b"}], r"data/index.parquet: no column 'url'; has link"),
        ([{"url": 3}], r"column 'url' is int64, must be a string"),
        ([{"url": "http://a/b", "captions": "x"}], r"column 'captions' is string, must be a list of strings"),
        ([{"url": "http://a/b", "text": 1.5}], r"column 'text' is double, must be a string"),
    ]:
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
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        policy = Policy(local_hosts=(HOST,), port=unused.getsockname()[1])
    (task,) = plan(path, 1, here / "out", RawScrape(local_hosts={HOST: "site"}, retries=0), policy).values()
    with pytest.raises(UserError, match="run the same command again"):
        scrape_shard(task)
    assert not (here / "out").exists()


def test_an_empty_index_makes_an_empty_artifact(here: Path) -> None:
    write_site(here, 1)
    write_params(here)
    path = here / "data" / "index.parquet"
    path.parent.mkdir()
    pq.write_table(pa.table({"url": pa.array([], pa.string())}), path)
    assert scrape(here)["rows"] == {"in": 0, "kept": 0, "dropped": {}}


def test_ranges_of_the_index_cover_it_once(tmp_path: Path) -> None:
    rows = [{"url": f"http://a/{n}", "text": None if n % 2 else "x"} for n in range(50)]
    path = write_index(tmp_path, [*rows, *rows[10:13]])
    everything = [row.url for row in read_index(path, 0, 53)]
    assert everything == [row["url"] for row in [*rows, *rows[10:13]]]
    for start, stop in [(0, 7), (6, 8), (13, 14), (20, 50), (49, 99), (53, 60)]:
        assert [row.url for row in read_index(path, start, stop)] == everything[start:stop]
    assert duplicate_rows(path).tolist() == [50, 51, 52]
    tasks = plan(path, 53, tmp_path, RawScrape(rows_per_shard=17), Policy())
    assert [(task.start, task.stop) for task in tasks.values()] == [(0, 17), (17, 34), (34, 51), (51, 53)]
    assert [sorted(task.duplicates) for task in tasks.values()] == [[], [], [50], [51, 52]]


def test_datasets_reads_the_shards_and_nothing_else(here: Path) -> None:
    from datasets import load_dataset

    urls = write_site(here, 10, {"1.jpg": {"status": 404}})
    write_index(here, [{"url": url, "text": "x"} for url in urls])
    write_params(here)
    scrape(here)
    data = load_dataset(str(here / "artifacts/raw_scrape"), cache_dir=str(here / "cache"))
    assert {split: len(rows) for split, rows in data.items()} == {"train": 9}
    assert data["train"][0]["image"].size == (64, 48)
