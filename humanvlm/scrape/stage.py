"""Stage raw_scrape: download the URL index into image-text shards, every row kept or dropped under a reason."""

import logging
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from humanvlm.config.raw_scrape import RawScrape
from humanvlm.data.places import load_sources
from humanvlm.data.shards import ShardFile
from humanvlm.data.tombstones import FORGOTTEN
from humanvlm.data.tombstones import load as load_tombstones
from humanvlm.inspect.cards import write_card
from humanvlm.pipeline import engine
from humanvlm.pipeline.contract import Counts, Outcome, ShardResult, StageError, StageRun
from humanvlm.scrape import recheck, resume, store
from humanvlm.scrape.addresses import Policy
from humanvlm.scrape.crawl import Partition, crawl_partition
from humanvlm.scrape.plan import Slice
from humanvlm.scrape.progress import watching
from humanvlm.scrape.report import MANIFEST, nothing_kept, present
from humanvlm.scrape.store import DUPLICATE
from humanvlm.scrape.urls import open_index

log = logging.getLogger("humanvlm")
MIN_PARTITION_ROWS = 500  # fewer are not worth a process of their own
CARD = """Image-text pairs downloaded by `humanvlm raw_scrape`, one row a sample: the picture as it was served (turned
upright when its EXIF data asked for it, resized when the configuration did), the texts of the URL index, and the
provenance of the download. Rows that were not kept are in `dropped/`, each with its reason; `report.json` has the
counts, `manifest.json` the files.

The pictures belong to their authors. Check the columns `license` and `headers`, and the sites' terms, before use."""


def continues(run: StageRun) -> bool:
    """Whether what the output folder holds can be built upon: see ``humanvlm.scrape.resume``."""
    return resume.continues(run)


def make(run: StageRun) -> Outcome:
    """Download ``data/index.parquet``; see ``fetch``, ``consent`` and ``picture`` for the reasons of drops."""
    index = run.inputs["data"] / "index.parquet"
    open_index(index)
    tombstones = load_tombstones()
    work = resume.prepare(run, index, tombstones)
    slices = work.left(store.read_records(run.out))
    clock = time.monotonic()
    with local_server(run.config) as policy:
        partitions = plan_partitions(run, index, slices, policy, tombstones)
        shutil.rmtree(run.work / "progress", ignore_errors=True)
        # Before there is a second thread.
        crawling = engine.map_shards(crawl_partition, partitions, len(partitions), fork=True)
        with watching(run.out, sum(part.rows for part in slices), clock):
            done = list(crawling)
    seconds = time.monotonic() - clock
    fetched = sum(progress.rows for progress in done)
    if mended := sum(progress.mended for progress in done):
        log.info("raw_scrape: %d answers with malformed heads were read all the same", mended)
    rechecked = _recheck(run, work) if work.recheck else {}
    if work.outdated or rechecked.get("withdrawn"):
        resume.settle(run, index, tombstones)
    results = store.read_records(run.out)
    return _outcome(run, list(results.values()), work.plan.total, fetched / max(seconds, 1e-9), rechecked)


@contextmanager
def local_server(config: RawScrape) -> Iterator[Policy]:
    """Serve the configured folders while the block runs; the policy says how their host names are reached."""
    if not config.local_hosts:
        yield Policy(config.allow_private_hosts)
        return
    from humanvlm.scrape.local_server import serve

    with serve({host: Path(folder) for host, folder in config.local_hosts.items()}) as port:
        yield Policy(config.allow_private_hosts, tuple(config.local_hosts), port)


def plan_partitions(
    run: StageRun, index: Path, slices: Sequence[Slice], policy: Policy, tombstones: Any
) -> list[Partition]:
    """Deal the slices out to processes."""
    workers = engine.default_workers()
    count = max(1, min(workers, len(slices), -(-sum(part.rows for part in slices) // MIN_PARTITION_ROWS)))
    config = share(run.config, count)
    decoders = max(1, workers // count)
    sources = load_sources(index.parent)
    return [
        Partition(n, slices[n::count], index, run.out, config, policy, tombstones, decoders, sources)
        for n in range(count)
    ]


def _recheck(run: StageRun, work: resume.Work) -> dict[str, Any]:
    """Ask the sites of the pictures that were there before this run, and count the answers."""
    fresh = {part.number for part in work.plan.slices}
    numbers = [number for number in store.read_records(run.out) if number not in fresh]
    log.info("raw_scrape: asking again about the pictures of %d shards", len(numbers))
    with local_server(run.config) as policy:
        count = max(1, min(engine.default_workers(), len(numbers)))
        config = share(run.config, count)
        parts = [recheck.Recheck(numbers[n::count], run.out, config, policy) for n in range(count)]
        for _ in engine.map_shards(recheck.recheck_shards, parts, count, fork=True):
            pass
    found = recheck.summary(run.out)
    log.info(
        "raw_scrape: asked about %d pictures; withdrawn %s; unanswered, and kept, %s",
        *(found[name] for name in ("asked", "withdrawn", "unanswered")),
    )
    return found


def share(config: RawScrape, count: int) -> RawScrape:
    """The settings of one of so many processes, which together keep within the limits."""
    limits = ("concurrency", "per_host", "max_bytes_in_flight")
    return config.model_copy(update={name: max(1, getattr(config, name) // count) for name in limits})


def _outcome(
    run: StageRun, results: Sequence[ShardResult], total: int, rows_per_s: float, rechecked: Mapping[str, Any]
) -> Outcome:
    counts = sum((result.counts for result in results), Counts())
    if counts.rows_in != total:
        raise StageError(
            f"{run.out}: shards hold {counts.rows_in} rows, the index {total}; run `humanvlm raw_scrape --force`"
        )
    if not counts.kept and not {FORGOTTEN, DUPLICATE} >= counts.dropped.keys():
        raise StageError(nothing_kept(counts))
    shown = present(run.out, counts, results)
    size = shown.info["bytes"]
    metrics = {
        "success_rate": counts.kept / max(counts.rows_in, 1),
        "bytes": float(size),
        "mean_bytes": size / max(counts.kept, 1),
        "rows_per_s": rows_per_s,
    }
    card = write_card(run.out, "Image-text pairs, as crawled", CARD)
    files = [file for result in results for file in result.files]
    info = {**shown.info, **({"recheck": rechecked} if rechecked else {})}
    return Outcome(counts, [*files, ShardFile.of(run.out, MANIFEST), card], metrics, shown.plots, info)
