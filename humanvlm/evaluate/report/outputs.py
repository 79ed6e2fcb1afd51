"""The files of ``benchmark_scores``: scores, details, a record a sample, dropped rows, plots, and the page."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from humanvlm.config.benchmark_scores import BenchmarkScores
from humanvlm.data.atomic_io import atomic_file, write_json
from humanvlm.data.dropped import Drop, dropped_row, write_dropped
from humanvlm.data.shards import shard_name
from humanvlm.evaluate.predict import Predicted
from humanvlm.evaluate.records import as_json
from humanvlm.evaluate.report.leaderboard import own_standings, read_standing
from humanvlm.evaluate.report.page import SYSTEMS, TaskResult, plot_parts, plot_scores, write_page
from humanvlm.evaluate.saved_runs import with_contributions
from humanvlm.evaluate.tasks.base import Dropped
from humanvlm.evaluate.tasks.registry import TASKS
from humanvlm.evaluate.usage import Usage
from humanvlm.pipeline.contract import Counts, Outcome, StageRun


def write(
    run: StageRun,
    results: Sequence[TaskResult],
    dropped: Sequence[Dropped],
    absent: Mapping[str, str],
    baselines: Mapping[str, str],
    predicted: Predicted,
    used: Usage,
) -> Outcome:
    """Write everything into ``run.out``. Raises UserError when a run of the leaderboard cannot be read."""
    config: BenchmarkScores = run.config
    scores = {f"{result.task}.{name}": value for result in results for name, value in result.scores.items()}
    ranges = {f"{result.task}.{name}": pair for result in results for name, pair in result.intervals.items()}
    counts = {result.task: len(result.scored.records) for result in results}
    reasons = Counter(reason for _, reason, _ in dropped)
    digests = {result.task: _digest(result) for result in results}
    details = {
        "model": config.model_name,
        "run": dict(predicted.run),
        "usage": used.as_json(),
        "intervals": ranges,
        "kinds": {result.task: result.kind for result in results},
        "samples": counts,
        "digests": digests,
        "parts": {result.task: result.parts for result in results if result.parts},
        "slices": {result.task: [asdict(part) for part in result.slices] for result in results if result.slices},
        "absent": dict(absent),
        "baselines": dict(baselines),
    }
    metrics = {result.task: TASKS[result.kind].headline for result in results}
    labels = {system: label for system, (label, _) in SYSTEMS.items()}
    standings = [
        *own_standings(config.model_name, metrics, scores, ranges, labels),
        *(read_standing(folder, metrics, digests) for folder in config.leaderboard),
    ]
    write_json(run.out / "scores.json", scores)
    write_json(run.out / "details.json", details)
    for result in results:
        _write_lines(run.out / "samples" / f"{result.task}.jsonl", _lines(result))
    rows = [dropped_row(name, None, Drop(reason, detail)) for name, reason, detail in dropped]
    write_dropped(run.out, shard_name(0), rows)
    plots = [plot_scores(results, run.out / "plots" / "scores.png")]
    if details["parts"]:
        plots.append(plot_parts(results, run.out / "plots" / "parts.png"))
    page = write_page(
        results, run.out / "report.html", absent, baselines, reasons, standings, str(predicted.run["hash"]), used.told()
    )
    kept = sum(counts.values())
    return Outcome(
        Counts(kept + len(dropped), kept, dict(sorted(reasons.items()))),
        metrics=scores,
        plots=[str(path.relative_to(run.out)) for path in (*plots, page)],
        info={
            "absent": dict(absent),
            "baselines": dict(baselines),
            "samples": counts,
            "model": config.model,
            "run": predicted.run["hash"],
            "verdicts": [result.verdict for result in results],
            "replies": {"made": predicted.made, "known": predicted.known},
            "usage": used.as_json(),
            "tables": tables(results),
        },
    )


def tables(results: Sequence[TaskResult]) -> dict[str, list[dict[str, Any]]]:
    """For Dagster and MLflow: every score with its interval, and the slices."""
    found: dict[str, list[dict[str, Any]]] = {"scores": []}
    for result in results:
        for name, value in result.scores.items():
            low, high = result.intervals.get(name, (None, None))
            interval = "" if low is None else f"{low:.4f} to {high:.4f}"
            row = {"task": result.task, "metric": name, "score": f"{value:.4f}", "95% interval": interval}
            found["scores"].append({**row, "samples": len(result.scored.records)})
    slices = [
        {
            "task": result.task,
            "slice": f"{part.attribute}: {part.level}",
            "score": f"{part.score:.4f}",
            "samples": part.samples,
            "verdict": part.verdict,
        }
        for result in results
        for part in result.slices
    ]
    return found | ({"slices": slices} if slices else {})


def _digest(result: TaskResult) -> str:
    """Of what was asked and is expected, so that scores of the same samples are known as such."""
    asked = sorted((sample.id, sample.image, sample.references) for sample in result.samples)
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()


def _lines(result: TaskResult) -> Iterator[Mapping[str, Any]]:
    """What ``humanvlm compare`` reads back: the records, each with what it adds to the scores."""
    return with_contributions([as_json(record) for record in result.scored.records], result.scored.contributions)


def _write_lines(path: Path, records: Iterator[Mapping[str, Any]]) -> None:
    with atomic_file(path) as work, work.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
