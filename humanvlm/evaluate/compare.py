"""Two or more runs on the same samples: differences, intervals, tests, and what could have been found at all."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from humanvlm.data.atomic_io import write_json, write_text
from humanvlm.errors import UserError
from humanvlm.evaluate.records import metrics as task_metrics
from humanvlm.evaluate.saved_runs import IDF_METRICS, Metrics, TaskRun, read_run
from humanvlm.evaluate.stats.statistics import Difference, holm, paired

ALPHA = 0.05


@dataclass(frozen=True)
class Row:
    """A metric of a run beside the baseline's. p: Holm's over all rows; the verdict is by it."""

    run: str
    metric: str
    baseline: float
    score: float
    difference: float
    low: float
    high: float
    p_single: float
    p: float
    detectable: float | None
    verdict: str


@dataclass(frozen=True)
class Task:
    """samples, images: common to all runs. left_out: run -> samples of it that are not. notes: what one must know."""

    task: str
    samples: int
    images: int
    left_out: Mapping[str, int]
    notes: Sequence[str]
    rows: Sequence[Row]


@dataclass(frozen=True)
class Comparison:
    baseline: str
    runs: Sequence[str]
    tests: int
    notes: Sequence[str]
    tasks: Sequence[Task]


def compare(paths: Sequence[Path], *, metrics: Metrics | None = None, rounds: int = 9999, seed: int = 7) -> Comparison:
    """Compare every run with the first, on the samples that all have.

    metrics: (task, summed contributions) -> metrics; by default those of ``benchmark_scores``. Raises UserError, one
    line, when a run cannot be read, no task or no sample of a task is common, a run is given twice, or the same sample
    has another image or other references in another run. Other prompts are said. CIDEr is not compared when its
    document frequencies are of other references.
    """
    if len(paths) < 2:
        raise UserError("compare: two runs at least; the first is the baseline")
    names = [str(path) for path in paths]
    if len({path.resolve() for path in paths}) < len(paths):
        raise UserError(f"compare: {max(names, key=names.count)} is given twice")
    metrics = metrics or task_metrics
    runs = {name: read_run(path, metrics) for name, path in zip(names, paths, strict=True)}
    everywhere = [task for task in runs[names[0]] if all(task in run for run in runs.values())]
    if not everywhere:
        held = "; ".join(f"{name}: {', '.join(run)}" for name, run in runs.items())
        raise UserError(f"compare: no task is in all runs ({held})")
    notes = [
        f"task {task} of {name} is not in all runs and is left out"
        for name, run in runs.items()
        for task in run
        if task not in everywhere
    ]
    prepared = [_align(task, {name: run[task] for name, run in runs.items()}) for task in everywhere]
    tested = [
        (number, name, found)
        for number, (task, aligned) in enumerate(prepared)
        for name in names[1:]
        for found in _tests(task, aligned[names[0]], aligned[name], rounds, seed)
    ]
    corrected = holm([found.p for _, _, found in tested])
    rows: list[list[Row]] = [[] for _ in prepared]
    for (number, name, found), p in zip(tested, corrected, strict=True):
        rows[number].append(_row(name, found, p))
    tasks = [
        Task(task.task, task.samples, task.images, task.left_out, task.notes, found)
        for (task, _), found in zip(prepared, rows, strict=True)
    ]
    return Comparison(names[0], names[1:], len(tested), notes, tasks)


def _align(task: str, runs: Mapping[str, TaskRun]) -> tuple[Task, dict[str, TaskRun]]:
    """The samples that all runs have, in one order, and what has to be said about them."""
    common = sorted(set.intersection(*(set(run.scored.ids) for run in runs.values())))
    if not common:
        raise UserError(f"{task}: no sample is common to {' and '.join(runs)}; were they scored on the same benchmark?")
    left_out = {name: count for name, run in runs.items() if (count := len(run.scored.ids) - len(common))}
    notes = [
        f"{count} of {count + len(common)} samples of {name} are not in all runs" for name, count in left_out.items()
    ]
    aligned = {name: run.only(common) for name, run in runs.items()}
    baseline, *others = aligned
    first = aligned[baseline]
    for name in others:
        other = aligned[name]
        for what, ours, theirs in (
            ("image", first.scored.images, other.scored.images),
            ("references", first.references, other.references),
        ):
            unlike = _unlike(common, ours, theirs)
            if unlike:
                raise UserError(
                    f"{task}: sample {unlike[0]!r} has another {what} in {name} than in {baseline} "
                    f"({len(unlike)} such samples); these are different benchmarks"
                )
        if unlike := _unlike(common, first.prompts, other.prompts):
            notes.append(
                f"{name} was asked with other prompts than {baseline} on {len(unlike)} samples (first: {unlike[0]!r})"
            )
        if first.idf != other.idf and any(map(_has_idf, first.scored.scores)):
            notes.append(f"{name}: CIDEr not compared, its document frequencies are of other references")
    for name, run in aligned.items():
        if run.not_stored:
            notes.append(f"{name}: not compared, since no contributions are stored: {', '.join(run.not_stored)}")
    images = len(set(first.scored.images))
    if images < 2:
        notes.append("one image only: nothing can be tested")
    return Task(task, len(common), images, left_out, notes, []), aligned


def _unlike(ids: Sequence[str], ours: Sequence[str], theirs: Sequence[str]) -> list[str]:
    return [name for name, one, other in zip(ids, ours, theirs, strict=True) if one and other and one != other]


def _tests(task: Task, first: TaskRun, other: TaskRun, rounds: int, seed: int) -> list[Difference]:
    if task.images < 2:
        return []
    if first.scored.contributions.shape[1] != other.scored.contributions.shape[1]:
        raise UserError(f"{task.task}: the runs store unlike contributions; score both with the same version")
    found = paired(first.scored, other.scored, rounds, seed)
    return [one for one in found if first.idf == other.idf or not _has_idf(one.metric)]


def _has_idf(metric: str) -> bool:
    return metric.lower().startswith(IDF_METRICS)


def _row(run: str, found: Difference, p: float) -> Row:
    if found.differing == 0:
        verdict = "same on every sample"
    elif p <= ALPHA:
        verdict = "higher" if found.difference > 0 else "lower"
    else:
        verdict = f"no difference found (smallest detectable {found.detectable:.3g})"
    return Row(
        run, found.metric, found.first, found.second, found.difference, found.low, found.high, found.p, p,
        found.detectable, verdict,
    )  # fmt: skip


def as_text(comparison: Comparison) -> str:
    """Tables for the terminal; whatever a file said that is not printable is shown as '?'."""
    lines = [f"baseline: {comparison.baseline}", *(f"note: {note}" for note in comparison.notes)]
    for task in comparison.tasks:
        lines += ["", f"{task.task}: {task.samples} common samples of {task.images} images"]
        lines += [f"  note: {note}" for note in task.notes]
        for run in comparison.runs:
            rows = [row for row in task.rows if row.run == run]
            lines.append(f"  {run}")
            width = max([12, *(len(row.metric) for row in rows)])
            header = f"    {'metric':{width}} {'baseline':>9} {'run':>9} {'difference':>10}  {'95% interval':>19}"
            lines.append(f"{header} {'p':>7} {'detectable':>10}  verdict")
            for row in rows:
                detectable = "-" if row.detectable is None else f"{row.detectable:.4f}"
                span = f"[{row.low:.4f}, {row.high:.4f}]"
                values = f"{row.baseline:9.4f} {row.score:9.4f} {row.difference:+10.4f}  {span:>19}"
                lines.append(f"    {row.metric:{width}} {values} {_p(row.p):>7} {detectable:>10}  {row.verdict}")
    lines += [
        "",
        f"p: two-sided exchange test by image, Holm-corrected over the {comparison.tests} tests shown. detectable: the "
        "smallest true difference that one test at 5% finds with 80% power.",
    ]
    return "\n".join("".join(c if c.isprintable() else "?" for c in line) for line in lines)


def write(comparison: Comparison, path: Path) -> None:
    """Write as .json or .html, atomically. Raises UserError for another suffix."""
    if path.suffix == ".json":
        write_json(path, asdict(comparison))
    elif path.suffix == ".html":
        from humanvlm.inspect.html import render

        write_text(path, render("humanvlm.evaluate.report", "compare.html.j2", {"p": _p}, **asdict(comparison)))
    else:
        raise UserError(f"--out {path}: neither .json nor .html")


def _p(p: float) -> str:
    return "<0.001" if p < 0.001 else f"{p:.3f}"
