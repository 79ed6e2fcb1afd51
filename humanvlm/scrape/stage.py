"""Stage raw_scrape: download the URL index into image-text shards, every row kept or dropped under a reason."""

import asyncio
import socket
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pyarrow as pa

from humanvlm import engine
from humanvlm.card import write_card
from humanvlm.config import RawScrape
from humanvlm.errors import UserError
from humanvlm.plots import contact_sheet, funnel, sample_rows
from humanvlm.scrape.addresses import Policy, parse_url
from humanvlm.scrape.fetch import Fetched, fetch, open_session
from humanvlm.scrape.reasons import RefusedError
from humanvlm.scrape.urls import IndexRow, duplicate_rows, open_index, read_index
from humanvlm.scrape.verify import Picture, verify
from humanvlm.shards import IMAGE, shard_name, write_shard
from humanvlm.stage import Counts, Outcome, ShardResult, StageRun

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("url", pa.string()),
        ("final_url", pa.string()),
        ("text", pa.string()),
        ("captions", pa.list_(pa.string())),
        ("license", pa.string()),
        ("image", IMAGE),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("format", pa.string()),
        ("sha256", pa.string()),
        ("status", pa.int32()),
        ("content_type", pa.string()),
        ("etag", pa.string()),
        ("last_modified", pa.string()),
    ]
)
DROPPED = pa.schema([(name, pa.string()) for name in ("id", "url", "reason", "detail")])
HOSTS_SHOWN = 50
DECODERS = 2
CARD = """Image-text pairs downloaded by `humanvlm raw_scrape`, one row a sample: the picture as it was served (turned
upright when its EXIF data asked for it), the texts of the URL index, and the provenance of the download. Rows that were
not kept are in `dropped/`, each with its reason; `report.json` has the counts.

The pictures belong to their authors. Check the `license` column, and the sites' terms, before any use."""


@dataclass(frozen=True)
class ShardTask:
    """Rows ``start`` to ``stop`` of the index and how to fetch them. duplicates: rows of these that repeat an earlier
    one. config: its connection limits are this process's part of them."""

    index: Path
    number: int
    start: int
    stop: int
    duplicates: frozenset[int]
    out: Path
    config: RawScrape
    policy: Policy


@dataclass(frozen=True)
class Drop:
    reason: str
    detail: str
    status: int | None = None


@dataclass(frozen=True)
class Kept:
    fetched: Fetched
    picture: Picture


def run(run: StageRun) -> Outcome:
    """Download ``data/index.parquet``; see ``humanvlm.scrape.fetch`` and ``verify`` for the reasons of drops."""
    config: RawScrape = run.config
    index = run.inputs["data"] / "index.parquet"
    total = open_index(index).metadata.num_rows
    with local_server(config) as policy:
        results = run.map_shards(scrape_shard, plan(index, total, run.out, config, policy))
    return _outcome(run, results)


@contextmanager
def local_server(config: RawScrape) -> Iterator[Policy]:
    """Serve the configured folders while the block runs; the policy says how their host names are reached."""
    if not config.local_hosts:
        yield Policy(config.allow_private_hosts)
        return
    from humanvlm.sample.server import serve

    with serve({host: Path(folder) for host, folder in config.local_hosts.items()}) as port:
        yield Policy(config.allow_private_hosts, tuple(config.local_hosts), port)


def plan(index: Path, total: int, out: Path, config: RawScrape, policy: Policy) -> dict[str, ShardTask]:
    """One task a range of ``config.rows_per_shard`` rows; an empty index still makes one empty shard."""
    repeated = duplicate_rows(index)
    step = config.rows_per_shard
    starts = range(0, max(total, 1), step)
    config = divided(config, min(engine.default_workers(), len(starts)))
    tasks = {}
    for number, start in enumerate(starts):
        stop = min(start + step, total)
        low, high = np.searchsorted(repeated, [start, stop])
        duplicates = frozenset(repeated[low:high].tolist())
        tasks[f"shard-{number:05d}"] = ShardTask(index, number, start, stop, duplicates, out, config, policy)
    return tasks


def divided(config: RawScrape, workers: int) -> RawScrape:
    """The configuration of one of ``workers`` processes: together they keep within the connection limits."""
    limits = {"concurrency": max(1, config.concurrency // workers), "per_host": max(1, config.per_host // workers)}
    return config.model_copy(update=limits)


def scrape_shard(task: ShardTask) -> ShardResult:
    """Download one range of rows and write its shard and its dropped rows, in index order."""
    clock = time.monotonic()
    rows = list(read_index(task.index, task.start, task.stop))
    with warnings.catch_warnings(), ThreadPoolExecutor(DECODERS) as decoders:
        warnings.simplefilter("ignore")  # Pillow warns of every odd EXIF block
        fates = asyncio.run(_scrape(rows, task, decoders))
    _check_server(task.policy)
    kept = [_sample(row, fate) for row, fate in zip(rows, fates, strict=True) if isinstance(fate, Kept)]
    dropped = [
        {"id": row.id, "url": row.url, "reason": fate.reason, "detail": fate.detail}
        for row, fate in zip(rows, fates, strict=True)
        if isinstance(fate, Drop)
    ]
    name = shard_name(task.number)
    shard = write_shard(task.out / name, kept, SCHEMA)
    drops = write_shard(task.out / "dropped" / name, dropped, DROPPED)
    reasons = Counter(row["reason"] for row in dropped)
    counts = Counts(len(rows), len(kept), dict(sorted(reasons.items())))
    info = _figures(rows, fates) | {"seconds": time.monotonic() - clock}
    return ShardResult(counts, (shard, replace(drops, path=f"dropped/{name}")), info)


def _check_server(policy: Policy) -> None:
    """Raises UserError when the local server died with the command, whose rows would otherwise count as unreachable."""
    if not policy.local_hosts:
        return
    try:
        socket.create_connection(("127.0.0.1", policy.port), timeout=5).close()
    except OSError:
        raise UserError("the server of raw_scrape.local_hosts is gone; run the same command again") from None


async def _scrape(rows: Sequence[IndexRow], task: ShardTask, decoders: Executor) -> list[Kept | Drop]:
    """The fate of each row, in order. A URL that several rows name is fetched once."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(task.config.concurrency))  # name lookups block
    hosts: defaultdict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(task.config.per_host))
    slots = asyncio.Semaphore(task.config.concurrency)
    async with open_session(task.config, task.policy) as session:

        async def download(url: str, sha256: str | None) -> Kept | Drop:
            try:
                # Waiting for a turn is not part of the URL's time.
                async with hosts[parse_url(url).raw_host or ""], slots:
                    return await _download(session, url, sha256, task, decoders)
            except RefusedError as refusal:
                return Drop(refusal.reason, refusal.detail, refusal.status)

        downloads: dict[tuple[str, str | None], asyncio.Task[Kept | Drop]] = {}
        for number, row in enumerate(rows, task.start):
            key = (row.url, row.sha256)
            if number not in task.duplicates and key not in downloads:
                downloads[key] = asyncio.create_task(download(*key))
        await asyncio.gather(*downloads.values())
        repeated = Drop("duplicate_row", "an earlier row has the same url and text")
        return [
            repeated if number in task.duplicates else downloads[row.url, row.sha256].result()
            for number, row in enumerate(rows, task.start)
        ]


async def _download(
    session: aiohttp.ClientSession, url: str, sha256: str | None, task: ShardTask, decoders: Executor
) -> Kept:
    fetched = await fetch(session, url, task.config, task.policy)
    loop = asyncio.get_running_loop()
    try:
        picture = await loop.run_in_executor(decoders, verify, fetched.data, task.config.max_pixels, sha256)
    except RefusedError as refusal:
        refusal.status = fetched.status
        raise
    return Kept(replace(fetched, data=b""), picture)


def _sample(row: IndexRow, kept: Kept) -> dict[str, Any]:
    fetched, picture = kept.fetched, kept.picture
    return {
        "id": row.id,
        "url": row.url,
        "final_url": fetched.url,
        "text": row.text,
        "captions": list(row.texts),
        "license": row.license,
        "image": {"bytes": picture.data, "path": None},
        "width": picture.width,
        "height": picture.height,
        "format": picture.format,
        "sha256": picture.sha256,
        "status": fetched.status,
        "content_type": fetched.content_type,
        "etag": fetched.etag,
        "last_modified": fetched.last_modified,
    }


def _figures(rows: Sequence[IndexRow], fates: Sequence[Kept | Drop]) -> dict[str, Any]:
    """Counts by HTTP status, by picture format and by host (kept, or reason of the drop), and stored bytes."""
    statuses: Counter[str] = Counter()
    formats: Counter[str] = Counter()
    hosts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    size = 0
    for row, fate in zip(rows, fates, strict=True):
        status = fate.fetched.status if isinstance(fate, Kept) else fate.status
        statuses[str(status or "none")] += 1
        hosts[_host(row.url)]["kept" if isinstance(fate, Kept) else fate.reason] += 1
        if isinstance(fate, Kept):
            formats[fate.picture.format] += 1
            size += len(fate.picture.data)
    by_host = {host: dict(counter) for host, counter in hosts.items()}
    return {"statuses": dict(statuses), "formats": dict(formats), "hosts": by_host, "bytes": size}


def _host(url: str) -> str:
    try:
        return parse_url(url).raw_host or ""
    except RefusedError:
        return ""


def _outcome(run: StageRun, results: Sequence[ShardResult]) -> Outcome:
    counts = sum((result.counts for result in results), Counts())
    size = sum(result.info["bytes"] for result in results)
    busy = sum(result.info["seconds"] for result in results) / min(engine.default_workers(), len(results))
    reasons = dict(sorted(counts.dropped.items(), key=lambda item: (-item[1], item[0])))
    funnel({"in": counts.rows_in, "kept": counts.kept, **reasons}, run.out / "funnel.png", title="raw_scrape: rows")
    contact_sheet(sample_rows(run.out, 24), run.out / "contact.jpg")
    card = write_card(run.out, "Image-text pairs, as crawled", CARD)
    metrics = {
        "success_rate": counts.kept / max(counts.rows_in, 1),
        "bytes": float(size),
        "mean_bytes": size / max(counts.kept, 1),
        "rows_per_s": counts.rows_in / max(busy, 1e-9),
        "images_per_s": counts.kept / max(busy, 1e-9),
    }
    info = {
        "statuses": _merged(result.info["statuses"] for result in results),
        "formats": _merged(result.info["formats"] for result in results),
        "hosts": _hosts(results),
    }
    files = [file for result in results for file in result.files]
    return Outcome(counts, [*files, card], metrics, ["funnel.png", "contact.jpg"], info)


def _merged(counters: Iterator[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for counter in counters:
        total.update(counter)
    return dict(sorted(total.items(), key=lambda item: (-item[1], item[0])))


def _hosts(results: Sequence[ShardResult]) -> dict[str, dict[str, int]]:
    """The hosts with most rows, each with its kept and dropped counts."""
    hosts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for result in results:
        for host, counter in result.info["hosts"].items():
            hosts[host].update(counter)
    largest = sorted(hosts.items(), key=lambda item: (-item[1].total(), item[0]))[:HOSTS_SHOWN]
    return {host: dict(sorted(counter.items())) for host, counter in largest}
