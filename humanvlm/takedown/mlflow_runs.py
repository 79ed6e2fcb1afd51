"""Forgotten samples in MLflow: what runs logged that shows one is deleted through its client, the rest is named."""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import unquote, urlsplit

from humanvlm.data.tombstones import Tombstones
from humanvlm.errors import UserError
from humanvlm.pipeline.contract import identity_of
from humanvlm.pipeline.tracking import EXPERIMENT, default_uri, failing_in_one_line, mlflow_client, tracking_uri
from humanvlm.registry.versions import EVALUATION
from humanvlm.shown import masked
from humanvlm.takedown.lines import count_lines

SHOWING = (".png", ".jpg", ".html")
RECORDS = f"{EVALUATION}/samples"
LISTED = 5
PAGE = 1000  # runs asked for at a time


@dataclass(frozen=True)
class Run:
    """A run of a stage, or an evaluation of a version.

    inputs: identities of what it was made from; files: what it logged that shows rows; records: the folder of what was
    asked and answered, sample by sample; model: name and version of the model that it registered.
    """

    id: str
    stage: str
    identity: str | None
    inputs: frozenset[str]
    files: tuple[str, ...]
    records: str | None
    model: str | None
    store: Any = field(repr=False)
    folder: Path | None = None  # of the files, where they are on this machine


def store_uri(root: Path) -> str | None:
    """The tracking store of the project; None when it has none yet."""
    uri = tracking_uri()
    if uri not in (None, default_uri()):
        return uri
    database = root / ".state" / "mlflow.db"
    return f"sqlite:///{database.absolute()}" if database.exists() else None


def remove_shown(
    root: Path, stones: Tombstones, former: frozenset[str], current: frozenset[str]
) -> tuple[list[str], list[str]]:
    """Delete pictures and pages of the runs that made a version which held a forgotten sample, or were made with one,
    and the records of evaluations that name one: who needs them asks that version of the model again.

    former: identities of these versions; current: of the artifacts that are here. Returns lines that say what was
    deleted, and lines that name what is left: weights, and runs of versions of which nothing is known here.
    """
    uri = store_uri(root)
    if uri is None:
        return [], []
    try:
        with failing_in_one_line(uri):
            runs = _runs(uri)
            touched = _touched(runs, former)
            naming = [run for run in runs if run.records and _count(run, stones)]
            away = [
                run
                for run in runs
                if (run in naming or (run in touched and run.files)) and run.folder and not _is_in(run.folder, root)
            ]
            cleared = [run for run in touched if run.files and run not in away]
            for run in cleared:
                for name in run.files:
                    run.store.delete_artifacts(name)
            forgetting = [run for run in naming if run not in away]
            for run in forgetting:
                run.store.delete_artifacts(run.records)
    except UserError as error:
        return [], [f"{error}; then run `humanvlm forget` again: its runs may hold pictures and texts"]
    unknown = [run for run in runs if run not in touched and run.files and run.identity not in current]
    left = [
        *_named(away, f"MLflow at {masked(uri)}: files outside of this project; delete pictures and records of runs"),
        *_named(unknown, f"MLflow at {masked(uri)}: pictures of versions that are not here; look at runs"),
        *_named([run for run in touched if run.stage.endswith("checkpoint")], "weights: trained by MLflow's runs"),
        *(f"weights: {run.model} in MLflow" for run in touched if run.model),
    ]
    files = sum(len(run.files) for run in cleared)
    said = []
    if files:
        said.append(f"MLflow at {masked(uri)}: {files:,} pictures and pages of {len(cleared):,} runs removed")
    if forgetting:
        said.append(f"MLflow at {masked(uri)}: records of {len(forgetting):,} evaluations removed")
    return said, left


def _count(run: Run, stones: Tombstones) -> int:
    """Lines of an evaluation's records that name a forgotten sample."""
    with TemporaryDirectory() as folder:
        path = Path(run.store.download_artifacts(run.records, folder))
        return sum(count_lines(file, stones) for file in sorted(path.rglob("*.jsonl")))


def _named(runs: Sequence[Run], said: str) -> Iterator[str]:
    if runs:
        names = ", ".join(f"{run.id} ({run.stage})" for run in runs[:LISTED])
        yield f"{said} {names}{f' and {len(runs) - LISTED:,} more' if len(runs) > LISTED else ''}"


def _touched(runs: Sequence[Run], former: frozenset[str]) -> list[Run]:
    """Runs that made or used one of these versions, and what was made with theirs in turn."""
    while True:
        touched = [run for run in runs if run.identity in former or run.inputs & former]
        found = former | {run.identity for run in touched if run.identity}
        if found == former:
            return touched
        former = found


def _runs(uri: str) -> list[Run]:
    from mlflow.entities import ViewType

    client = mlflow_client(uri)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    found: list[Run] = []
    token = None
    while experiment:
        page = client.search_runs([experiment.experiment_id], "", ViewType.ALL, PAGE, page_token=token)
        found += [_run(run, uri) for run in page]
        token = page.token
        if not token:
            break
    return found


def _run(run: Any, uri: str) -> Run:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    place = run.info.artifact_uri
    store = get_artifact_repository(place, tracking_uri=uri)
    files = tuple(_files(store, None))
    tags = run.data.tags
    report = _report(store) if "report.json" in files else {}
    inputs = frozenset(value for name, value in tags.items() if name.startswith("input."))
    shown = tuple(name for name in files if name.endswith(SHOWING))
    records = RECORDS if any(name.startswith(f"{RECORDS}/") for name in files) else None
    identity = identity_of(report) if "outputs" in report else None
    local = urlsplit(place).scheme in ("", "file")
    folder = Path(unquote(urlsplit(place).path)) if local else None
    info = report.get("info", {})
    model = f"version {info['version']} of model {info['name']}" if {"name", "version"} <= info.keys() else None
    return Run(run.info.run_id, tags.get("stage", ""), identity, inputs, shown, records, model, store, folder)


def _report(store: Any) -> dict[str, Any]:
    with TemporaryDirectory() as folder:
        path = store.download_artifacts("report.json", folder)
        report = json.loads(Path(path).read_bytes())
        return report if isinstance(report, dict) else {}


def _files(store: Any, folder: str | None) -> Iterator[str]:
    for entry in store.list_artifacts(folder):
        if entry.is_dir:
            yield from _files(store, entry.path)
        else:
            yield entry.path


def _is_in(folder: Path, root: Path) -> bool:
    """Artifact locations are absolute: those of a copied project are the original's, and not for the copy to edit."""
    return Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(root))
