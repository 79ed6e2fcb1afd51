"""What an earlier crawl left, and what is to be done about it: the work of this run, and rows to take out at its end.

Killed, a crawl goes on with the same plan. With another index, other limits, or rows to be asked for again, finished
shards stay as they are, their rows are known, and new shards get numbers of their own.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from humanvlm.config.raw_scrape import RawScrape
from humanvlm.data.atomic_io import atomic_file, write_json, write_text
from humanvlm.data.shards import STORE
from humanvlm.data.tombstones import Tombstones
from humanvlm.pipeline.contract import ShardResult, StageRun
from humanvlm.scrape import store
from humanvlm.scrape.journal import Journal
from humanvlm.scrape.plan import Hashes, Plan, Slice, load_plan, plan, save_plan
from humanvlm.scrape.reasons import retriable

# What decides which bytes are stored; pictures stored under other settings are fetched again.
CONTENT = (
    "store", "max_pixels", "verify", "resize_mode", "image_size", "only_if_bigger", "encode_format", "encode_quality",
    "exif",
)  # fmt: skip
NONE: Hashes = np.empty(0, np.uint64)


@dataclass(frozen=True)
class Work:
    """plan: what to fetch into shards from ``first`` on. kept, dropped: sorted id hashes of rows that shards before
    ``first`` lose once the new ones are whole, because they were fetched again, left the index or were taken down."""

    plan: Plan
    first: int
    kept: Hashes
    dropped: Hashes

    def left(self, done: dict[int, ShardResult]) -> list[Slice]:
        """Slices without a finished shard."""
        return [part for part in self.plan.slices if part.number not in done]


def continues(run: StageRun) -> bool:
    """Whether the pictures in the output folder were stored as this run would store them."""
    config: RawScrape = run.config
    path = _settings_path(run.out)
    return config.incremental and path.exists() and json.loads(path.read_text()) == _settings(config)


def prepare(run: StageRun, index: Path, tombstones: Tombstones) -> Work:
    """The work of an interrupted run, else a new plan over what is not there yet, made durable."""
    folder = run.work / "plan"
    write_json(_settings_path(run.out), _settings(run.config))
    if run.config.store:
        write_json(run.out / STORE, {"store": run.config.store})
    fingerprint = run.mark.read_text()
    mark = folder / "fingerprint"
    if not run.retry and mark.exists() and mark.read_text() == fingerprint:
        return _load(run)
    _adopt(run)
    mark.unlink(missing_ok=True)
    work = _plan(run, index, tombstones)
    save_plan(work.plan, folder)
    with atomic_file(_rows_path(run)) as path, path.open("wb") as file:
        np.savez(file, first=work.first, kept=work.kept, dropped=work.dropped)
    write_text(mark, fingerprint)
    return work


def _rows_path(run: StageRun) -> Path:
    return run.work / "plan" / "rows.npz"


def _load(run: StageRun) -> Work:
    with np.load(_rows_path(run), allow_pickle=False) as rows:
        return Work(load_plan(run.work / "plan"), int(rows["first"]), rows["kept"], rows["dropped"])


def settle(out: Path, work: Work, done: dict[int, ShardResult]) -> dict[int, ShardResult]:
    """Take superseded rows out of the earlier shards, now that the new ones are whole."""
    if not work.kept.size and not work.dropped.size:
        return done
    return {
        number: store.without(out, number, result, kept=work.kept, dropped=work.dropped)
        if number < work.first
        else result
        for number, result in done.items()
    }


def _plan(run: StageRun, index: Path, tombstones: Tombstones) -> Work:
    done = store.read_records(run.out)
    store.remove_unrecorded(run.out, done)
    first = max(done, default=-1) + 1
    ask_again: Callable[[str], bool] = retriable(run.retry)
    ids = [store.read_ids(run.out, number, ask_again, tombstones) for number in done]
    # A row is fetched only if no row that stands has its URL.
    again_urls = _sorted([one.again_urls for one in ids])
    ids = [one.asking_again(again_urls) for one in ids] if again_urls.size else ids
    step = run.config.rows_per_shard
    again = [one.again for one in ids]
    covered = [one.covered for one in ids]
    made = plan(index, step, run.work, (part for one in ids for part in (one.known, one.repeated)), first)
    if made.gone.size:
        # A row that has left the index may be the one that others repeat: who repeats whom is decided anew.
        again += [one.repeated for one in ids]
        made = plan(index, step, run.work, (one.known for one in ids), first)
    kept = _sorted([*covered, made.gone])
    return Work(made, first, kept, _sorted([*again, *covered, made.gone]))


def _adopt(run: StageRun) -> None:
    """Make short shards of what an interrupted run with another plan had fetched, and take out what they supersede."""
    journals = run.work / "journal"
    done = store.read_records(run.out)
    for path in sorted(journals.glob("shard-*")):
        number = int(path.name.removeprefix("shard-"))
        journal = Journal(path)
        if journal.entries and number not in done:
            store.write(run.out, number, journal, {})
        journal.close()
    shutil.rmtree(journals, ignore_errors=True)
    if (rows := _rows_path(run)).exists():
        old = _load(run)
        done = store.read_records(run.out)
        fresh = _sorted([store.all_ids(run.out, number) for number in done if number >= old.first])
        kept, dropped = (np.intersect1d(hashes, fresh) for hashes in (old.kept, old.dropped))
        settle(run.out, replace(old, kept=kept, dropped=dropped), done)
        rows.unlink()


def _sorted(parts: list[Hashes]) -> Hashes:
    return np.unique(np.concatenate(parts)) if parts else NONE  # np.unique loads numpy.ma, which a new crawl can spare


def _settings_path(out: Path) -> Path:
    return out / "records" / "settings.json"


def _settings(config: RawScrape) -> dict[str, object]:
    values = config.model_dump(mode="json")
    return {name: values[name] for name in CONTENT}
