"""MLflow tracking of stages. Where it goes is a machine setting: MLFLOW_TRACKING_URI, default a local SQLite file.

``MLFLOW_TRACKING_URI=none`` turns tracking off (no run is logged). A stage is one run: `open_run` makes it before any
work is done, so that whatever MLflow refuses is known by then, `humanvlm.pipeline.live` adds to it meanwhile, and
`log_stage` ends it. An interrupted stage goes on in its run. Importing MLflow takes seconds: a stage that is up to date
does without.
"""

import csv
import hashlib
import http.client
import json
import logging
import math
import os
import re
import ssl
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from humanvlm.data.atomic_io import write_json
from humanvlm.errors import UserError
from humanvlm.pipeline.local_store import FOLDER, follow_moved
from humanvlm.pipeline.state import state_folder
from humanvlm.shown import masked, shown

log = logging.getLogger("humanvlm")
EXPERIMENT = "humanvlm"
CHECK_TIMEOUT_S = 3.0
CURVES = ("loss.csv", "validation.csv")  # a column a metric, a row a step
DESCRIBING = ("README.md", "statistics.json", "croissant.json")  # what an artifact says of itself
REMEDY = "start the server, set MLFLOW_TRACKING_URI to another, or MLFLOW_TRACKING_URI=none for no tracking"
UNKNOWN = re.compile(r"\berror code 40[13]\b|PERMISSION_DENIED|UNAUTHENTICATED")
CREDENTIALS = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
RUN = "tracking.json"  # in a stage's work folder: the run that it is logged to, and where
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
    """The MLflow URI, or None when tracking is off; that of a server without its user and password (``_sign_in``).

    That of a database has them: show it masked.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI") or default_uri()
    if uri.lower().startswith(("http://", "https://")):
        address = urlsplit(uri)
        uri = urlunsplit(address._replace(netloc=address.netloc.rpartition("@")[2]))
    return None if uri == "none" else uri


def default_uri() -> str:
    """A SQLite file in the project's ``.state``."""
    return f"sqlite:///{state_folder() / 'mlflow.db'}"


def _check_address() -> None:
    uri = os.environ["MLFLOW_TRACKING_URI"]
    try:
        urlsplit(uri).port  # noqa: B018 - asked for its error
    except ValueError:
        raise UserError(
            f"MLFLOW_TRACKING_URI={masked(uri)}: no address; quote what is special in a password, / as %2F, # as %23"
        ) from None


def _sign_in() -> None:
    """Give MLflow's client the user and password that stand in the URI of a server, where it looks for them."""
    address = urlsplit(os.environ.get("MLFLOW_TRACKING_URI", ""))
    if address.scheme not in ("http", "https") or not address.username:
        return
    if not address.password:
        raise UserError(f"MLFLOW_TRACKING_URI: has a user without a password; {CREDENTIALS}")
    if not {"MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_TOKEN"} & os.environ.keys():
        os.environ["MLFLOW_TRACKING_USERNAME"] = unquote(address.username)
        os.environ["MLFLOW_TRACKING_PASSWORD"] = unquote(address.password)


def check() -> None:
    """Raises UserError naming the URI when tracking would fail at the end, before any work is done.

    A server is asked once (3 s at most), the folder of an SQLite file must be writable. Changes nothing.
    """
    uri = tracking_uri()
    if uri is None:
        return
    scheme = uri.partition(":")[0].lower()
    if scheme in ("http", "https"):
        _check_address()
        if problem := _health_problem(uri):
            raise UserError(f"MLflow at {masked(uri)} does not answer ({problem}); {REMEDY}")
    elif scheme == "sqlite":
        _check_writable(_sqlite_path(uri), uri)
    elif scheme in ("file", "") or ":" not in uri:
        raise UserError(
            f"MLFLOW_TRACKING_URI={uri}: MLflow no longer tracks in folders; use {default_uri()}, a server or none"
        )


def open_run(stage: str, profile: str, work: Path | None = None) -> str | None:
    """Make the MLflow run of a stage, or go on in the one that ``work`` remembers; its id, None when tracking is off.

    Raises UserError in one line when MLflow refuses: no credentials, a deleted experiment, a server that is failing.
    """
    uri = tracking_uri()
    if uri is None:
        return None
    with failing_in_one_line(uri):
        client = mlflow_client(uri)
        experiment = experiment_id(client, uri)
        known = remembered(work, uri) if work else None
        if known and _exists(client, known):
            client.update_run(known, status="RUNNING")
            return known
        start = {"stage": stage, "profile": profile, **revision_tags()}
        return str(client.create_run(experiment, run_name=stage, tags=start).info.run_id)


def remember(work: Path, run_id: str | None) -> None:
    """Note in a stage's work folder which run it is logged to."""
    if run_id is not None:
        write_json(work / RUN, {"uri": masked(tracking_uri() or ""), "run_id": run_id})


def remembered(work: Path, uri: str) -> str | None:
    """The run that ``remember`` noted, when it is of the server that is in use."""
    try:
        value = json.loads((work / RUN).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return str(value["run_id"]) if value["uri"] == masked(uri) else None


def fail_run(run_id: str | None) -> None:
    """Mark the run of a stage that failed. What MLflow says to that is only logged: the stage has its own error."""
    uri = tracking_uri()
    if uri is None or run_id is None:
        return
    try:
        with failing_in_one_line(uri):
            mlflow_client(uri).set_terminated(run_id, "FAILED")
    except UserError as error:
        log.warning("run %s is not marked as failed: %s", run_id, error)


def log_stage(report: Mapping[str, Any], out: Path, work: Path) -> None:
    """Log a finished stage to the run that ``work`` remembers, else to a new one; nothing when tracking is off.

    Parameters are the flattened config; metrics are the row counts, the stage's metrics and its seconds, and the
    columns of ``CURVES`` by step, but for the points that are there already; artifacts are report.json, its tables,
    its card and statistics, its curves and the plots, never the data.
    Raises UserError naming the URI when MLflow refuses; the same may be logged again.
    """
    uri = tracking_uri()
    run_id = open_run(report["stage"], report.get("profile", ""), work)
    if uri is None or run_id is None:
        return
    params = {key: str(value)[:6000] for key, value in flatten(report["config"]).items()}
    metrics = stage_metrics(report)
    curves = [point for name in CURVES if (out / name).exists() for point in _curves(out / name)]
    files = [name for name in (*DESCRIBING, *CURVES) if (out / name).exists()] + list(report["plots"])
    with failing_in_one_line(uri):
        client = mlflow_client(uri)
        from mlflow.entities import Metric, Param, RunTag

        client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags(report).items()])
        for batch in _batches([Param(key, value) for key, value in params.items()], 100):
            client.log_batch(run_id, params=batch)
        now = client.get_run(run_id).info.start_time
        points = [(key, value, 0) for key, value in metrics.items()] + list(_missing(client, run_id, curves))
        for batch in _batches([Metric(key, value, now, step) for key, value, step in points], 900):
            client.log_batch(run_id, metrics=batch)
        client.log_dict(run_id, dict(report), "report.json")
        for name, table in report.get("info", {}).get("tables", {}).items():
            if table:
                columns = {column: [row[column] for row in table] for column in table[0]}
                client.log_table(run_id, columns, f"tables/{name}.json")
        for file in files:
            client.log_artifact(run_id, str(out / file), str(Path(file).parent).strip("."))
        client.set_terminated(run_id)


def _missing(client: Any, run_id: str, points: Sequence[tuple[str, float, int]]) -> Iterator[tuple[str, float, int]]:
    """The points that were not logged while the stage ran."""
    known = {
        key: {point.step for point in client.get_metric_history(run_id, key)} for key in {key for key, *_ in points}
    }
    return (point for point in points if point[2] not in known[point[0]])


def _exists(client: Any, run_id: str) -> bool:
    from mlflow.exceptions import MlflowException

    try:
        return bool(client.get_run(run_id).info.lifecycle_stage == "active")
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return False
        raise


def revision_tags() -> dict[str, str]:
    """What the working folder is at: its git commit (``-dirty`` with changes) and the md5 of dvc.lock, where known."""
    found = {}
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
        found["git.commit"] = done.stdout.strip()
    if (lock := Path("dvc.lock")).is_file():
        found["dvc.lock"] = hashlib.md5(lock.read_bytes(), usedforsecurity=False).hexdigest()
    return found


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
    _sign_in()
    if uri.startswith("sqlite:"):
        _sqlite_path(uri).parent.mkdir(parents=True, exist_ok=True)
        follow_moved(_sqlite_path(uri), EXPERIMENT)
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def experiment_id(client: Any, uri: str) -> str:
    """The id of experiment ``humanvlm``, made when missing; a local store keeps artifacts beside its database.

    Raises UserError when it is deleted.
    """
    from mlflow.exceptions import MlflowException

    location = (_sqlite_path(uri).parent / FOLDER).as_uri() if uri.startswith("sqlite:") else None
    if found := client.get_experiment_by_name(EXPERIMENT):
        if found.lifecycle_stage == "deleted":
            raise UserError(
                f"MLflow at {masked(uri)}: experiment {EXPERIMENT!r} is deleted; bring it back with `mlflow "
                f"experiments restore --experiment-id {found.experiment_id}`, or remove it for good with `mlflow gc`"
            )
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
        reason = re.sub(r"HTTPS?ConnectionPool.*Caused by ", "", " ".join(str(error).split()))
        reason = shown(reason)[:200] or type(error).__name__
        remedy = CREDENTIALS if UNKNOWN.search(reason) else REMEDY
        raise UserError(f"MLflow at {masked(uri)}: {reason}; {remedy}") from error


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
