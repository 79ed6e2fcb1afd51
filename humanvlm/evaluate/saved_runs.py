"""Scores that were written down: how a record holds its contribution, and what a comparison reads of a run.

A line of ``samples/TASK.jsonl`` has ``contribution``, a list of numbers: the sample's part of the sums of which the
task's metrics are functions. With it BLEU can be computed of any part of the samples; without it only the mean of
``score`` can.
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from humanvlm.errors import UserError
from humanvlm.evaluate.files import get, get_id, get_numbers, read_json, read_rows
from humanvlm.evaluate.records import STATES
from humanvlm.evaluate.stats.scored import Array, Scored

Summed = Callable[[Array], dict[str, Array]]
Metrics = Callable[[str, Array], dict[str, Array]]
FIELD = "contribution"
IDF_METRICS = ("cider",)


@dataclass(frozen=True)
class TaskRun:
    """One task of one run. scored: what can be resampled. prompts, references: of each sample, '' when not recorded.
    groups: of each sample, attribute to level: its slices, and as ``part`` the part of the task that it is of.

    idf: names the corpus that the document frequencies of CIDEr are from. not_stored: metrics that the run reports and
    that its records do not suffice for.
    """

    scored: Scored
    prompts: Sequence[str]
    references: Sequence[str]
    groups: Sequence[Mapping[str, str]]
    idf: str
    not_stored: Sequence[str] = ()

    def only(self, ids: Sequence[str]) -> "TaskRun":
        """The same of some samples, in the order of ``ids``."""
        place = {name: row for row, name in enumerate(self.scored.ids)}
        rows = [place[name] for name in ids]
        return replace(
            self,
            scored=replace(
                self.scored,
                ids=list(ids),
                images=[self.scored.images[row] for row in rows],
                contributions=self.scored.contributions[rows],
            ),
            prompts=[self.prompts[row] for row in rows],
            references=[self.references[row] for row in rows],
            groups=[self.groups[row] for row in rows],
        )


def with_contributions(records: Iterable[Mapping[str, Any]], contributions: Array) -> Iterator[dict[str, Any]]:
    """Each record with its contribution, as ``read_run`` wants it. Raises ValueError when one is not finite."""
    for record, vector in zip(records, contributions, strict=True):
        if not np.isfinite(vector).all():
            raise ValueError(f"sample {record['id']!r}: its contribution is not finite")
        yield {**record, FIELD: [int(value) if value == int(value) else value for value in vector.tolist()]}


def read_run(path: Path, metrics: Metrics) -> dict[str, TaskRun]:
    """The tasks of a folder of ``benchmark_scores``, or of a file of ``humanvlm score --out``.

    metrics: (kind of task, summed contributions) -> metrics; KeyError for kinds it does not know. Raises UserError,
    naming file, row and key, when something is missing or malformed, and when records do not add up to the run's own
    scores.
    """
    if not path.is_dir():
        return _read_scores(path, metrics)
    scores = _numbers(read_json(path / "scores.json"), path / "scores.json")
    details = path / "details.json"
    kept = _mapping(read_json(details), details) if details.exists() else {}
    idf, benchmarks = (_mapping(kept.get(key, {}), details) for key in ("idf", "kinds"))
    files = sorted((path / "samples").glob("*.jsonl"))
    if not files:
        raise UserError(f"{path}: no samples/*.jsonl; give a finished folder of benchmark_scores")
    tasks = {}
    for file in files:
        reported = {name.partition(".")[2]: value for name, value in scores.items() if name.startswith(f"{file.stem}.")}
        reported = {name: value for name, value in reported.items() if name not in STATES}  # say nothing of a score
        rows = list(read_rows(file))
        of_kind = partial(metrics, str(benchmarks.get(file.stem, file.stem)))
        tasks[file.stem] = _task(file.stem, rows, reported, str(idf.get(file.stem, "")), file, of_kind)
    return tasks


def _read_scores(path: Path, metrics: Metrics) -> dict[str, TaskRun]:
    value = _mapping(read_json(path), path)
    if missing := [key for key in ("task", "scores", "per_sample") if key not in value]:
        raise UserError(
            f"{path}: no {missing[0]!r}; give a folder of benchmark_scores or a file of `humanvlm score --out`"
        )
    task, scores = str(value["task"]), _numbers(value["scores"], path)
    rows = _rows(value["per_sample"], path)
    return {task: _task(task, rows, scores, str(value.get("idf", "")), path, partial(metrics, task))}


def _rows(value: Any, path: Path) -> list[tuple[str, Mapping[str, Any]]]:
    """Rows, or columns of one length, as rows with the place of each."""
    where = f"{path}: per_sample"
    if isinstance(value, dict):
        if not all(isinstance(column, list) for column in value.values()) or len({len(c) for c in value.values()}) != 1:
            raise UserError(f"{where}: its columns are not lists of one length")
        value = [dict(zip(value, row, strict=True)) for row in zip(*value.values(), strict=True)]
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise UserError(f"{where}: neither a list of objects nor an object of lists")
    return [(f"{where}[{number}]", row) for number, row in enumerate(value)]


def _task(
    task: str,
    rows: Sequence[tuple[str, Mapping[str, Any]]],
    scores: Mapping[str, float],
    idf: str,
    path: Path,
    metrics: Summed,
) -> TaskRun:
    if not rows:
        raise UserError(f"{path}: no samples")
    ids = [get_id(row, ("id",), where) for where, row in rows]
    if len(set(ids)) < len(ids):
        seen: dict[str, str] = {}
        for name, (where, _) in zip(ids, rows, strict=True):
            if name in seen:
                raise UserError(f"{where}: id {name!r} is there twice")
            seen[name] = where
    images = [str(name if row.get("image") is None else row["image"]) for name, (_, row) in zip(ids, rows, strict=True)]
    references = [json.dumps(row.get("references", ""), sort_keys=True) for _, row in rows]
    prompts = [str(row.get("prompt", "")) for _, row in rows]
    groups = [_groups(row, where) for where, row in rows]
    contributions, named = _contributions(rows, scores, path, metrics)
    corpus = idf or hashlib.sha256(json.dumps(sorted(zip(ids, references, strict=True))).encode()).hexdigest()
    scored = Scored(task, ids, images, {}, contributions, named)
    found = named(contributions.sum(axis=0))
    # Names with a dot are those of baselines, such as cider.mean_image.
    absent = [name for name in scores if name not in found and "." not in name]
    return TaskRun(
        scored, prompts, references, groups, corpus, [] if "score" in found and absent == ["score"] else absent
    )


def _groups(row: Mapping[str, Any], where: str) -> Mapping[str, str]:
    slices = row.get("slices") or {}
    if not isinstance(slices, dict):
        raise UserError(f"{where}: slices is a JSON {type(slices).__name__}; an object is expected")
    part = row.get("part")
    return {str(name): str(level) for name, level in slices.items()} | ({"part": str(part)} if part else {})


def _contributions(
    rows: Sequence[tuple[str, Mapping[str, Any]]],
    scores: Mapping[str, float],
    path: Path,
    metrics: Summed,
) -> tuple[Array, Callable[[Array], dict[str, Array]]]:
    stored = [FIELD in row for _, row in rows]
    if any(stored):
        vectors = [get_numbers(get(row, (FIELD,), where), f"{where}: {FIELD}") for where, row in rows]
        if len({len(vector) for vector in vectors}) != 1:
            raise UserError(f"{path}: contributions of unlike length; score it again")
        sums, named = np.array(vectors), metrics
        try:
            found = named(sums.sum(axis=0))
        except KeyError:  # a task whose metrics are not known here: its per-sample values remain
            return _means(rows, scores)
        except (IndexError, ValueError):
            found = {}
        wrong = [
            name for name in scores if "." not in name and not _same(float(found.get(name, math.nan)), scores[name])
        ]
        if wrong:
            raise UserError(
                f"{path}: its records do not add up to the score {wrong[0]} {scores[wrong[0]]:.6g}; score it again"
            )
        return sums, named
    return _means(rows, scores)


def _means(
    rows: Sequence[tuple[str, Mapping[str, Any]]], scores: Mapping[str, float]
) -> tuple[Array, Callable[[Array], dict[str, Array]]]:
    """The scores that are the mean of a column of that name (or 100 times it); failing that, the mean of ``score``."""
    columns: dict[str, Array] = {}
    for name in [*(name for name in scores if name in rows[0][1]), "score"]:
        values = [row.get(name) for _, row in rows]
        if columns and name == "score" and name not in scores:
            break
        if not all(isinstance(value, int | float) and math.isfinite(value) for value in values):
            continue
        column = np.array(values, dtype=np.float64)
        for scale in (1.0, 100.0):
            if name not in scores or _same(scale * float(column.mean()), scores[name]):
                columns.setdefault(name, scale * column)
    if not columns:
        raise UserError(f"{rows[0][0]}: no {FIELD}, no score, and no column that is the mean of a reported score")
    names = list(columns)

    def means(sums: Array) -> dict[str, Array]:
        return {name: sums[..., place] / sums[..., -1] for place, name in enumerate(names)}

    return np.stack([*columns.values(), np.ones(len(rows))], axis=1), means


def _same(found: float, reported: float) -> bool:
    return math.isclose(found, reported, rel_tol=1e-6, abs_tol=1e-9) or round(found, 2) == reported


def _mapping(value: Any, path: Path) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise UserError(f"{path}: a JSON {type(value).__name__}; an object is expected")
    return value


def _numbers(value: Any, path: Path) -> dict[str, float]:
    for name, score in _mapping(value, path).items():
        if isinstance(score, bool) or not isinstance(score, int | float) or not math.isfinite(score):
            raise UserError(f"{path}: score {name!r} is not a finite number")
    return {name: float(score) for name, score in value.items()}
