"""What ``benchmark_scores`` found of one checkpoint, read back sample by sample; and what makes two such comparable."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from humanvlm.errors import UserError
from humanvlm.evaluate.records import metrics
from humanvlm.evaluate.saved_runs import TaskRun, read_run
from humanvlm.evaluate.tasks.registry import TASKS
from humanvlm.pipeline.contract import read_report

# Of the settings, those that say how fast, of whom and against what is asked, not what is asked and how it is scored.
ASIDE = ("model", "endpoint", "max_failed", "leaderboard", "bootstrap", "baselines")
FILES = ("scores.json", "details.json", "report.json", "samples/*.jsonl")  # all that is read


@dataclass(frozen=True)
class Evaluation:
    """One checkpoint, scored. identity: sha256 of the samples as asked, the settings and the code: evaluations of
    another identity are not compared. scores, intervals: by TASK.METRIC; kinds: of benchmark, by task."""

    folder: Path
    identity: str
    scores: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    kinds: Mapping[str, str]
    tasks: Mapping[str, TaskRun]

    @property
    def headlines(self) -> tuple[str, ...]:
        """TASK.METRIC of the score that says most of each task."""
        return tuple(f"{task}.{TASKS[kind].headline}" for task, kind in self.kinds.items() if kind in TASKS)


def read_evaluation(folder: Path) -> Evaluation:
    """Read a folder of ``benchmark_scores``. Raises UserError, one line, when it is incomplete, a score is not finite,
    or its records do not add up to its scores."""
    report = read_report(folder)
    tasks = read_run(folder, metrics)
    scores = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
    path = folder / "details.json"
    try:
        details = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        intervals = {name: (float(low), float(high)) for name, (low, high) in details.get("intervals", {}).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: {error}; run `humanvlm benchmark_scores` again") from None
    kinds = {task: str(details.get("kinds", {}).get(task, task)) for task in tasks}
    return Evaluation(folder, _identity(report, details, tasks), scores, intervals, kinds, tasks)


def _identity(report: Mapping[str, Any], details: Mapping[str, Any], tasks: Mapping[str, TaskRun]) -> str:
    config = report.get("config", {}).get("benchmark_scores", {})
    how = {name: value for name, value in details.get("run", {}).get("model", {}).items() if name != "files"}
    asked = {
        "samples": {
            task: sorted(zip(run.scored.ids, run.scored.images, run.prompts, run.references, strict=True))
            for task, run in tasks.items()
        },
        "config": {name: value for name, value in config.items() if name not in ASIDE},
        "model": how,  # device, packages and code that made the replies
        "data": report.get("inputs", {}).get("data"),  # the benchmarks' pictures
        "files": report.get("files"),
        "code": report.get("code"),
    }
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
