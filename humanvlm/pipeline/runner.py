"""Runs a stage, finishes an interrupted one, or finds it up to date.

``OUT/.work/`` holds the fingerprint (parameters, inputs, code) of the run that is under way. The same fingerprint
continues; another one starts afresh.
"""

import fcntl
import hashlib
import importlib
import json
import logging
import platform
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from humanvlm.config.defaults import defaults
from humanvlm.config.loading import load_params
from humanvlm.data import tombstones
from humanvlm.data.atomic_io import move_file, write_json, write_text
from humanvlm.data.hashing import sha256_file
from humanvlm.errors import UserError
from humanvlm.pipeline.contract import (
    Outcome,
    RefusalError,
    StageError,
    StageRun,
    artifact_files,
    check_files,
    check_rows,
    damaged,
    identity,
    read_report,
)
from humanvlm.pipeline.stages import STAGES
from humanvlm.shown import masked_values
from humanvlm.weights import hub
from humanvlm.weights.catalog import model_entries, use_own_files

log = logging.getLogger("humanvlm")
SNAPSHOT = ("config", "defaults", "inputs", "code", "models", "files", "tombstones")
VERSIONED = ("humanvlm", "torch", "transformers", "deepspeed", "onnxruntime", "opencv-python-headless", "pyarrow")


def code_identity(code: Sequence[str]) -> str:
    """sha256 of files and folders of this package: an artifact that other code made is not up to date."""
    root = Path(__file__).parents[1]
    named = [path for name in code for path in ((root / name).rglob("*") if (root / name).is_dir() else [root / name])]
    files = sorted(path for path in named if path.is_file() and "__pycache__" not in path.parts)
    listing = [(path.relative_to(root).as_posix(), sha256_file(path)) for path in files]
    return hashlib.sha256(json.dumps(listing).encode()).hexdigest()


def run_stage(
    name: str,
    params_file: Path,
    overrides: Sequence[str] = (),
    inputs: Mapping[str, Path] | None = None,
    out: Path | None = None,
    force: bool = False,
    retry: Sequence[str] = (),
    refetch: bool = False,
    remove_missing: bool = False,
    recheck: bool = False,
) -> dict[str, Any]:
    """Run a stage, or finish an interrupted one, or find it up to date. Returns its report.

    A stage's module has ``make(StageRun) -> Outcome``, and may have ``continues(StageRun) -> bool``: whether what the
    output folder holds, made with another fingerprint, is to be built upon rather than cleared. It may raise UserError
    where clearing it would lose what only ``force`` should. That of a stage that has ranks has ``follow(StageRun,
    finished) -> bool``: whether this process is a rank that another leads, and has done its part; the report is empty.
    That of one that makes something outside of its folder has ``lost(StageRun)``: what of it is gone in words, or None.
    After a RefusalError a complete artifact is as complete as before.
    """
    from humanvlm.pipeline import tracking

    stage = STAGES[name]
    params = load_params(params_file, overrides)
    sections = [getattr(params, section) for section in stage.sections]
    use_own_files({name: given for section in sections for name, given in section.own_files.items()})
    folders = {key: (inputs or {}).get(key, Path(path)) for key, path in stage.inputs.items()}
    run = StageRun(stage, params, folders, out or Path(stage.out), tuple(retry), refetch, remove_missing, recheck)
    if stage.has_ranks and importlib.import_module(stage.module).follow(run, lambda: not force and _up_to_date(run)):
        return {}
    with locked(run.out):
        fingerprint, snapshot = _fingerprint(run)
        report = None if force or retry or recheck else _finished(run.out, fingerprint)
        if report and stage.outside and (gone := importlib.import_module(stage.module).lost(run)):
            log.warning("%s: %s; it is made again", name, gone)
            report = None
        if report:
            if run.mark.exists():  # MLflow was not there when it ended
                _log(run, report)
            shutil.rmtree(run.work, ignore_errors=True)  # of a run that was killed before it changed anything
            log.info("%s: up to date (%d rows kept)", name, report["rows"]["kept"])
            return report
        for folder in run.read.values():
            if (folder / "report.json").exists():
                check_files(folder)
                check_rows(folder)
        tracking.check()
        module = importlib.import_module(stage.module)
        known = run.work if not force and _under_way(run, fingerprint) else None
        tracked = tracking.open_run(name, params.profile, known)
        try:
            _prepare(run, fingerprint, force, getattr(module, "continues", None))
            tracking.remember(run.work, tracked)
            started = datetime.now(UTC)
            clock = time.monotonic()
            outcome: Outcome = module.make(run)
            if _fingerprint(StageRun(stage, load_params(params_file, overrides), folders, run.out))[0] != fingerprint:
                raise StageError(
                    f"{params_file}, an input or the code of {name} changed while it ran; run `humanvlm {name}` again"
                )
            report = _report(run, outcome, fingerprint, snapshot)
        except BaseException as error:
            tracking.fail_run(tracked)
            if isinstance(error, RefusalError) and run.former.exists():
                run.mark.unlink(missing_ok=True)  # first: with its mark a report counts as not logged yet
                move_file(run.former, run.out / "report.json")
                shutil.rmtree(run.work)
            _leave_nothing_empty(run)
            raise
        report["timings"] = {
            "started": started.isoformat(timespec="seconds"),
            "seconds": round(time.monotonic() - clock, 2),
        }
        write_json(run.out / "report.json", report)
        _log(run, report)
    log.info(
        "%s: kept %d of %d rows in %.1f s",
        name,
        outcome.counts.kept,
        outcome.counts.rows_in,
        report["timings"]["seconds"],
    )
    return report


def _log(run: StageRun, report: Mapping[str, Any]) -> None:
    """Log a complete artifact; only then its work folder goes. Raises UserError when MLflow refuses."""
    from humanvlm.pipeline import tracking

    for path in run.work.iterdir() if run.work.exists() else ():
        if path not in (run.mark, run.work / tracking.RUN):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    try:
        tracking.log_stage(report, run.out, run.work)
    except UserError as error:
        raise UserError(f"{error}. {run.out} is complete and kept: the same command logs it") from None
    shutil.rmtree(run.work, ignore_errors=True)


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """One process an artifact. The lock dies with its holder."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with (out.parent / f".{out.name}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StageError(f"{out}: another process is writing it; wait for it or stop it") from None
        yield


def _fingerprint(run: StageRun) -> tuple[str, dict[str, Any]]:
    config = {section: getattr(run.params, section).model_dump(mode="json") for section in run.stage.sections}
    snapshot = {
        "config": masked_values(config),  # it is stored; and a password that changes makes nothing stale
        "defaults": _digest(defaults(run.stage.sections)),
        "inputs": {key: identity(folder, run.stage.parts.get(key, ())) for key, folder in run.read.items()},
        "code": code_identity(run.stage.code or ()),
    }
    if files := [Path(name) for section in run.stage.sections for name in getattr(run.params, section).files]:
        snapshot["files"] = {str(path): sha256_file(path) for name in files for path in _files_of(name)}
    if models := [name for section in run.stage.sections for name in getattr(run.params, section).models]:
        snapshot["models"] = {name: _model_identity(name) for name in models}
    if run.stage.honours_tombstones:
        snapshot["tombstones"] = tombstones.load().digest
    return fingerprint_of(run.stage.name, snapshot), snapshot


def fingerprint_of(stage: str, snapshot: Mapping[str, Any]) -> str:
    """What a stage was made from, as one digest. A report holds the snapshot too, under SNAPSHOT's keys."""
    return _digest([stage, {key: snapshot[key] for key in SNAPSHOT if key in snapshot}])


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _model_identity(name: str) -> str:
    """The declared sha256 of an entry of models.yaml, else what the folder or hub id holds now. Raises UserError."""
    entry = model_entries().get(name)
    if entry is not None and entry.sha256:
        return entry.sha256
    return hub.identity(entry.pinned if entry is not None else name)


def _files_of(path: Path) -> list[Path]:
    return sorted(filter(Path.is_file, path.rglob("*"))) if path.is_dir() else [path] if path.is_file() else []


def _up_to_date(run: StageRun) -> bool:
    return _finished(run.out, _fingerprint(run)[0]) is not None


def _finished(out: Path, fingerprint: str) -> dict[str, Any] | None:
    if not (out / "report.json").exists():
        return None
    report = read_report(out)
    same = report["fingerprint"] == fingerprint
    return report if same and damaged(out, report["outputs"]) is None else None


def _under_way(run: StageRun, fingerprint: str) -> bool:
    return run.mark.exists() and run.mark.read_text() == fingerprint


def _prepare(run: StageRun, fingerprint: str, force: bool, continues: Callable[[StageRun], bool] | None) -> None:
    """Keep the work of an interrupted run with the same fingerprint, or what the stage can build upon; clear everything
    else. The report goes first: without it the artifact is not complete."""
    if not force and _under_way(run, fingerprint):
        return
    if force:
        shutil.rmtree(run.kept, ignore_errors=True)
    if run.out.exists() and any(run.out.iterdir()):
        if not (run.work.exists() or (run.out / "report.json").exists()):
            raise StageError(f"{run.out}: holds files that no stage wrote; give another --out or empty it")
        keeps = not force and continues is not None and continues(run)
        if keeps and (run.out / "report.json").exists():
            run.work.mkdir(exist_ok=True)
            move_file(run.out / "report.json", run.former)
        elif not keeps:
            (run.out / "report.json").unlink(missing_ok=True)
            shutil.rmtree(run.out)
    write_text(run.mark, fingerprint)


def _leave_nothing_empty(run: StageRun) -> None:
    """A stage that failed before its first result leaves no folder behind; results are kept for the next run."""
    from humanvlm.pipeline.tracking import RUN

    found = {path for path in run.out.rglob("*") if path.is_file()}
    if run.mark in found and found <= {run.mark, run.work / RUN}:
        shutil.rmtree(run.out)


def _report(run: StageRun, outcome: Outcome, fingerprint: str, snapshot: Mapping[str, Any]) -> dict[str, Any]:
    counts = outcome.counts
    if not counts.balanced:
        raise StageError(
            f"{run.stage.name}: counts do not add up: {counts.rows_in} in, {counts.kept} kept, "
            f"dropped {dict(counts.dropped)}"
        )
    files = outcome.files or artifact_files(run.out)
    return {
        "stage": run.stage.name,
        "profile": run.params.profile,
        "fingerprint": fingerprint,
        "rows": {"in": counts.rows_in, "kept": counts.kept, "dropped": dict(sorted(counts.dropped.items()))},
        "metrics": dict(outcome.metrics),
        "plots": list(outcome.plots),
        "info": masked_values(outcome.info),
        **snapshot,
        "outputs": [asdict(file) for file in files],
        "versions": {"python": platform.python_version()}
        | {name: found for name in VERSIONED if (found := _version(name))},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
