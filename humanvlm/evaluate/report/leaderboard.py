"""The leaderboard of a report: this run, its baselines, and other runs whose samples are the same."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from humanvlm.errors import UserError
from humanvlm.evaluate.files import read_json


@dataclass(frozen=True)
class Cell:
    """A score with its interval, where there is one. same: it is of the same samples as this run's."""

    value: float
    interval: tuple[float, float] | None
    same: bool = True


@dataclass(frozen=True)
class Standing:
    """A line of the leaderboard: its scores by task. own: it is of this run."""

    name: str
    cells: Mapping[str, Cell]
    own: bool = False


def read_standing(folder: str, metrics: Mapping[str, str], samples: Mapping[str, str]) -> Standing:
    """The main scores of a finished run. metrics: of each task; samples: digests of this run's samples by task.

    Raises UserError when the folder is no finished run.
    """
    path = Path(folder)
    scores, details = (_object(path / name) for name in ("scores.json", "details.json"))
    ranges, digests = details.get("intervals", {}), details.get("digests", {})
    cells = {}
    for task, metric in metrics.items():
        name = f"{task}.{metric}"
        if name in scores:
            interval = ranges.get(name)
            pair = (float(interval[0]), float(interval[1])) if interval else None
            cells[task] = Cell(float(scores[name]), pair, digests.get(task) == samples[task])
    model = str(details.get("model", path.name))
    return Standing(
        f"{model} ({path.parent.parent.name or path.name})" if model == "stage2_checkpoint" else model, cells
    )


def own_standings(
    model: str,
    metrics: Mapping[str, str],
    scores: Mapping[str, float],
    intervals: Mapping[str, tuple[float, float]],
    systems: Mapping[str, str],
) -> Sequence[Standing]:
    """This run and its baselines. systems: suffix of a baseline's scores to its name; '' is the model."""
    found = []
    for system, label in systems.items():
        names = {task: f"{task}.{metric}{system and '.' + system}" for task, metric in metrics.items()}
        cells = {task: Cell(scores[name], intervals.get(name)) for task, name in names.items() if name in scores}
        if cells:
            found.append(Standing(label if system else model, cells, own=not system))
    return found


def _object(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        raise UserError(f"benchmark_scores.leaderboard: {path}: no such file; name folders of finished runs")
    value = read_json(path)
    if not isinstance(value, dict):
        raise UserError(f"benchmark_scores.leaderboard: {path}: no JSON object")
    return value
