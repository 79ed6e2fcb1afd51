"""How champions scored over time: metrics with steps and a page, in the run that holds the log of decisions.

``evaluations.jsonl`` has a line a re-evaluation; the metrics ``TASK.METRIC`` have a step each, which MLflow plots; and
``history.html`` shows the same with the versions named.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from humanvlm.data.atomic_io import write_text
from humanvlm.inspect.html import render
from humanvlm.pipeline.state import state_folder
from humanvlm.registry.decisions import TAG, log_run
from humanvlm.registry.versions import ABSENT, CHAMPION, Registry

FILE, PAGE = "evaluations.jsonl", "history.html"
WIDTH, HEIGHT = 720, 170
LEFT, TOP, BOTTOM, EDGE = (
    56,
    10,
    28,
    20,
)  # room for values, above, for versions, beside the outer dots


@dataclass(frozen=True)
class Point:
    """A champion's evaluation. asked: digest of what it was asked; run_id: of the run with all of it; intervals: of
    95%, by TASK.METRIC as the scores are."""

    version: str
    asked: str
    run_id: str
    passed: bool
    scores: Mapping[str, float]
    time: str = ""
    intervals: Mapping[str, Sequence[float]] = field(default_factory=dict)


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
    """A page without scripts: a curve a metric, with intervals, and a table of all.

    What has no interval in any, such as how many replies were cut, is left to the runs; where nothing has one, all is
    shown.
    """
    scored = {metric for point in known for metric in point.scores}
    metrics = sorted({metric for point in known for metric in point.intervals} & scored or scored)
    size = {"width": WIDTH, "height": HEIGHT, "left": LEFT}
    curves = [_curve(metric, known) for metric in metrics]
    return render(
        "humanvlm.registry", "history.html.j2", {"figures": _figures}, name=name, points=known, curves=curves, **size
    )


def _figures(point: Point, metric: str) -> str:
    if metric not in point.scores:
        return ""
    span = point.intervals.get(metric)
    return f"{point.scores[metric]:.4f}" + (f" [{span[0]:.4f}, {span[1]:.4f}]" if span else "")


@dataclass(frozen=True)
class _Dot:
    """low, high: where its interval ends, None when there is none. version: '' where it is that of the dot before."""

    x: float
    y: float
    low: float | None
    high: float | None
    passed: bool
    title: str
    version: str


@dataclass(frozen=True)
class _Curve:
    metric: str
    label: str
    grid: Sequence[tuple[float, str]]
    dots: Sequence[_Dot]


def _curve(metric: str, known: Sequence[Point]) -> _Curve:
    held = [(place, point) for place, point in enumerate(known) if metric in point.scores]
    values = [value for _, point in held for value in (point.scores[metric], *point.intervals.get(metric, ()))]
    least, most = min(values), max(values)
    inside = HEIGHT - TOP - BOTTOM

    def x_of(place: int) -> float:
        return round(LEFT + EDGE + (WIDTH - LEFT - 2 * EDGE) * place / max(len(known) - 1, 1), 1)

    def y_of(value: float) -> float:
        return round(TOP + inside * ((most - value) / (most - least) if most > least else 0.5), 1)

    dots = []
    for number, (place, point) in enumerate(held):
        low, high = point.intervals.get(metric, (None, None))
        ends = (None if low is None else y_of(low), None if high is None else y_of(high))
        changed = not number or held[number - 1][1].version != point.version
        title = f"version {point.version}: {_figures(point, metric)}, {point.time}"
        version = f"v{point.version}" if changed else ""
        dots.append(_Dot(x_of(place), y_of(point.scores[metric]), *ends, point.passed, title, version))
    grid = [(y_of(value), f"{value:.3f}") for value in dict.fromkeys((least, (least + most) / 2, most))]
    last = held[-1][1]
    label = f"{metric}: {len(held)} evaluations, the last, of version {last.version}, {_figures(last, metric)}"
    return _Curve(metric, label, grid, dots)
