"""How champions scored over time: metrics with steps and a page, in the run that holds the log of decisions.

``evaluations.jsonl`` has a line a re-evaluation; the metrics ``TASK.METRIC`` have a step each, which MLflow plots; and
``history.html`` shows the same with the versions named.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory

from humanvlm.data.atomic_io import write_text
from humanvlm.pipeline.state import state_folder
from humanvlm.registry.decisions import TAG, log_run
from humanvlm.registry.versions import ABSENT, CHAMPION, Registry

FILE, PAGE = "evaluations.jsonl", "history.html"
WIDTH, HEIGHT, MARGIN = 640, 120, 12


@dataclass(frozen=True)
class Point:
    """A champion's evaluation. asked: digest of what it was asked; run_id: of the run with all of it."""

    version: str
    asked: str
    run_id: str
    passed: bool
    scores: Mapping[str, float]
    time: str = ""


def points(registry: Registry) -> list[Point]:
    """The history, the earliest first; [] when there is none, or its run is gone."""
    from mlflow.exceptions import MlflowException

    run_id = registry.client.get_registered_model(registry.name).tags.get(TAG)
    try:
        if run_id is None or all(file.path != FILE for file in registry.client.list_artifacts(run_id)):
            return []
        with TemporaryDirectory() as folder:
            path = Path(registry.client.download_artifacts(run_id, FILE, folder))
            return [Point(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
    except MlflowException as error:
        if error.error_code in ABSENT:
            return []
        raise


def add_point(registry: Registry, point: Point) -> None:
    """Add a point; its page is in ``.state/champion/history.html`` too."""
    from mlflow.entities import Metric

    now = datetime.now(UTC)
    known = [*points(registry), Point(**asdict(point) | {"time": now.isoformat(timespec="seconds")})]
    run_id = log_run(registry)
    page = history_page(registry.name, known)
    registry.client.log_text(run_id, page, PAGE)
    stamp = int(now.timestamp() * 1000)
    metrics = [Metric(name, value, stamp, len(known)) for name, value in point.scores.items()]
    registry.client.log_batch(run_id, metrics=metrics)
    lines = "".join(json.dumps(asdict(one)) + "\n" for one in known)
    registry.client.log_text(run_id, lines, FILE)  # last: killed before, the same is scored again
    write_text(state_folder() / CHAMPION / PAGE, page)


def history_page(name: str, known: Sequence[Point]) -> str:
    """A page without scripts: a curve a metric, a dot an evaluation, red where it fell; and a table of them."""
    metrics = sorted({metric for point in known for metric in point.scores})
    curves = "".join(f"<h2>{escape(metric)}</h2>{_curve(metric, known)}" for metric in metrics)
    rows = "".join(
        f"<tr><td>{place}</td><td>{escape(point.time)}</td><td>{escape(point.version)}</td>"
        f"<td>{'' if point.passed else 'fell'}</td><td><code>{escape(point.run_id)}</code></td></tr>"
        for place, point in enumerate(known, 1)
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(name)}: champions</title>'
        "<style>body{font:14px sans-serif;max-width:48rem;margin:1rem auto;padding:0 1rem}td,th{padding:.2rem .6rem;"
        "text-align:left}svg{width:100%;height:auto}</style>"
        f"<h1>{escape(name)}: how its champions scored</h1>{curves}<table><tr><th>step</th><th>time</th>"
        f"<th>version</th><th></th><th>run</th></tr>{rows}</table></html>\n"
    )


def _curve(metric: str, known: Sequence[Point]) -> str:
    held = [(place, point) for place, point in enumerate(known) if metric in point.scores]
    values = [point.scores[metric] for _, point in held]
    low, high = min(values), max(values)
    span = (high - low) or 1.0

    def at(place: int, value: float) -> tuple[float, float]:
        x = MARGIN + (WIDTH - 2 * MARGIN) * (place / max(len(known) - 1, 1))
        return x, HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * (value - low) / span

    placed = [(*at(place, point.scores[metric]), point) for place, point in held]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in placed)
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{"#06c" if point.passed else "#c00"}"><title>version '
        f"{escape(point.version)}: {point.scores[metric]:.4f}</title></circle>"
        for x, y, point in placed
    )
    label = f"{escape(metric)} from {low:.4f} to {high:.4f}"
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}"><polyline points="{line}" fill="none" '
        f'stroke="#06c"/>{dots}</svg><p>{low:.4f} to {high:.4f}, last {values[-1]:.4f}</p>'
    )
