"""Consent asked again: whether pictures that are stored may still be used.

Of each one its site's files are asked for, once an origin, and then one request is sent that has no body
(``fetch.look``). Every answer goes to a journal of its shard, so that a killed run asks nobody twice; the shards are
written again afterwards (``revise``), without the pictures that were withdrawn. A look that fails says nothing: the
picture stays, and is counted as unanswered.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from humanvlm.config.raw_scrape import RawScrape
from humanvlm.data.places import SCHEME
from humanvlm.data.shards import read_rows
from humanvlm.scrape import store
from humanvlm.scrape.addresses import Policy
from humanvlm.scrape.crawl import first_of, run_loop
from humanvlm.scrape.fetch import Client, look, open_client
from humanvlm.scrape.journal import Journal
from humanvlm.scrape.reasons import RefusedError, withdrawn

MAX_OPEN_SHARDS = 8
UNANSWERED = "unanswered"


@dataclass(frozen=True)
class Recheck:
    """The part of one process. numbers: of finished shards. config: its connection limits are this process's part."""

    numbers: Sequence[int]
    out: Path
    config: RawScrape
    policy: Policy


def recheck_shards(task: Recheck) -> None:
    """Ask about every kept row that was not asked about yet. Raises UserError when the disk is full."""
    run_loop(_over_http(task))


def withdrawals(out: Path, number: int) -> dict[str, Mapping[str, Any]]:
    """What was answered about pictures of a shard that are not to be used any more, by URL."""
    return {row["url"]: row for row in _answers(out, number) if row["reason"] and withdrawn(row["reason"])}


def summary(out: Path) -> dict[str, Any]:
    """Counts of what was answered: asked, withdrawn by reason, unanswered by reason."""
    gone: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    asked = 0
    for path in sorted(_folder(out).glob("shard-*")):
        for row in _answers(out, int(path.name.removeprefix("shard-"))):
            asked += 1
            if reason := row["reason"]:
                (gone if withdrawn(reason) else failed)[reason] += 1
    return {"asked": asked, "withdrawn": dict(sorted(gone.items())), UNANSWERED: dict(sorted(failed.items()))}


def _folder(out: Path) -> Path:
    return out / ".work" / "recheck"


def _answers(out: Path, number: int) -> list[Mapping[str, Any]]:
    path = _folder(out) / f"shard-{number:05d}"
    if not path.exists():
        return []
    journal = Journal(path)
    journal.close()
    return [entry.row for entry in journal.entries.values()]


async def _over_http(task: Recheck) -> None:
    async with open_client(task.config, task.policy) as client:
        try:
            await _Recheck(task, client).run()
        except BaseExceptionGroup as group:
            raise first_of(group) from None


class _Recheck:
    def __init__(self, task: Recheck, client: Client) -> None:
        self.task = task
        self.client = client
        self.open = asyncio.Semaphore(MAX_OPEN_SHARDS)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as shards:
            for number in self.task.numbers:
                await self.open.acquire()
                shards.create_task(self._shard(number))

    async def _shard(self, number: int) -> None:
        main, _ = store.shard_paths(self.task.out, number)
        journal = Journal(_folder(self.task.out) / f"shard-{number:05d}")
        try:
            asked = {entry.row["url"] for entry in journal.entries.values()}
            urls = await asyncio.to_thread(lambda: [row["url"] for row in read_rows(main, ("url",))])
            async with asyncio.TaskGroup() as rows:
                for place, url in enumerate(urls):
                    if url not in asked and not url.startswith(SCHEME):
                        rows.create_task(self._row(journal, place, url))
        finally:
            journal.close()
        self.open.release()

    async def _row(self, journal: Journal, place: int, url: str) -> None:
        answer: dict[str, Any] = {"url": url, "reason": None}
        try:
            await look(self.client, url)
        except RefusedError as refusal:
            answer |= {"reason": refusal.reason, "detail": refusal.detail, "status": refusal.status}
        journal.append(place, answer | {"fetched_at": int(time.time())})
