"""The log of promotions: one JSON line a decision, appended and never changed.

It is kept as an MLflow artifact, ``decisions.jsonl`` of the run that the registered model's tag ``log`` names, and as
a copy in ``.state/registry/NAME.jsonl``, which can make it anew when that run is gone.
"""

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from humanvlm.data.atomic_io import locked, make_folder
from humanvlm.pipeline import tracking
from humanvlm.pipeline.state import state_folder
from humanvlm.registry.versions import ABSENT, Registry

FILE = "decisions.jsonl"
TAG = "log"


def append(registry: Registry, entry: Mapping[str, Any]) -> None:
    """Add a decision, with the time, to both logs, unless it is the last one already; the promotion's lock is held."""
    known = entries(registry)
    if known and {key: known[-1].get(key) for key in entry} == dict(entry):
        return
    now = datetime.now(UTC).isoformat(timespec="seconds")
    known.append({"time": now, **entry})
    text = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in known)
    registry.client.log_text(log_run(registry), text, FILE)
    _append_here(registry.name, known[-1])


def entries(registry: Registry) -> list[dict[str, Any]]:
    """All decisions, the earliest first; [] when none was logged."""
    from mlflow.exceptions import MlflowException

    run_id = registry.client.get_registered_model(registry.name).tags.get(TAG)
    if run_id is None:
        return []
    with TemporaryDirectory() as folder:
        try:
            path = registry.client.download_artifacts(run_id, FILE, folder)
            return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]
        except (MlflowException, OSError) as error:
            if isinstance(error, MlflowException) and error.error_code not in ABSENT:
                raise
    return _here(registry.name)


def log_run(registry: Registry) -> str:
    """The run that holds what is told of a registered model; made, and named in its tags, when there is none."""
    from mlflow.exceptions import MlflowException

    run_id = registry.client.get_registered_model(registry.name).tags.get(TAG)
    try:
        if run_id and registry.client.get_run(run_id).info.lifecycle_stage == "active":
            return str(run_id)
    except MlflowException as error:
        if error.error_code not in ABSENT:
            raise
    experiment = tracking.experiment_id(registry.client, registry.uri)
    tags = {"stage": "registry", "model": registry.name}
    run = registry.client.create_run(experiment, run_name=f"{registry.name} history", tags=tags)
    registry.client.set_terminated(run.info.run_id)
    registry.client.set_registered_model_tag(registry.name, TAG, run.info.run_id)
    return str(run.info.run_id)


def _copy(name: str) -> Path:
    return state_folder() / "registry" / f"{name}.jsonl"


def _append_here(name: str, entry: Mapping[str, Any]) -> None:
    path = _copy(name)
    make_folder(path.parent)
    with locked(path) as file:
        os.lseek(file, 0, os.SEEK_END)
        os.write(file, json.dumps(entry, ensure_ascii=False).encode() + b"\n")
        os.fsync(file)


def _here(name: str) -> list[dict[str, Any]]:
    path = _copy(name)
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
