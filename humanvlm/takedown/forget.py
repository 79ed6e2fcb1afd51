"""Takedown: remove samples from every artifact, and record them so that no later run stores them again.

Tombstones are written first, so that a kill leaves the takedown recorded; every step after that may be repeated, and
finds what is left to do in the files themselves. ``raw_scrape`` keeps counting a forgotten row, as dropped, without its
URL; later artifacts become what they would be had the row never come in, so their counts still follow from each other.
Figures that a stage measured (metrics, info) stay as they were measured.
"""

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from humanvlm.data import tombstones
from humanvlm.data.atomic_io import write_json
from humanvlm.data.columns import ALSO_AT
from humanvlm.data.dropped import dropped_path, write_dropped
from humanvlm.data.seals import key_path
from humanvlm.data.shards import ShardFile, filter_shard, find_shards, open_shard, read_rows, store_of
from humanvlm.data.tombstones import FORGOTTEN, Tombstones
from humanvlm.pipeline.contract import Counts, identity, read_report
from humanvlm.pipeline.runner import fingerprint_of, locked
from humanvlm.takedown import derived, dvc_cache, event_log, instructions, mlflow_runs
from humanvlm.takedown.artifacts import Artifact, find_artifacts, made_with
from humanvlm.takedown.pictures import find_pictures
from humanvlm.takedown.remaining import remaining
from humanvlm.takedown.rows import closure, covers, journal_rows, keys_of, look_alikes

WAS_KEPT = "was kept"
KEEP = "without it the list is of no use: keep it out of git, back it up, and give it to whoever runs this project"


def forget(
    asked: Tombstones,
    root: Path = Path(),
    *,
    pictures: Path | None = None,
    near_duplicates: bool = False,
    today: date | None = None,
) -> str:
    """Remove what is asked for, and all that earlier tombstones name, from the project at ``root``.

    A row goes when its id, its URL (before or after redirects), the URL's host or its picture is named; its other names
    but the host are then forgotten with it. pictures: a folder of files, which are forgotten with all stored pictures
    that look like one. near_duplicates: so are the rows that human_scenes found to look like a row that goes. Returns
    what was removed and what still holds copies, as text. Raises UserError when a stage is running, or a file is
    damaged.
    """
    listed = root / tombstones.PATH
    with ExitStack() as locks:
        artifacts = find_artifacts(root)
        for artifact in artifacts:
            locks.enter_context(locked(artifact.folder))
            if artifact.stage == "raw_scrape":
                _complete_changes(artifact.folder)
        today = today or datetime.now(UTC).date()
        found = find_pictures(pictures, artifacts, root / "params.yaml") if pictures else None
        known, has_key = tombstones.load(listed), key_path(listed).exists()
        added = tombstones.add(listed, asked | found.stones if found else asked, today)
        stones, met = closure(artifacts, tombstones.load(listed))
        alike = look_alikes(artifacts, stones)
        while near_duplicates and alike:
            stones, met = closure(artifacts, stones | Tombstones(ids=alike).sealed(stones.keys))
            alike = look_alikes(artifacts, stones)
        added += tombstones.add(listed, stones, today)
        lines = [
            f"{listed}: {len(stones.ids):,} samples, {len(stones.urls):,} URLs, {len(stones.pictures):,} pictures, "
            f"{len(stones.hosts):,} hosts; {added:,} new"
        ]
        if not has_key and key_path(listed).exists():
            lines.append(f"{key_path(listed)}: made; {KEEP}")
        if found:
            lines.insert(0, str(found))
        new = asked.sealed(stones.keys) - known.sealed(stones.keys)
        if unknown := len(new - met):
            lines.append(f"in no artifact: {unknown:,} of {len(asked):,} asked for; recorded all the same")
        if stones:
            lines += _clean(artifacts, stones)
            lines += _clear(root, artifacts, stones, sorted(alike))
    return "\n".join(lines)


def _clear(root: Path, artifacts: Sequence[Artifact], stones: Tombstones, alike: Sequence[str]) -> Iterator[str]:
    """Clear what was made of the rows that went; yield a line for each place, and then for each that is left."""
    yield from derived.remove_pages(root)
    yield from derived.remove_replies(root, stones)
    yield from derived.remove_features(root, stones)
    yield from event_log.remove_inlined(event_log.log_folder(root))
    for artifact in artifacts:
        if not artifact.sharded:
            yield from derived.remove_records(artifact.folder, stones)
    instructions.mark_taught(root, artifacts, stones)
    outdated, former = made_with(artifacts)
    yield from derived.blank_pages(outdated)
    removed, former = dvc_cache.remove_objects(root, stones, former)
    yield from removed
    current = frozenset(identity(one.folder) for one in artifacts if one.complete and one not in outdated)
    removed, left = mlflow_runs.remove_shown(root, stones, former, current)
    yield from removed
    names = [artifact.stage for artifact in outdated]
    left = [*remaining(root, stones, artifacts, alike, names, current), *left]
    yield from ("may still hold copies:", *(f"  {line}" for line in left)) if left else ()


def _complete_changes(folder: Path) -> None:
    """Put shards of a crawl in their places that a killed run had written again: none is left to hold a copy."""
    from humanvlm.scrape.revise import mend

    mend(folder)


def _clean(artifacts: Sequence[Artifact], stones: Tombstones) -> Iterator[str]:
    """Clean the sharded artifacts in their order; yield a line for each that held something."""
    renamed: dict[str, str] = {}
    for artifact in artifacts:
        if not artifact.sharded:
            continue
        _remove_scratch(artifact, stones)
        kept, dropped = remove_rows(artifact, stones)
        if artifact.complete:
            _renew_report(artifact, stones, renamed)
        if kept or dropped:
            yield f"{artifact.folder}: {kept:,} kept and {dropped:,} dropped rows removed"


def _remove_scratch(artifact: Artifact, stones: Tombstones) -> None:
    """Delete files that a killed writer left half-written, and journals of a crawl under way that hold a picture."""
    for folder in {artifact.folder, store_of(artifact.folder)}:
        for work in folder.rglob(".*.work") if isinstance(folder, Path) else ():  # other stores upload whole files
            if work.is_file():
                work.unlink()
    shutil.rmtree(artifact.folder / ".work" / "also", ignore_errors=True)  # human_scenes writes it anew
    for kept in artifact.folder.parent.glob(f".{artifact.folder.name}.kept/*.parquet"):
        if any(covers(stones, row) for row in keys_of(kept)):
            for hashes in kept.parent.glob("*.npy"):
                hashes.unlink()
            kept.unlink()
    for journal in artifact.journals():
        if any(row["url"] and covers(stones, row) for row in journal_rows(journal)):
            journal.unlink()  # the crawl asks for this shard's rows again


def remove_rows(artifact: Artifact, stones: Tombstones) -> tuple[int, int]:
    """Remove rows from an artifact's shards; return how many kept and how many dropped ones.

    In ``raw_scrape`` they stay among the dropped rows, as id and reason.
    """
    removed = [0, 0]
    store = store_of(artifact.folder)
    gone_of = {path.name: {row["id"] for row in keys_of(path) if covers(stones, row)} for path in artifact.shards()}
    for name in sorted(gone_of.keys() | {path.name for path in artifact.drops()}):
        shard, drops = store / name, dropped_path(store, name)
        gone = gone_of.get(name, set())
        if artifact.stage == "raw_scrape":
            removed[1] += _blank(shard, drops, gone, stones)  # first: killed in between, the row is still counted
        elif drops.exists():
            out = {row["id"] for row in keys_of(drops) if covers(stones, row)}
            removed[1] += len(out)
            filter_shard(drops, lambda ids, out=out: [id not in out for id in ids])  # type: ignore[misc]
        if gone or _names_forgotten(shard, stones):
            removed[0] += len(gone)
            edit = _unnamed(shard, stones)
            filter_shard(shard, lambda ids, gone=gone: [id not in gone for id in ids], edit)  # type: ignore[misc]
        if artifact.stage == "raw_scrape":
            _renew_record(artifact.folder, shard)
    return removed[0], removed[1]


def _names_forgotten(shard: Path, stones: Tombstones) -> bool:
    """Whether a row says that its picture is also where a forgotten one was."""
    if not shard.exists() or ALSO_AT not in open_shard(shard).schema_arrow.names:
        return False
    return any(covers(stones, one) for row in read_rows(shard, (ALSO_AT,)) for one in row[ALSO_AT] or ())


def _unnamed(shard: Path, stones: Tombstones) -> Callable[[pa.Table], pa.Table] | None:
    """Takes forgotten rows out of ``also_at``; None where a shard has no such column."""
    names = open_shard(shard).schema_arrow.names
    if ALSO_AT not in names:
        return None

    def edit(rows: pa.Table) -> pa.Table:
        left = [[one for one in also or () if not covers(stones, one)] for also in rows[ALSO_AT].to_pylist()]
        place = rows.schema.get_field_index(ALSO_AT)
        return rows.set_column(place, rows.schema.field(place), pa.array(left, rows.schema.field(place).type))

    return edit


def _blank(shard: Path, drops: Path, gone: set[str], stones: Tombstones) -> int:
    """Turn dropped rows of forgotten samples into id and reason, and add the kept rows that are ``gone``."""
    from humanvlm.scrape.store import ADDED_TO_DROPPED

    rows = list(read_rows(drops)) if drops.exists() else []
    bare = {"url": "", "reason": FORGOTTEN}
    blanked = 0
    for number, row in enumerate(rows):
        if row["url"] and covers(stones, row):
            rows[number] = {**row, **bare, "detail": f"was {row['reason']}"}
            blanked += 1
    moved = {row["id"] for row in rows if row["reason"] == FORGOTTEN and row["detail"] == WAS_KEPT}
    added = [{"id": id, **bare, "detail": WAS_KEPT} for id in sorted(gone - moved)]
    if blanked or added:
        write_dropped(shard.parent, shard.name, [*rows, *added], ADDED_TO_DROPPED)
    return blanked


def _renew_record(folder: Path, shard: Path) -> None:
    """Bring the record that the crawl keeps of a shard in line with its files."""
    from humanvlm.scrape import store

    path = folder / "records" / f"{shard.stem}.json"
    if not path.exists():
        return
    files = json.loads(path.read_text())["files"]
    now = [_current(folder, file) for file in files]
    if now != files:
        store.renew_record(folder, int(shard.stem.removeprefix("shard-")))


def _renew_report(artifact: Artifact, stones: Tombstones, renamed: dict[str, str]) -> None:
    """Bring the report in line with the files, redraw what showed rows, and keep the artifact as up to date as it was.

    renamed: identities that inputs had before rows were removed, and have now; this artifact's are added. The report
    keeps its former ones under ``formerly``, so that an interrupted takedown can be completed.
    """
    folder, report = artifact.folder, read_report(artifact.folder)
    before, old = identity(folder), dict(report)
    fresh = report["fingerprint"] == fingerprint_of(report["stage"], report)
    if any(_current(folder, file) != file for file in report["outputs"]):
        counts = _count(artifact)
        report["rows"] = {"in": counts.rows_in, "kept": counts.kept, "dropped": dict(counts.dropped)}
        _illustrate(artifact, counts, report)
        report["outputs"] = [_current(folder, file) for file in report["outputs"]]
        report["formerly"] = [*report.get("formerly", ()), before]
    report["inputs"] = {name: renamed.get(value, value) for name, value in report["inputs"].items()}
    if "tombstones" in report:
        report["tombstones"] = stones.digest
    if fresh:
        report["fingerprint"] = fingerprint_of(report["stage"], report)
    if report != old:
        write_json(folder / "report.json", report)
    renamed |= dict.fromkeys(report.get("formerly", ()), identity(folder))


def _current(folder: Path, file: Mapping[str, Any]) -> dict[str, Any]:
    """The entry of an output file as it is now. A shard is known by its rows and size: hashing takes long."""
    path = next((path for path in (store_of(folder) / file["path"], folder / file["path"]) if path.exists()), None)
    if path is None:
        return dict(file)
    rows = open_shard(path).metadata.num_rows if path.suffix == ".parquet" else file["rows"]
    same = rows == file["rows"] and path.stat().st_size == file["bytes"]
    if "/" not in file["path"] and path.suffix == ".parquet" and same:
        return dict(file)
    return asdict(ShardFile.of(path.parents[file["path"].count("/")], file["path"], rows))


def _count(artifact: Artifact) -> Counts:
    kept = sum(open_shard(path).metadata.num_rows for path in artifact.shards())
    reasons = Counter(row["reason"] for path in artifact.drops() for row in read_rows(path, ("reason",)))
    return Counts(kept + reasons.total(), kept, dict(sorted(reasons.items())))


def _illustrate(artifact: Artifact, counts: Counts, report: dict[str, Any]) -> None:
    """Draw the plots again that showed rows, or texts of rows."""
    from humanvlm.caption import hq_stage
    from humanvlm.caption import report as caption_report
    from humanvlm.caption import stage as caption_stage
    from humanvlm.caption.statistics import merged
    from humanvlm.curate import stage as curate_stage
    from humanvlm.scrape import report as scrape_report
    from humanvlm.scrape import store

    folder = artifact.folder
    if artifact.stage == "raw_scrape":
        # Host names are among the figures, and may be a person's.
        shown = scrape_report.present(folder, counts, list(store.read_records(folder).values()))
        report["info"] = {**report["info"], **shown.info}
    elif artifact.stage == "human_scenes":
        scraped = folder.parent / "raw_scrape"  # where it is absent, no dropped picture is shown
        source = scraped if find_shards(scraped) else folder
        curate_stage.illustrate(folder, source, counts, report["config"]["human_scenes"])
    else:
        kind = caption_stage.KIND if artifact.stage == "human_caption" else hq_stage.KIND
        total = merged(caption_report.count_shard(path, kind.texts) for path in artifact.shards())
        files = [ShardFile(**_current(folder, file)) for file in report["outputs"] if file["path"].startswith("shard-")]
        described = caption_report.present(folder, kind, total, files)
        report["metrics"] = {**report["metrics"], **described.metrics}
        tables = {**report["info"].get("tables", {}), **described.info["tables"]}
        report["info"] = {**report["info"], "tables": tables}
