"""`humanvlm reevaluate`: the registry's champion, fetched by its alias, scored on the benchmarks as they are now.

What was found is a run linked to the version, a point of the history, and a verdict: whether the champion fell beyond
noise since it, or the champion before it, was last scored. Skipped when neither champion, benchmarks nor code changed.
"""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

from humanvlm.config.loading import Params, load_params
from humanvlm.config.registered_model import RegisteredModel
from humanvlm.data.atomic_io import write_json
from humanvlm.errors import UserError
from humanvlm.evaluate.saved_runs import IDF_METRICS, TaskRun
from humanvlm.inference.local import PACKAGES
from humanvlm.pipeline import tracking
from humanvlm.pipeline.contract import identity
from humanvlm.pipeline.runner import code_identity
from humanvlm.pipeline.stages import STAGES
from humanvlm.pipeline.state import state_folder
from humanvlm.registry.again import STAGE, score_again
from humanvlm.registry.evaluation import ASIDE, Evaluation
from humanvlm.registry.history import Point, add_point, points
from humanvlm.registry.promotion import MIN_PICTURES, Test, compare_guarded, guarded, worse
from humanvlm.registry.versions import CHAMPION, RUN, Registry
from humanvlm.registry.webhook import notify

log = logging.getLogger("humanvlm")
FILE = "reevaluation.json"


@dataclass(frozen=True)
class Due:
    """Whether the champion is to be scored again, and why or why not. asked: digest of what it would be asked."""

    due: bool
    reason: str
    champion: str
    asked: str


@dataclass(frozen=True)
class Reevaluated:
    """What came of it. fell: a sentence a metric that is worse beyond noise than last time. notes: what could not be
    compared. scores: TASK.METRIC, those of baselines and parts apart. run_id: of the evaluation, linked to the version.
    """

    name: str
    version: str
    run_id: str
    reason: str
    fell: Sequence[str]
    notes: Sequence[str]
    scores: Mapping[str, float]
    tests: Sequence[Test]

    @property
    def passed(self) -> bool:
        return not self.fell

    def as_json(self) -> dict[str, Any]:
        """All of it, for the file and the webhook."""
        return {**vars(self), "tests": [test.row() for test in self.tests], "passed": self.passed}


def due(params_file: Path, overrides: Sequence[str] = (), *, force: bool = False) -> Due:
    """What `reevaluate` would do, nothing changed. Raises UserError when there is no champion."""
    params = load_params(params_file, overrides)
    with tracking.failing_in_one_line(_uri()):
        return _due(_registry(params), params, force)


def reevaluate(params_file: Path, overrides: Sequence[str] = (), *, force: bool = False) -> Reevaluated | Due:
    """Score the champion again, unless nothing changed; write ``.state/champion/reevaluation.json``, and tell the
    webhook when it fell. A killed one goes on.

    Raises UserError when there is no champion, its weights are gone, or as `benchmark_scores`.
    """
    params = load_params(params_file, overrides)
    policy: RegisteredModel = params.registered_model
    uri, folder = _uri(), state_folder() / CHAMPION
    with tracking.failing_in_one_line(uri):
        registry = _registry(params)
        found = _due(registry, params, force)
        if not found.due:
            return found
        version: Any = registry.numbered(found.champion)
        weights = registry.weights(version, folder / "weights")
        after = score_again(weights, params.model_dump(mode="json"), folder / STAGE, {}, baselines=True)
        last = next(iter(reversed(points(registry))), None)
        before = registry.evaluation_of(last.run_id if last else version.tags.get(RUN), folder / "before")
        version = registry.record(version, after)
        tests, notes = compared(before, after, policy)
        result = Reevaluated(
            registry.name,
            str(version.version),
            version.tags[RUN],
            found.reason,
            [worse(test) for test in tests if test.worse],
            notes,
            {name: value for name, value in after.scores.items() if name.count(".") == 1 and "[" not in name},
            tests,
        )
        write_json(folder / FILE, result.as_json())
        if result.fell:
            notify(f"{result.name} version {result.version} fell", result.as_json())
        # The point last: killed before it, the same is done again.
        spans = {name: after.intervals[name] for name in result.scores if name in after.intervals}
        point = Point(found.champion, found.asked, result.run_id, result.passed, result.scores, intervals=spans)
        add_point(registry, point)
    return result


def due_as_json(params_file: Path, overrides: Sequence[str] = (), *, force: bool = False) -> str:
    """``due`` in one line."""
    return json.dumps(asdict(due(params_file, overrides, force=force)))


def told(result: Reevaluated | Due) -> str:
    """What came of it, for people."""
    if isinstance(result, Due):
        return f"skipped: {result.reason}"
    found = [f"fell: {sentence}" for sentence in result.fell] or ["no metric fell beyond noise"]
    return "\n".join([f"asked again: {result.reason}", *result.notes, *found])


def compared(
    before: Evaluation | None, after: Evaluation, policy: RegisteredModel
) -> tuple[tuple[Test, ...], tuple[str, ...]]:
    """The guarded metrics and the deciding one, before and after, on the samples that both have; and what has to be
    said. Holm's correction over all of them: the chance of a false alarm is 2.5% a time."""
    if before is None:
        return (), ("it is scored for the first time; there is nothing to compare",)
    notes: list[str] = []
    ours: dict[str, TaskRun] = {}
    theirs: dict[str, TaskRun] = {}
    for task in sorted(after.tasks.keys() & before.tasks.keys()):
        new, old = after.tasks[task], before.tasks[task]
        ids = _same_samples(old, new)
        if len(set(new.only(ids).scored.images)) < MIN_PICTURES:
            notes.append(f"{task}: {len(ids)} samples are as they were; too few to compare")
            continue
        if len(ids) < max(len(new.scored.ids), len(old.scored.ids)):
            notes.append(f"{task}: compared on the {len(ids)} samples that are as they were")
        ours[task], theirs[task] = new.only(ids), old.only(ids)
    names: list[str] = []
    for name in dict.fromkeys((*guarded(after, policy), policy.metric)):
        task, _, metric = name.partition(".")
        if task not in ours:
            continue
        if metric.startswith(IDF_METRICS) and ours[task].idf != theirs[task].idf:
            others = [other for other in ours[task].scored.scores if not other.startswith(IDF_METRICS)]
            names += [f"{task}.{other}" for other in others if "[" not in other]
            notes.append(f"{name}: its document frequencies are of the references, which changed; {others} instead")
        else:
            names.append(name)
    tests = compare_guarded(replace(after, tasks=ours), replace(before, tasks=theirs), tuple(dict.fromkeys(names)))
    return tests, tuple(notes)


def _same_samples(old: TaskRun, new: TaskRun) -> list[str]:
    def asked(run: TaskRun) -> dict[str, tuple[str, str, str]]:
        rows = zip(run.scored.images, run.prompts, run.references, strict=True)
        return dict(zip(run.scored.ids, rows, strict=True))

    before = asked(old)
    return sorted(name for name, sample in asked(new).items() if before.get(name) == sample)


def _due(registry: Registry, params: Params, force: bool) -> Due:
    champion = registry.champion()
    if champion is None:
        raise UserError(
            f"{registry.name}: no version has the alias {CHAMPION!r}; run `humanvlm registered_model` first"
        )
    number, asked = str(champion.version), _asked(params)
    last = next(iter(reversed(points(registry))), None)
    if last is None:
        reason = f"version {number} was not scored again yet"
    elif last.version != number:
        reason = f"version {number} is champion, version {last.version} was scored last"
    elif last.asked != asked:
        reason = f"benchmarks, settings or code changed since version {number} was scored"
    elif force:
        reason = "forced"
    else:
        return Due(False, f"nothing changed since version {number} was scored", number, asked)
    return Due(True, reason, number, asked)


def _asked(params: Params) -> str:
    """Digest of what a champion is asked and how it is scored, whoever it is."""
    stage, section = STAGES[STAGE], params.benchmark_scores
    config = {name: value for name, value in section.model_dump(mode="json").items() if name not in ASIDE}
    read = {name: path for name, path in stage.inputs.items() if name not in (*section.unread, "stage2_checkpoint")}
    value = [
        config,
        {name: identity(Path(path), stage.parts.get(name, ())) for name, path in read.items()},
        {name: hashlib.sha256(Path(name).read_bytes()).hexdigest() for name in section.files if Path(name).is_file()},
        code_identity(stage.code or ()),
        {name: version_of(name) for name in PACKAGES},
    ]
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _registry(params: Params) -> Registry:
    uri = _uri()
    return Registry(tracking.mlflow_client(uri), uri, params.registered_model.name)


def _uri() -> str:
    uri: Any = tracking.tracking_uri()
    if uri is None:
        raise UserError("MLFLOW_TRACKING_URI=none: there is no registry; unset it, or name a server")
    return str(uri)
