"""One process of a crawl: an event loop that downloads the rows of its shards, a few shards under way at a time.

A row waits for its host's turn before it takes one of the slots, so a slow or strict host holds up its own rows only;
and the next shard is opened while the last rows of the one before are awaited.
"""

import asyncio
import gc
import json
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from humanvlm.config.raw_scrape import RawScrape
from humanvlm.data.tombstones import FORGOTTEN, Tombstones
from humanvlm.errors import UserError
from humanvlm.scrape import store
from humanvlm.scrape.addresses import Policy
from humanvlm.scrape.fetch import Fetched, fetch, open_client
from humanvlm.scrape.hosts import Hosts, Turn
from humanvlm.scrape.journal import Journal
from humanvlm.scrape.local import check_sources, take
from humanvlm.scrape.picture import Picture, prepare
from humanvlm.scrape.plan import Slice
from humanvlm.scrape.progress import Progress, write_progress
from humanvlm.scrape.reasons import RefusedError
from humanvlm.scrape.settings import settings
from humanvlm.scrape.urls import IndexRow, further_fields, read_index

# Shards whose last rows wait for slow hosts while later ones go on. A row of one takes some 2 kB until all are there.
MAX_OPEN_ROWS, MAX_OPEN_SHARDS = 80_000, 256
TAKEN_AT_ONCE = 16  # pictures from files here, in memory
PROGRESS_INTERVAL_S = 1.0
SWITCH_S = 0.0005  # after which a thread that computes lets the event loop go on
Download = Callable[[str, Turn], Awaitable[Fetched]]
Result = TypeVar("Result")


@dataclass(frozen=True)
class Partition:
    """The part of one process. config: its connection limits are this process's part of them. sources: of pictures that
    are here, by name."""

    number: int
    slices: Sequence[Slice]
    index: Path
    out: Path
    config: RawScrape
    policy: Policy
    tombstones: Tombstones
    decoders: int
    sources: Mapping[str, Path] = field(default_factory=dict)


@dataclass
class Shard:
    """A shard under way. repeated: row numbers that another row's URL stands for."""

    part: Slice
    journal: Journal
    todo: dict[int, IndexRow]
    repeated: dict[int, IndexRow]


def crawl_partition(partition: Partition) -> Progress:
    """Download the partition's slices and write their shards. Raises UserError when the disk is full."""
    thresholds, switching = gc.get_threshold(), sys.getswitchinterval()
    # Thousands of rows wait at any time: looking through them all for cycles, again and again, took a quarter of the
    # time, and there is next to none.
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
    sys.setswitchinterval(SWITCH_S)
    try:
        return run_loop(_over_http(partition))
    finally:
        sys.setswitchinterval(switching)
        gc.set_threshold(*thresholds)
        gc.unfreeze()


def run_loop(crawl: Coroutine[Any, Any, Result]) -> Result:
    """Run an event loop of the fastest kind there is, with as many connections as the system lets a process have."""
    _allow_connections()
    try:
        import uvloop
    except ImportError:  # there is none for Windows
        return asyncio.run(crawl)
    result: Result = uvloop.run(crawl)
    return result


def _allow_connections() -> None:
    """Raise the soft limit of open files to the hard one: the usual 1,024 are fewer than a crawl keeps alive."""
    try:
        import resource
    except ImportError:  # there is none for Windows, nor such a limit
        return
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # macOS has a lower limit than it says
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _over_http(partition: Partition) -> Progress:
    async with open_client(partition.config, partition.policy) as client:
        progress = await crawl(partition, partial(fetch, client), client.hosts)
        progress.mended = client.web.mended
        return progress


async def crawl(partition: Partition, download: Download, hosts: Hosts | None = None) -> Progress:
    """Run a partition.

    download: one URL to its bytes, or RefusedError; it takes turns of hosts, and leaves the last one to the crawl.
    hosts: those whose turns these are.
    """
    with ThreadPoolExecutor(partition.decoders) as decoders, ThreadPoolExecutor(1) as writer:
        crawl = _Crawl(partition, download, hosts or Hosts(partition.config), decoders, writer)
        return await crawl.run()


class _Crawl:
    def __init__(
        self,
        partition: Partition,
        download: Download,
        hosts: Hosts,
        decoders: Executor,
        writer: Executor,
    ) -> None:
        self.partition = partition
        self.config = partition.config
        self.download = download
        self.hosts = hosts
        self.decoders = decoders
        self.writer = writer
        self.taking = asyncio.Lock()
        self.progress = Progress()
        self.open = 0
        self.open_rows = 0
        self.left = 0  # rows of open shards without an outcome
        self.changed = asyncio.Event()

    async def run(self) -> Progress:
        reporting = asyncio.create_task(self._report())
        try:
            async with asyncio.TaskGroup() as shards:
                for part in self.partition.slices:
                    await self._wait_for_room(part.stop - part.start)
                    self.open += 1
                    self.open_rows += part.stop - part.start
                    shard = await asyncio.to_thread(self._open, part)
                    self.left += len(shard.todo)
                    shards.create_task(self._shard(shard))
        except BaseExceptionGroup as group:
            raise first_of(group) from None
        finally:
            reporting.cancel()
            self._write_progress()
        return self.progress

    async def _wait_for_room(self, rows: int) -> None:
        while self.open and (self._full(rows) or self._busy > 2 * self.config.concurrency):
            self.changed.clear()
            await self.changed.wait()

    def _full(self, rows: int) -> bool:
        return self.open >= MAX_OPEN_SHARDS or self.open_rows + rows > MAX_OPEN_ROWS

    @property
    def _busy(self) -> int:
        """Rows that are under way, or may be at once."""
        return self.left - self.hosts.waiting

    def _open(self, part: Slice) -> Shard:
        """Read the slice's rows; those in the journal, duplicated or forgotten are not downloaded."""
        journal = Journal(self.partition.out / ".work" / "journal" / f"shard-{part.number:05d}")
        fetch, repeated = part.flags()
        wanted = fetch | repeated
        shard = Shard(part, journal, {}, {})
        rows = read_index(self.partition.index, part.start, part.stop, wanted)
        for place, row in zip(np.flatnonzero(wanted).tolist(), rows, strict=True):
            number = part.start + place
            if number in journal.entries:
                continue
            if self.partition.tombstones.covers(id=row.id, url=row.url):
                journal.append(number, store.no_picture(row, FORGOTTEN))
            elif repeated[place]:
                shard.repeated[number] = row
            else:
                shard.todo[number] = row
        here = [row.place for row in shard.todo.values() if row.place]
        check_sources(self.partition.index.parent, self.partition.sources, here)
        for entry in journal.entries.values():
            self.progress.add(entry.row.get("reason"))
        for _ in shard.repeated:
            self.progress.add(store.DUPLICATE)
        return shard

    async def _shard(self, shard: Shard) -> None:
        here = {number: row for number, row in shard.todo.items() if row.place}
        async with asyncio.TaskGroup() as rows:
            if here:
                rows.create_task(self._take(shard, here))
            for number, row in shard.todo.items():
                if number not in here:
                    rows.create_task(self._row(shard, number, row))
        await asyncio.get_running_loop().run_in_executor(self.writer, self._finish, shard)
        self.open -= 1
        self.open_rows -= shard.part.stop - shard.part.start
        self.changed.set()

    def _finish(self, shard: Shard) -> None:
        _check_server(self.partition.policy)
        detail = "an earlier row has this URL"
        repeated = {key: store.no_picture(row, store.DUPLICATE, detail) for key, row in shard.repeated.items()}
        fields, further = self._further(shard)
        made_with = settings(self.config)
        store.write(self.partition.out, shard.part.number, shard.journal, repeated, made_with, fields, further)
        shard.journal.close()
        shard.journal.path.unlink()

    def _further(self, shard: Shard) -> tuple[list[pa.Field], dict[int, dict[str, Any]]]:
        """Further columns of the index, and their values by number of the row, of rows with a picture."""
        part = shard.part
        found = further_fields(self.partition.index)
        fields = list(found.values())
        if not fields:
            return [], {}
        numbers = sorted(number for number, entry in shard.journal.entries.items() if "reason" not in entry.row)
        only = np.zeros(part.stop - part.start, dtype=bool)
        only[np.array(numbers, dtype=np.int64) - part.start] = True
        rows = read_index(self.partition.index, part.start, part.stop, only, tuple(found))
        return fields, {number: store.metadata_of(row, fields) for number, row in zip(numbers, rows, strict=True)}

    async def _row(self, shard: Shard, number: int, row: IndexRow) -> None:
        turn = Turn(self.hosts)
        try:
            fetched = await self.download(row.asked, turn)
            self.progress.bytes += len(fetched.data)
            await self._keep(shard, number, row, fetched)
            self.progress.add(None)
        except RefusedError as refusal:
            self._refused(shard, number, row, refusal)
        finally:
            turn.leave()
        self.left -= 1
        self.changed.set()

    async def _take(self, shard: Shard, rows: Mapping[int, IndexRow]) -> None:
        """Keep the rows whose pictures are in files here: one shard after the other, a few pictures at a time."""
        wanted = [(number, row.place) for number, row in rows.items() if row.place]
        found = take(wanted, self.partition.sources, self.config.max_bytes)
        async with self.taking:
            while some := await asyncio.to_thread(lambda: list(islice(found, TAKEN_AT_ONCE))):
                await asyncio.gather(*(self._taken(shard, number, rows[number], one) for number, one in some))

    async def _taken(self, shard: Shard, number: int, row: IndexRow, found: Fetched | RefusedError) -> None:
        try:
            if isinstance(found, RefusedError):
                raise found
            self.progress.bytes += len(found.data)
            await self._keep(shard, number, row, found)
            self.progress.add(None)
        except RefusedError as refusal:
            self._refused(shard, number, row, refusal)
        self.left -= 1
        self.changed.set()

    def _refused(self, shard: Shard, number: int, row: IndexRow, refusal: RefusedError) -> None:
        if refusal.reason == FORGOTTEN:
            outcome = store.no_picture(row, FORGOTTEN)
        else:
            outcome = store.no_picture(row, refusal.reason, refusal.detail, refusal.status, int(time.time()))
        shard.journal.append(number, outcome)
        self.progress.add(refusal.reason)

    async def _keep(self, shard: Shard, number: int, row: IndexRow, fetched: Fetched) -> None:
        """Verify and store a picture; in a thread of its own when there is much to compute."""
        if self.config.verify == "header" and self.config.resize_mode == "no":
            return self._store(shard, number, row, fetched)
        await asyncio.get_running_loop().run_in_executor(self.decoders, self._store, shard, number, row, fetched)

    def _store(self, shard: Shard, number: int, row: IndexRow, fetched: Fetched) -> None:
        try:
            picture = prepare(fetched.data, self.config, row.sha256, row.md5)
            names = ({"url": fetched.url}, {"sha256": picture.sha256}, {"sha256": picture.source_sha256})
            if any(self.partition.tombstones.covers(**name) for name in names):
                raise RefusedError(FORGOTTEN)
        except RefusedError as refusal:
            refusal.status = fetched.status
            raise
        shard.journal.append(number, _sample(row, fetched, picture, self.config.verify_tls), picture.data)

    async def _report(self) -> None:
        while True:
            self._write_progress()
            await asyncio.sleep(PROGRESS_INTERVAL_S)

    def _write_progress(self) -> None:
        write_progress(self.partition.out, self.partition.number, self.progress)


def _sample(row: IndexRow, fetched: Fetched, picture: Picture, verified: bool) -> dict[str, Any]:
    """The columns of a kept row but the picture itself, as ``store.SCHEMA`` has them."""
    return {
        "id": row.id,
        "url": row.url,
        "final_url": fetched.url,
        "text": row.text,
        "captions": list(row.texts),
        "license": row.license,
        "bytes": len(picture.data),
        "width": picture.width,
        "height": picture.height,
        "format": picture.format,
        "sha256": picture.sha256,
        "source_sha256": picture.source_sha256,
        "status": fetched.status,
        "fetched_at": fetched.time,
        "content_type": fetched.content_type,
        "etag": fetched.etag,
        "last_modified": fetched.last_modified,
        "headers": json.dumps(dict(fetched.headers), sort_keys=True) if fetched.headers else None,
        "tls": _tls((row.url, fetched.url), verified),
    }


def _tls(urls: Iterable[str], verified: bool) -> str | None:
    """Whether the servers of a picture, of all redirects, had to prove who they are; None where one need not."""
    if not all(url[:6].lower() == "https:" for url in urls):
        return None
    return "verified" if verified else "unverified"


def _check_server(policy: Policy) -> None:
    """Raises UserError when the local server died with the command, whose rows would otherwise count as unreachable."""
    if not policy.local_hosts:
        return
    try:
        socket.create_connection(("127.0.0.1", policy.port), timeout=5).close()
    except OSError:
        raise UserError("the server of raw_scrape.local_hosts is gone; run the same command again") from None


def first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error behind a group, or behind groups of groups."""
    error = group.exceptions[0]
    return first_of(error) if isinstance(error, BaseExceptionGroup) else error
