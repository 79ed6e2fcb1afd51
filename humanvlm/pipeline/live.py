"""What a stage tells MLflow while it runs. A server that is slow or gone costs the stage nothing: a thread sends.

What could not be sent is not kept here: a stage writes its curves to ``loss.csv``, and `tracking.log_stage` adds the
points that are missing.
"""

import logging
import math
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from humanvlm.errors import UserError
from humanvlm.pipeline import tracking

log = logging.getLogger("humanvlm")
EVERY_S = 5.0  # between two requests
AGAIN_S = 60.0  # after one that failed
END_S = 20.0  # that the end waits for the last request
Point = tuple[str, float, int, int]  # name, value, time in ms, step


class Live:
    """Metrics and files for the run that a stage's work folder remembers; nothing happens when there is none, or None
    is given for the folder.

    ``close`` sends what is left, within ``END_S``.
    """

    def __init__(self, work: Path | None) -> None:
        uri = tracking.tracking_uri() if work is not None else None
        self.uri = uri or ""
        self.run_id = tracking.remembered(work, uri) if work is not None and uri else None
        self._points: list[Point] = []
        self._files: dict[Path, None] = {}
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._client: Any = None
        self._thread: threading.Thread | None = None

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Metrics of a step; what is not finite is left out."""
        now = int(time.time() * 1000)
        points = [(name, float(value), now, step) for name, value in metrics.items() if math.isfinite(value)]
        with self._lock:
            self._points += points
        self._start()

    def file(self, path: Path) -> None:
        """A file to be shown with the run, as it is when it is sent."""
        with self._lock:
            self._files[path] = None
        self._start()

    def close(self) -> None:
        self._end.set()
        if self._thread is not None:
            self._thread.join(END_S)

    def _start(self) -> None:
        if self.run_id is not None and self._thread is None:
            self._thread = threading.Thread(target=self._work, daemon=True)
            self._thread.start()

    def _work(self) -> None:
        wait, warned = EVERY_S, False
        while True:
            last = self._end.wait(wait)
            with self._lock:
                points, files = self._points, list(self._files)
                self._points, self._files = [], {}
            try:
                with tracking.failing_in_one_line(self.uri):
                    self._send(points, files)
                wait = EVERY_S
            except UserError as error:
                wait = AGAIN_S
                if not warned:
                    log.warning("%s. The work goes on; what is missing there is logged at the end", error)
                warned = True
            if last:
                return

    def _send(self, points: list[Point], files: list[Path]) -> None:
        if not points and not files:
            return
        if self._client is None:
            self._client = tracking.mlflow_client(self.uri)
        from mlflow.entities import Metric

        points = points + [(f"system/{name}", value, *points[-1][2:]) for name, value in machine().items() if points]
        for start in range(0, len(points), 900):
            metrics = [Metric(*point) for point in points[start : start + 900]]
            self._client.log_batch(self.run_id, metrics=metrics)
        for path in files:
            self._client.log_artifact(self.run_id, str(path))


def machine() -> dict[str, float]:
    """The machine's load, under MLflow's own names for it; nothing where psutil is not installed."""
    try:
        import psutil
    except ImportError:
        return {}
    memory = psutil.virtual_memory()
    return {
        "cpu_utilization_percentage": psutil.cpu_percent(),
        "system_memory_usage_megabytes": memory.used / 1e6,
        "system_memory_usage_percentage": memory.percent,
    }
