"""``humanvlm score TASK``: score files of predictions against files of references, without the rest of the pipeline.

Needs NumPy and nothing else of the pipeline; the tasks are those of ``tasks.registry``.
"""

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from humanvlm.shown import shown_lines

if TYPE_CHECKING:
    from humanvlm.evaluate.stats.scored import Scored
    from humanvlm.evaluate.tasks.base import Task

FEW_PARTS = 6  # parts of one kind that the table still shows
COMMON = (
    click.option(
        "--out",
        type=click.Path(path_type=Path),
        metavar="FILE.json",
        help="Scores, counts, and every sample's values.",
    ),
    click.option("--bootstrap", type=click.IntRange(0), default=0, help="Resamples for 95% intervals."),
    click.option("--seed", type=click.IntRange(0), default=7, show_default=True, help="Of the resamples."),
    click.option("--allow-missing", is_flag=True, help="Score missing predictions as wrong, and count them."),
)


@dataclass(frozen=True)
class Result:
    """official: the report of the official evaluator under its own names, where there is one."""

    scored: "Scored"
    intervals: Mapping[str, tuple[float, float]]
    official: Mapping[str, Any]

    @property
    def scores(self) -> dict[str, float]:
        """Without those that are undefined, such as of a part without samples."""
        return {name: value for name, value in self.scored.scores.items() if math.isfinite(value)}


class Commands(click.Group):
    """A command for each task, made when it is asked for: NumPy is not loaded for the help of other commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_tasks())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        task = _tasks().get(cmd_name)
        return _command(cmd_name, task) if task else None


@click.group(cls=Commands)
def score() -> None:
    """Score predictions against references, as the official scorers do.

    \b
    Files may be gzip. JSON lines are streamed; JSON documents are read up to 1 GiB.
    Every id of the references needs one prediction; a missing, unknown or doubled
    id is an error that names it. --allow-missing scores missing ones as wrong.
    Malformed files and rows are errors; replies that cannot be read are scored as
    wrong (POPE: as its authors do) and counted. Thoughts (<think>…</think>) and
    wrappers (<answer>…</answer>) of replies are taken off; a thought that never
    ends is no reply, and counted. Scores are shares (0 to 1), but for MME (200 a
    category).
    """


def finish(scored: "Scored", task: "Task", bootstrap: int, seed: int) -> Result:
    """The scores with intervals from ``bootstrap`` resamples of the images (0: none)."""
    intervals: Mapping[str, tuple[float, float]] = {}
    if bootstrap:
        from humanvlm.evaluate.stats import statistics

        intervals = statistics.bootstrap(scored, bootstrap, seed)
    return Result(scored, intervals, task.official(scored) if task.official else {})


def write_result(path: Path, result: Result) -> None:
    """``task, scores, intervals, official, counts, samples, images, per_sample`` as JSON, atomically."""
    from humanvlm.data.atomic_io import write_json

    scored = result.scored
    columns = {"id": scored.ids, "image": scored.images} | dict(scored.per_sample)
    value: dict[str, Any] = {"task": scored.task, "scores": result.scores}
    if result.intervals:
        value["intervals"] = {name: list(interval) for name, interval in result.intervals.items()}
    if result.official:
        value["official"] = dict(result.official)
    if scored.idf:
        value["idf"] = scored.idf
    value |= {
        "counts": dict(scored.counts),
        "samples": len(scored.ids),
        "images": len(set(scored.images)),
        "per_sample": [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)],
    }
    write_json(path, value)


def table(result: Result) -> str:
    """Scores, intervals and counts as aligned lines; parts only where they are few."""
    scores, scored = result.scores, result.scored
    names = _shown(scores)
    width = max((len(name) for name in names), default=0)
    lines = [f"{scored.task}: {len(scored.ids)} samples, {len(set(scored.images))} images"]
    for name in names:
        low, high = result.intervals.get(name, (math.nan, math.nan))
        interval = "" if math.isnan(low) else f"  ({low:.4f} to {high:.4f})"
        lines.append(f"  {name:<{width}}  {scores[name]:>9.4f}{interval}")
    if "overall" in result.official:
        lines.append(f"  {'official report, %':<{width}}  {result.official['overall']:>9.2f}")
    if len(names) < len(scores):
        lines.append(f"  and {len(scores) - len(names)} scores of parts: --out FILE.json has them")
    counts = ", ".join(f"{name} {count}" for name, count in scored.counts.items() if count)
    return "\n".join([*lines, f"  counts: {counts or 'nothing missing or unparseable'}"])


def _tasks() -> dict[str, "Task"]:
    """By the name of the command."""
    from humanvlm.evaluate.tasks.registry import TASKS

    return {task.command or name: task for name, task in TASKS.items()}


def _command(name: str, task: "Task") -> click.Command:
    """Scores, prints a table, and writes a file when asked."""

    def command(out: Path | None, bootstrap: int, seed: int, **given: Any) -> None:
        result = finish(task.score_files(**given), task, bootstrap, seed)
        if out:
            write_result(out, result)
        click.echo(shown_lines(table(result)))

    for option in reversed((*task.options, *COMMON)):
        command = option(command)
    return click.command(name, help=task.score_files.__doc__)(command)


def _shown(scores: Mapping[str, float]) -> list[str]:
    """The scores of all samples, and of parts where their kind has few: ``metric[kind=part]``."""
    parts: dict[str, set[str]] = defaultdict(set)
    for name in scores:
        kind, _, part = name.partition("[")[2].partition("=")
        parts[kind].add(part)
    return [name for name in scores if len(parts[name.partition("[")[2].partition("=")[0]]) <= FEW_PARTS]
