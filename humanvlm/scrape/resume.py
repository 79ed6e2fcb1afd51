"""What an earlier crawl left, and what is to be done about it: the work of this run, and the revision at its end.

Killed, a crawl goes on with the same plan. With another index, other settings, or rows to be asked for again, what was
fetched stays: new shards get numbers of their own, and once they are whole the finished ones are written again where
the index has other metadata, rows left or were fetched again, or stored pictures are to be made into others.
"""

import json
import logging
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from humanvlm.config.raw_scrape import RawScrape
from humanvlm.data.atomic_io import write_json
from humanvlm.data.shards import STORE, file_sizes, open_store, read_rows
from humanvlm.data.tombstones import Tombstones
from humanvlm.pipeline import engine
from humanvlm.pipeline.contract import RefusalError, ShardResult, StageRun
from humanvlm.scrape import store
from humanvlm.scrape.journal import Journal
from humanvlm.scrape.plan import Plan, Slice, load_plan, save_plan
from humanvlm.scrape.reasons import RefusedError, retriable
from humanvlm.scrape.recheck import withdrawals
from humanvlm.scrape.reconcile import PICTURE, REMOVED, STALE, Hashes, Known, Reconciled, reconciled
from humanvlm.scrape.revise import Revision, mend, revise
from humanvlm.scrape.settings import LIMITS, METADATA, changed, check_stored, matter, needs_download, settings
from humanvlm.scrape.urls import IndexRow, further_fields, read_index

log = logging.getLogger("humanvlm")


@dataclass(frozen=True)
class Work:
    """plan: what to fetch. outdated: whether finished shards are to be written again once it is. recheck: whether their
    sites are asked again before."""

    plan: Plan
    outdated: bool
    recheck: bool

    def left(self, done: Mapping[int, ShardResult]) -> list[Slice]:
        """Slices without a finished shard."""
        return [part for part in self.plan.slices if part.number not in done]


@dataclass(frozen=True)
class Finished:
    """What the finished shards hold. outdated: whether any has to be written again whatever the index says. stale:
    pictures that changed settings make only of a new download. keys: the changed settings, by shard."""

    known: Sequence[Known]
    outdated: bool
    stale: int
    keys: Mapping[int, tuple[str, ...]]

    @property
    def pictures(self) -> int:
        return sum(int((shard.kinds <= STALE).sum()) for shard in self.known)


def continues(run: StageRun) -> bool:
    """Whether there is something to build upon."""
    found = (*(run.out / "records").glob("shard-*.json"), *(run.work / "journal").glob("shard-*"))
    return bool((run.config.incremental or run.recheck) and found)


def prepare(run: StageRun, index: Path, tombstones: Tombstones) -> Work:
    """The work of an interrupted run, else a new plan over what is not there yet, made durable.

    Raises RefusalError, before anything is changed, when more than ``remove_share`` of the stored pictures left the
    index, and when changed settings refuse as many, or need pictures downloaded again.
    """
    folder = run.work / "plan"
    state = folder / "work.json"
    _check_store(run)
    mend(run.out)
    fingerprint = run.mark.read_text()
    before = json.loads(state.read_text()) if state.exists() else {}
    recheck = run.recheck or before.get("recheck", False)
    if not run.retry and before.get("fingerprint") == fingerprint and before.get("recheck", False) == recheck:
        return Work(load_plan(folder), before["outdated"], recheck)
    fields = tuple(further_fields(index).values())
    _adopt(run, state, fields)
    done = store.read_records(run.out)
    finished = survey(run, list(done), fields, tombstones, retriable(run.retry))
    _check_settings(run, finished)
    first = max(done, default=-1) + 1
    with reconciled(index, run.config.rows_per_shard, run.work, finished.known, first) as found:
        _check_gone(run, finished, found)
        outdated = bool(found.changed or found.removed or finished.stale or finished.outdated)
        work = Work(found.plan, outdated or bool(run.retry), recheck)
    run.former.unlink(missing_ok=True)  # nothing was changed up to here
    store.remove_unrecorded(run.out, done)
    state.unlink(missing_ok=True)
    save_plan(work.plan, folder)
    known = {"fingerprint": fingerprint, "outdated": work.outdated, "recheck": recheck}
    write_json(state, known | {"settings": settings(run.config)})
    return work


def settle(run: StageRun, index: Path, tombstones: Tombstones) -> None:
    """Write finished shards again, now that the new ones are whole: each as the index, the settings and the takedown
    list have it, without rows that left or that another row stands for."""
    fields = further_fields(index)
    numbers = list(store.read_records(run.out))
    finished = survey(run, numbers, tuple(fields.values()), tombstones, lambda reason: False)
    known = [replace(shard, kinds=np.where(shard.kinds == STALE, PICTURE, shard.kinds)) for shard in finished.known]
    config: RawScrape = run.config
    left = 0
    with reconciled(index, config.rows_per_shard, run.work, known) as found:
        todo = set(numbers)
        for tasks in _revisions(run, index, found, fields, tombstones):
            todo -= {task.number for task in tasks}
            left += sum(engine.map_shards(revise, tasks, fork=True))
    rest = [
        Revision(run.out, number, {}, frozenset(), config, tuple(fields.values()), tombstones)
        for number in sorted(todo)
        if finished.outdated or withdrawals(run.out, number)
    ]
    left += sum(engine.map_shards(revise, rest, fork=True))
    if left:
        log.warning("raw_scrape: %d pictures stay as they were stored: their sites no longer have them", left)


def survey(
    run: StageRun,
    numbers: Sequence[int],
    fields: Sequence[pa.Field],
    tombstones: Tombstones,
    ask_again: Callable[[str], bool],
) -> Finished:
    """Look through the finished shards, at no picture."""
    config: RawScrape = run.config
    known, outdated, stale = [], False, 0
    changes: dict[int, tuple[str, ...]] = {}
    for number in numbers:
        shard, old_rows = store.read_known(run.out, number, fields, ask_again, tombstones)
        old = store.settings_of(run.out, number)
        keys = matter(found := changed(old, config), old, config)
        outdated |= old_rows or bool(found)
        if keys:
            changes[number] = keys
            main, _ = store.shard_paths(run.out, number)
            rows = read_rows(main, ("sha256", "source_sha256"))
            marks = np.array([needs_download(row, keys, config) for row in rows], bool)
            shard.kinds[: len(marks)][marks] = STALE
            stale += int(marks.sum())
        known.append(shard)
    return Finished(known, outdated, stale, changes)


def _refused(run: StageRun, keys: Mapping[int, tuple[str, ...]]) -> Counter[str]:
    """Stored pictures that limits and checks which were tightened refuse, by reason."""
    reasons: Counter[str] = Counter()
    for number, names in keys.items():
        if {*LIMITS, "verify", METADATA}.isdisjoint(names):
            continue
        main, _ = store.shard_paths(run.out, number)
        for row in read_rows(main, ("sha256", "source_sha256", "status", "image")):
            try:
                check_stored(row, row["image"]["bytes"], run.config)
            except RefusedError as refusal:
                reasons[refusal.reason] += 1
    return reasons


def _check_settings(run: StageRun, finished: Finished) -> None:
    if run.refetch or not finished.keys:
        return
    keys = ", ".join(dict.fromkeys(key for names in finished.keys.values() for key in names))
    total = finished.pictures
    if finished.stale:
        raise RefusalError(
            f"raw_scrape: {keys} changed, and {finished.stale:,} of {total:,} stored pictures are no longer as they "
            f"were served, so that they have to be downloaded again; set it back, or go ahead with --refetch"
        )
    refused = _refused(run, finished.keys)
    if (count := refused.total()) > run.config.remove_share * total:
        reasons = ", ".join(f"{reason} {rows:,}" for reason, rows in refused.most_common(3))
        raise RefusalError(
            f"raw_scrape: {keys} changed, which refuses {count:,} of {total:,} stored pictures ({reasons}); set it "
            f"back, or go ahead with --refetch"
        )
    if count:
        log.warning("raw_scrape: %s changed, which refuses %d of %d stored pictures", keys, count, total)


def _check_gone(run: StageRun, finished: Finished, found: Reconciled) -> None:
    if not found.gone:
        return
    total = finished.pictures
    what = f"the index no longer has {found.gone_pictures:,} of {total:,} stored pictures ({found.gone:,} rows in all)"
    if found.gone_pictures > run.config.remove_share * total and not run.remove_missing:
        raise RefusalError(
            f"raw_scrape: {what}; add to an index with `humanvlm index --append`, or remove them with --remove-missing"
        )
    log.warning("raw_scrape: %s; they are removed", what)


def _check_store(run: StageRun) -> None:
    """Name the store in the artifact. Raises RefusalError when the shards of its records are in another."""
    config: RawScrape = run.config
    pointer = run.out / STORE
    before = json.loads(pointer.read_text())["store"] if pointer.exists() else ""
    numbers = [int(path.stem.removeprefix("shard-")) for path in (run.out / "records").glob("shard-*.json")]
    if before != config.store and numbers:
        target = open_store(config.store) if config.store else run.out
        sizes = file_sizes(target)
        files = [file for number in numbers for file in store.read_record(run.out, number).files]
        if missing := sum(sizes.get(file.path) != file.bytes for file in files):
            raise RefusalError(
                f"raw_scrape: store changed, and {missing:,} of {len(files):,} files are not in {target}; copy "
                f"shard-*.parquet and dropped/ from {before or run.out} there, or set it back"
            )
    if config.store:
        open_store(config.store)  # refuses what must not be written down
        write_json(pointer, {"store": config.store})
    else:
        pointer.unlink(missing_ok=True)


def _adopt(run: StageRun, state: Path, fields: Sequence[pa.Field]) -> None:
    """Make short shards of what an interrupted run with another plan had fetched."""
    journals = run.work / "journal"
    made_with = json.loads(state.read_text())["settings"] if state.exists() else {}
    done = store.read_records(run.out)
    for path in sorted(journals.glob("shard-*")):
        number = int(path.name.removeprefix("shard-"))
        journal = Journal(path)
        if journal.entries and number not in done:
            store.write(run.out, number, journal, {}, made_with, fields)
        journal.close()
    shutil.rmtree(journals, ignore_errors=True)


def _revisions(
    run: StageRun, index: Path, found: Reconciled, fields: Mapping[str, pa.Field], tombstones: Tombstones
) -> Iterator[list[Revision]]:
    """What becomes of the shards that something changed in, some shards at a time."""
    for records in found.revisions():
        row_of = _index_rows(index, records[records[:, 1] != REMOVED, 1], tuple(fields))
        cuts = np.flatnonzero(np.diff(records[:, 0] >> np.uint64(32))) + 1
        tasks = []
        for part in np.split(records, cuts):
            places = (part[:, 0] & np.uint64(0xFFFFFFFF)).tolist()
            rows = {place: row_of.get(row) for place, row in zip(places, part[:, 1].tolist(), strict=True)}
            tasks.append(
                Revision(
                    run.out,
                    int(part[0, 0]) >> 32,
                    {place: row for place, row in rows.items() if row},
                    frozenset(place for place, row in rows.items() if not row),
                    run.config,
                    tuple(fields.values()),
                    tombstones,
                )
            )
        yield tasks


def _index_rows(index: Path, rows: Hashes, further: Sequence[str]) -> dict[int, IndexRow]:
    """Rows of the index by number."""
    numbers = np.sort(rows).astype(np.int64)
    if not len(numbers):
        return {}
    start, stop = int(numbers[0]), int(numbers[-1]) + 1
    only = np.zeros(stop - start, dtype=bool)
    only[numbers - start] = True
    return dict(zip(numbers.tolist(), read_index(index, start, stop, only, further), strict=True))
