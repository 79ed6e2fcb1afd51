"""What one slow row holds up: shards go on beside it, as many as their rows may take."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from humanvlm.config.raw_scrape import RawScrape
from humanvlm.data.tombstones import Tombstones
from humanvlm.scrape import crawl as crawling
from humanvlm.scrape.addresses import Policy
from humanvlm.scrape.crawl import Partition, crawl
from humanvlm.scrape.plan import Slice
from humanvlm.scrape.reasons import RefusedError

SHARDS, ROWS = 40, 2
SLOW = range(0, 20 * ROWS, ROWS)  # the first row of each of the first shards


def crawled(folder: Path) -> list[int]:
    """The rows in the order of their outcomes, where the slow ones answer when no other is asked for."""
    index = folder / "index.parquet"
    rows = [{"url": f"http://host{n}.test/a.jpg", "text": "", "captions": []} for n in range(SHARDS * ROWS)]
    pq.write_table(pa.Table.from_pylist(rows), index)
    every = np.packbits(np.ones(ROWS, bool)).tobytes()
    none = np.packbits(np.zeros(ROWS, bool)).tobytes()
    slices = [Slice(n, n * ROWS, (n + 1) * ROWS, every, none) for n in range(SHARDS)]
    config = RawScrape()
    (folder / "out" / ".work" / "journal").mkdir(parents=True)
    seen: list[int] = []

    async def download(url: str, turn: Any) -> Any:
        number = int(url.removeprefix("http://host").partition(".")[0])
        if number in SLOW:
            before = -1
            while before != len(seen):
                before = len(seen)
                await asyncio.sleep(0.5)
        seen.append(number)
        raise RefusedError("timeout")

    asyncio.run(crawl(Partition(0, slices, index, folder / "out", config, Policy(), Tombstones(), 1), download))
    assert len(list((folder / "out").glob("shard-*.parquet"))) == SHARDS
    assert sorted(seen) == list(range(SHARDS * ROWS))
    return seen


def test_slow_rows_hold_up_no_shard_after_theirs(tmp_path: Path) -> None:
    assert set(crawled(tmp_path)[-len(SLOW) :]) == set(SLOW)


def test_open_shards_are_bounded_by_their_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crawling, "MAX_OPEN_ROWS", 10 * ROWS)
    seen = crawled(tmp_path)
    assert seen.index(SLOW[0]) < seen.index(SHARDS * ROWS - 1)  # whose shard waited for one of ten to end


def test_what_waits_is_bounded_by_rows_and_by_files(tmp_path: Path) -> None:
    nothing: Any = None
    task = Partition(0, [], tmp_path, tmp_path, RawScrape(), Policy(), Tombstones(), 1)
    whole = crawling._Crawl(task, nothing, nothing, nothing, nothing)
    whole.open, whole.open_rows = 15, 75_000
    assert not whole._full(5000)
    assert whole._full(5001)
    whole.open, whole.open_rows = crawling.MAX_OPEN_SHARDS, crawling.MAX_OPEN_SHARDS
    assert whole._full(1)
