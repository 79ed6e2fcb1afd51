"""The stage contract: what a stage function gets and returns, and what an artifact with a ``report.json`` says.

Killed at any point, a stage resumes: while it runs, ``OUT/.work/`` holds one record per finished shard. The report is
written last, so an artifact with a report is complete.
"""

import hashlib
import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from humanvlm.config.loading import Params
from humanvlm.data.atomic_io import write_json
from humanvlm.data.dropped import count_reasons, write_dropped
from humanvlm.data.hashing import sha256_file
from humanvlm.data.shards import ShardFile, file_sizes, store_of, write_shard
from humanvlm.errors import UserError
from humanvlm.pipeline import engine
from humanvlm.pipeline.stages import Stage

log = logging.getLogger("humanvlm")


class StageError(UserError):
    """An input that is missing or incomplete, or a report that does not balance."""


class RefusalError(StageError):
    """A stage that does not go on unless it is told to, and has changed nothing: the artifact is what it was."""


@dataclass(frozen=True)
class Counts:
    """Rows in, rows kept, rows dropped by reason. Counts add up: in = kept + sum of the drops."""

    rows_in: int = 0
    kept: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: "Counts") -> "Counts":
        dropped = Counter(self.dropped) + Counter(other.dropped)
        return Counts(self.rows_in + other.rows_in, self.kept + other.kept, dict(sorted(dropped.items())))

    @property
    def balanced(self) -> bool:
        return self.rows_in == self.kept + sum(self.dropped.values())


@dataclass(frozen=True)
class ShardResult:
    """What a shard task leaves behind: its counts, the files it wrote, and figures to add up or to show."""

    counts: Counts
    files: tuple[ShardFile, ...]
    info: Mapping[str, Any] = field(default_factory=dict)


def write_result(
    out: Path, shard: str, kept: Iterable[Mapping[str, Any]], dropped: Sequence[Mapping[str, Any]], schema: pa.Schema
) -> ShardResult:
    """Write the kept and the dropped rows of a shard, and count them. schema: of the kept rows.

    kept: one row group is in memory at a time; what is dropped may be added to ``dropped`` while they are made.
    """
    files = (write_shard(out / shard, kept, schema), write_dropped(out, shard, dropped))
    return ShardResult(Counts(files[0].rows + files[1].rows, files[0].rows, count_reasons(dropped)), files)


@dataclass(frozen=True)
class Outcome:
    """What a stage function returns: counts, all files of the artifact, numbers, and pictures worth showing."""

    counts: Counts
    files: Sequence[ShardFile] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    plots: Sequence[str] = ()
    info: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class StageRun:
    """What a stage function gets: its parameters, input folders by name, output folder and work folder.

    retry: reasons of dropped rows to try again, for a stage that can (``raw_scrape``). refetch: whether pictures may be
    downloaded again that changed settings make only of the served bytes, or removed that they refuse. remove_missing:
    whether any number of rows may leave with the index. recheck: whether sites are asked again about what is stored.
    """

    stage: Stage
    params: Params
    inputs: Mapping[str, Path]
    out: Path
    retry: tuple[str, ...] = ()
    refetch: bool = False
    remove_missing: bool = False
    recheck: bool = False

    @property
    def config(self) -> Any:
        """The section named like the stage."""
        return getattr(self.params, self.stage.name)

    @property
    def read(self) -> Mapping[str, Path]:
        """The inputs that are read with these parameters; the others need not be there."""
        unread = {name for section in self.stage.sections for name in getattr(self.params, section).unread}
        return {name: folder for name, folder in self.inputs.items() if name not in unread}

    @property
    def work(self) -> Path:
        """Scratch that survives a kill and is removed when the stage completes."""
        return self.out / ".work"

    @property
    def kept(self) -> Path:
        """Folder beside the artifact for what later runs may reuse, whatever they read; ``force`` removes it."""
        return self.out.with_name(f".{self.out.name}.kept")

    @property
    def former(self) -> Path:
        """The report of the complete artifact that the run under way builds upon, until it changes something."""
        return self.work / "former.json"

    @property
    def mark(self) -> Path:
        """Holds the fingerprint of the run that is under way."""
        return self.work / "fingerprint"

    def map_shards(
        self, fn: Callable[[Any], ShardResult], tasks: Mapping[str, Any], restarts: int = 0
    ) -> list[ShardResult]:
        """Run ``fn`` on the tasks that have no record yet; return all results in the order of the task names.

        restarts: of workers that die, as ``engine.map_shards`` takes it.

        A record is written after the files of its task are durable, so a kill in between repeats the task. A record
        whose files have another size than it says is not believed.
        """
        done = {name: result for name in tasks if (result := self._recall(name)) is not None}
        todo = [_Task(fn, name, task, self.out) for name, task in tasks.items() if name not in done]
        if done:
            log.info("%s: resuming, %d of %d shards done", self.stage.name, len(done), len(tasks))
        results = engine.map_shards(_Task.run, todo, restarts=restarts)
        for name, result in progress(results, len(todo), self.stage.name, "shards"):
            done[name] = result
        return [done[name] for name in tasks]

    def _recall(self, name: str) -> ShardResult | None:
        record = self.work / f"{name}.json"
        if not record.exists():
            return None
        value = json.loads(record.read_text())
        files = tuple(ShardFile(**file) for file in value["files"])
        if damaged(self.out, value["files"]):
            return None
        return ShardResult(Counts(**value["counts"]), files, value["info"])


@dataclass(frozen=True)
class _Task:
    fn: Callable[[Any], ShardResult]
    name: str
    task: Any
    out: Path

    def run(self) -> tuple[str, ShardResult]:
        result = self.fn(self.task)
        write_json(self.out / ".work" / f"{self.name}.json", asdict(result))
        return self.name, result


def damaged(folder: Path, files: Iterable[Mapping[str, Any]]) -> tuple[Path, int, int] | None:
    """The first file of an artifact that has not the size it should have: its path, the size it has, and should."""
    store = store_of(folder)
    stored = {} if store == folder else file_sizes(store)
    for file in files:
        path = (store if file["path"] in stored else folder) / file["path"]
        size = stored.get(file["path"], path.stat().st_size if path.exists() else 0)
        if size != file["bytes"]:
            return path, size, file["bytes"]
    return None


def progress(items: Iterator[Any], total: int, what: str, units: str) -> Iterator[Any]:
    """A progress bar with ETA on a terminal; elsewhere a log line at every tenth. units: what items are, a plural."""
    import sys

    from tqdm import tqdm

    if sys.stderr.isatty():
        yield from tqdm(items, total=total, desc=what, unit=f" {units}")
        return
    start = time.monotonic()
    for count, item in enumerate(items, 1):
        yield item
        if count * 10 // total > (count - 1) * 10 // total:
            log.info("%s: %d/%d %s, %.1f s", what, count, total, units, time.monotonic() - start)


def read_report(folder: Path) -> dict[str, Any]:
    """The report of a complete artifact. Raises StageError naming the folder when there is none or it is unreadable."""
    path = folder / "report.json"
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StageError(f"{folder}: not complete (no report.json); run `humanvlm {folder.name}` first") from None
    except ValueError as error:
        raise StageError(f"{path}: not JSON ({error}); run `humanvlm {folder.name}` again") from None
    return report  # type: ignore[no-any-return]


def check_files(folder: Path) -> None:
    """Raises StageError naming the first file whose size is not what the artifact's report says."""
    report = read_report(folder)
    if found := damaged(folder, report["outputs"]):
        path, size, wanted = found
        raise StageError(
            f"{path}: truncated ({size} of {wanted} bytes); run `humanvlm {report['stage']}` again, or `dvc checkout`"
        )


def check_rows(folder: Path) -> None:
    """Raises StageError when an artifact that is made of shards has no row, which no later stage can work with."""
    report = read_report(folder)
    shards = [file for file in report["outputs"] if file["path"].startswith("shard-")]
    if not shards or any(file["rows"] for file in shards):
        return
    rows = report["rows"]
    worst = max(rows["dropped"].items(), key=lambda item: item[1], default=("", 0))
    why = f"all {rows['in']:,} were dropped, mostly {worst[0]} ({worst[1]:,})" if rows["in"] else "its input had none"
    raise StageError(
        f"{folder}: has no rows ({why}); look at `humanvlm show {folder} --dropped`, and run `humanvlm "
        f"{report['stage']}` with other settings or another input"
    )


def identity(folder: Path, parts: Sequence[str] = ()) -> str:
    """What an input is: the outputs its report lists, or the sha256 of its files when no stage made it.

    parts: files and folders below it, when no others are read.
    """
    if not folder.is_dir():
        raise StageError(f"{folder}: no such folder; make it with `humanvlm sample` or `humanvlm index`, or `dvc pull`")
    if (folder / "report.json").exists():
        return identity_of(read_report(folder))
    if folder.parent.name == "artifacts":
        read_report(folder)
    roots = [folder / part for part in parts] if parts else [folder]
    found = [path for root in roots for path in ([root] if root.is_file() else root.rglob("*"))]
    files = sorted(path for path in found if path.is_file() and not path.name.startswith("."))
    return _listed([(str(path.relative_to(folder)), sha256_file(path)) for path in files])


def identity_of(report: Mapping[str, Any]) -> str:
    """What the artifact of a report is."""
    return _listed([(file["path"], file["sha256"]) for file in report["outputs"]])


def _listed(listing: Sequence[tuple[str, str]]) -> str:
    return hashlib.sha256(json.dumps(listing).encode()).hexdigest()


def artifact_files(out: Path) -> list[ShardFile]:
    """Every finished file of an artifact that is not made of shards (checkpoints, plots), rows unknown (0)."""
    paths = sorted(path for path in out.rglob("*") if path.is_file() and ".work" not in path.relative_to(out).parts)
    return [ShardFile.of(out, str(path.relative_to(out))) for path in paths if path.name != "report.json"]
