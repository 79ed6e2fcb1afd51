"""MLflow tracking of stages. Where it goes is a machine setting: MLFLOW_TRACKING_URI, default a local SQLite file.

``MLFLOW_TRACKING_URI=none`` turns tracking off (no run is logged). Importing MLflow takes seconds, so `check` does
without it, and `log_stage` imports its client only.
"""

import csv
import http.client
import math
import os
import re
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from humanvlm.errors import UserError

EXPERIMENT = "humanvlm"
DEFAULT_URI = "sqlite:///.state/mlflow.db"
CHECK_TIMEOUT_S = 3.0
DESCRIBING = ("README.md", "statistics.json", "croissant.json")  # what an artifact says of itself
REMEDY = "start the server, set MLFLOW_TRACKING_URI to another, or MLFLOW_TRACKING_URI=none for no tracking"
# MLflow's defaults are chatty and retry an unreachable server for minutes.
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_RECORD_ENV_VARS_IN_MODEL_LOGGING": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}


def tracking_uri() -> str | None:
    """The MLflow URI, or None when tracking is off."""
    uri = os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI
    return None if uri == "none" else uri


def check() -> None:
    """Raises UserError naming the URI when tracking would fail at the end, before any work is done.

    A server is asked once (3 s at most), the folder of an SQLite file must be writable. Changes nothing.
    """
    uri = tracking_uri()
    if uri is None:
        return
    scheme = uri.partition(":")[0].lower()
    if scheme in ("http", "https"):
        if problem := _health_problem(uri):
            raise UserError(f"MLflow at {_shown(uri)} does not answer ({problem}); {REMEDY}")
    elif scheme == "sqlite":
        _check_writable(_sqlite_path(uri), uri)
    elif scheme in ("file", "") or ":" not in uri:
        raise UserError(
            f"MLFLOW_TRACKING_URI={uri}: MLflow no longer tracks in folders; use {DEFAULT_URI}, a server or none"
        )


def log_stage(report: Mapping[str, Any], out: Path) -> None:
    """Log a finished stage as one MLflow run in experiment ``humanvlm``; nothing when tracking is off.

    Parameters are the flattened config; metrics are the row counts, the stage's metrics and its seconds, and the
    columns of ``loss.csv`` by step; artifacts are report.json, its tables, its card and statistics,
    loss.csv and the plots, never the data.
    Raises UserError naming the URI when MLflow refuses.
    """
    uri = tracking_uri()
    if uri is None:
        return
    run_tags = tags(report)
    params = {key: str(value)[:6000] for key, value in flatten(report["config"]).items()}
    metrics = stage_metrics(report)
    curves = list(_curves(out / "loss.csv")) if (out / "loss.csv").exists() else []
    files = [name for name in DESCRIBING if (out / name).exists()]
    files += [*(["loss.csv"] if curves else []), *report["plots"]]
    with failing_in_one_line(uri):
        client = mlflow_client(uri)
        from mlflow.entities import Metric, Param, RunTag

        run_id = client.create_run(experiment_id(client, uri), run_name=report["stage"]).info.run_id
        try:
            client.log_batch(run_id, tags=[RunTag(key, value) for key, value in run_tags.items()])
            for batch in _batches([Param(key, value) for key, value in params.items()], 100):
                client.log_batch(run_id, params=batch)
            now = client.get_run(run_id).info.start_time
            points = [(key, value, 0) for key, value in metrics.items()] + curves
            for batch in _batches([Metric(key, value, now, step) for key, value, step in points], 900):
                client.log_batch(run_id, metrics=batch)
            client.log_dict(run_id, dict(report), "report.json")
            for name, table in report.get("info", {}).get("tables", {}).items():
                if table:
                    columns = {column: [row[column] for row in table] for column in table[0]}
                    client.log_table(run_id, columns, f"tables/{name}.json")
            for file in files:
                client.log_artifact(run_id, str(out / file), str(Path(file).parent).strip("."))
        except BaseException:
            client.set_terminated(run_id, "FAILED")
            raise
        client.set_terminated(run_id)


def tags(report: Mapping[str, Any]) -> dict[str, str]:
    """What a run is found by: its stage, fingerprint and profile, and the identity of each input."""
    inputs = {f"input.{name}": digest for name, digest in report["inputs"].items()}
    return {
        "stage": report["stage"],
        "fingerprint": report["fingerprint"],
        "profile": report.get("profile", ""),
    } | inputs


def stage_metrics(report: Mapping[str, Any]) -> dict[str, float]:
    """Row counts (rows.in, rows.kept, rows.dropped.REASON), the stage's own metrics, and seconds; finite only."""
    rows = report["rows"]
    counts = {"rows.in": rows["in"], "rows.kept": rows["kept"]}
    drops = {f"rows.dropped.{reason}": count for reason, count in rows["dropped"].items()}
    timings = {"seconds": report.get("timings", {}).get("seconds", 0.0)}
    merged = counts | drops | dict(report["metrics"]) | timings
    return {_metric_name(key): float(value) for key, value in merged.items() if math.isfinite(value)}


def flatten(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, keys joined by dots."""
    flat: dict[str, Any] = {}
    for key, item in value.items():
        flat |= flatten(item, f"{prefix}{key}.") if isinstance(item, Mapping) else {f"{prefix}{key}": item}
    return flat


def mlflow_client(uri: str) -> Any:
    """An MlflowClient for tracking and registry, quiet, the SQLite folder made. Takes about three seconds."""
    for key, value in QUIET.items():
        os.environ.setdefault(key, value)
    if uri.startswith("sqlite:"):
        _sqlite_path(uri).parent.mkdir(parents=True, exist_ok=True)
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def experiment_id(client: Any, uri: str) -> str:
    """The id of experiment ``humanvlm``, made when missing; a local store keeps artifacts beside its database."""
    from mlflow.exceptions import MlflowException

    location = (_sqlite_path(uri).parent / "mlartifacts").as_uri() if uri.startswith("sqlite:") else None
    if found := client.get_experiment_by_name(EXPERIMENT):
        return str(found.experiment_id)
    try:
        return str(client.create_experiment(EXPERIMENT, artifact_location=location))
    except MlflowException:  # another stage made it meanwhile
        if found := client.get_experiment_by_name(EXPERIMENT):
            return str(found.experiment_id)
        raise


@contextmanager
def failing_in_one_line(uri: str) -> Iterator[None]:
    """Turns whatever MLflow, its database driver or the network raise into one UserError that names the URI."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"MLflow at {_shown(uri)}: {reason}; {REMEDY}") from error


def _health_problem(uri: str) -> str | None:
    """Why the server does not answer, or None. In a thread, since looking a name up has no timeout of its own."""
    problems: list[str | None] = ["timed out"]
    thread = threading.Thread(target=lambda: problems.append(_ask(uri)), daemon=True)
    thread.start()
    thread.join(CHECK_TIMEOUT_S + 0.5)
    return problems[-1]


def _ask(uri: str) -> str | None:
    # An API call rather than /health, which gateways in front of MLflow do not always pass on.
    url = f"{uri.rstrip('/')}/api/2.0/mlflow/experiments/search?max_results=1"
    try:
        with urllib.request.urlopen(url, timeout=CHECK_TIMEOUT_S):  # noqa: S310
            return None
    except urllib.error.HTTPError as error:
        return None if error.code in (401, 403) else f"HTTP {error.code}"  # MLflow's client has the credentials
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, ssl.SSLCertVerificationError):  # MLflow's client has its own options for certificates
            return None
        return str(reason) or type(reason).__name__


def _sqlite_path(uri: str) -> Path:
    path = uri.partition("?")[0].removeprefix("sqlite:///")
    return Path(path).absolute()


def _check_writable(path: Path, uri: str) -> None:
    if path.is_dir():
        raise UserError(f"MLFLOW_TRACKING_URI={uri}: is a folder; name a file in it")
    folder = next(parent for parent in path.parents if parent.exists())
    target = path if path.exists() else folder
    if not folder.is_dir() or not os.access(target, os.W_OK):
        raise UserError(
            f"MLFLOW_TRACKING_URI={uri}: {target} is not writable; set MLFLOW_TRACKING_URI to another, or none"
        )


def _shown(uri: str) -> str:
    """The URI without the password."""
    return re.sub(r"(://[^:/@]*):[^@/]*@", r"\1:***@", uri)


def _metric_name(name: str) -> str:
    return re.sub(r"[^\w\-. :/]", "_", name)


def _curves(path: Path) -> Iterator[tuple[str, float, int]]:
    """(column, value, step) of each number in a CSV that has a ``step`` column."""
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            step = int(float(row.pop("step")))
            for key, text in row.items():
                if text and math.isfinite(value := float(text)):
                    yield _metric_name(key), value, step


def _batches(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
