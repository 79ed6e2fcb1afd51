"""What a stage and its trainer process tell each other: ``job.json`` there, ``result.json`` or ``error.json`` back."""

import ctypes
import json
import signal
import sys
from pathlib import Path
from typing import Any

from humanvlm.config.loading import Params
from humanvlm.data.atomic_io import write_json
from humanvlm.pipeline.contract import StageRun
from humanvlm.pipeline.stages import STAGES


def write_job(run: StageRun) -> Path:
    """Write the stage run for the trainer, and take away what an earlier one answered."""
    for path in (result_path(run), error_path(run), stop_path(run)):
        path.unlink(missing_ok=True)
    write_json(job_path(run), describe(run))
    return job_path(run)


def job_path(run: StageRun) -> Path:
    """Where the stage run is described."""
    return run.work / "job.json"


def describe(run: StageRun) -> dict[str, Any]:
    """A stage run as JSON."""
    return {
        "stage": run.stage.name,
        "params": run.params.model_dump(mode="json"),
        "inputs": {name: str(path) for name, path in run.inputs.items()},
        "out": str(run.out),
    }


def read_job(path: Path) -> StageRun:
    """The stage run that ``write_job`` wrote."""
    value = json.loads(path.read_text(encoding="utf-8"))
    inputs = {name: Path(folder) for name, folder in value["inputs"].items()}
    return StageRun(STAGES[value["stage"]], Params.model_validate(value["params"]), inputs, Path(value["out"]))


def result_path(run: StageRun) -> Path:
    """Where rank 0 leaves the fields of the stage's ``Outcome``."""
    return run.work / "result.json"


def error_path(run: StageRun) -> Path:
    """Where the trainer leaves the text of a UserError."""
    return run.work / "error.json"


def stop_path(run: StageRun) -> Path:
    """A file that asks the trainer to save and end."""
    return run.work / "stop"


def edits_path(run: StageRun) -> Path:
    """Which parameters were changed while the run was under way, and after which step."""
    return run.work / "edits.json"


def read_edits(run: StageRun) -> list[dict[str, Any]]:
    """The edits so far."""
    path = edits_path(run)
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    return found


def checkpoint_step(work: Path) -> int | None:
    """The step of the last checkpoint, unverified; None when there is none."""
    return max(
        (int(path.parent.name.partition("-")[2]) for path in work.glob("checkpoint-*/checkpoint.json")), default=None
    )


def die_with_parent() -> None:
    """Linux: this process is killed when its parent dies, however it dies. Elsewhere: nothing."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
