"""Whether a scored checkpoint becomes the champion: the rule, over evaluations sample by sample.

A candidate is promoted when all of this holds:

1. each floor of ``guards`` is reached;
2. in the deciding metric it is above each of its own blind baselines, the whole interval of the difference;
3. the whole 95% interval of its gain over the champion, on the same samples, lies above ``min_gain``, and an exchange
   test of the two finds a difference at 5% too: of two equal models one of 40 comparisons at most promotes. The
   exchange test promises that of models that are alike, whatever they answer; the interval, by approximation, of models
   that only their mean has in common;
4. no guarded metric, and none of them in a slice of ``MIN_IMAGES`` pictures or more, is worse beyond noise: Holm's
   correction over all these tests holds the chance of a false alarm in any of them at 2.5%.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from humanvlm.config.registered_model import RegisteredModel
from humanvlm.errors import UserError
from humanvlm.evaluate.baselines import ABOVE, BASELINES
from humanvlm.evaluate.saved_runs import TaskRun
from humanvlm.evaluate.stats.slices import MIN_IMAGES
from humanvlm.evaluate.stats.statistics import Difference, holm, paired
from humanvlm.registry.evaluation import Evaluation

ALPHA = 0.05  # two-sided: half of it either way
ROUNDS, SEED = 9999, 7
MIN_PICTURES = 2
BLIND = "mean_image"  # the baseline that every task has
# Of one test, so that with the false alarms of the guards (ALPHA / 2) the rule as a whole has 80%.
POWER = 0.80 / (1 - ALPHA / 2)


@dataclass(frozen=True)
class Test:
    """A metric of champion (first) and candidate (second) on the same samples.

    part: the slice, ATTRIBUTE=LEVEL, or '', of all. p: of guards Holm's, else that of ``found``. worse: beyond noise.
    """

    found: Difference
    part: str
    p: float
    worse: bool = False

    def row(self) -> dict[str, Any]:
        """All of it without nesting, for tables and JSON; the two models by their names."""
        found = asdict(self.found)
        named = {"metric": found.pop("metric"), "part": self.part}
        models = {"champion": found.pop("first"), "candidate": found.pop("second")}
        return {**named, **models, **found, "p": self.p, "worse": self.worse}


@dataclass(frozen=True)
class Decision:
    """Whether to promote, and why, a sentence each; ``tests`` are what that rests on, the deciding one first."""

    promote: bool
    reasons: tuple[str, ...]
    tests: tuple[Test, ...] = ()


def on_its_own(candidate: Evaluation, policy: RegisteredModel) -> tuple[str, ...]:
    """Why a candidate cannot be champion, whoever is now: floors and blind baselines; empty when it can.

    Raises UserError when the deciding metric is not among its scores.
    """
    scores, metric = candidate.scores, policy.metric
    if metric not in scores:
        known = ", ".join(name for name in scores if name.count(".") == 1)
        raise UserError(f"registered_model.metric: {metric!r} is not in {candidate.folder}/scores.json; it has {known}")
    reasons = []
    for name, least in sorted(policy.guards.items()):
        if name not in scores:
            reasons.append(f"guard {name}: not scored")
        elif not scores[name] >= least:
            reasons.append(f"guard {name}: {scores[name]:.4f} is below {least:.4f}")
    for baseline, called in BASELINES.items():
        above = f"{metric}.{ABOVE}{baseline}"
        if above in scores and above in candidate.intervals:
            low, high = candidate.intervals[above]
            if not low > 0:
                reasons.append(f"{metric} does not beat its {called}: {scores[above]:+.4f} [{low:+.4f}, {high:+.4f}]")
        elif baseline == BLIND:
            reasons.append(
                f"{metric} has no blind baseline to be above; score with benchmark_scores.baselines=true and "
                "benchmark_scores.bootstrap above 0, on two pictures or more"
            )
    return tuple(reasons)


def decide(candidate: Evaluation, champion: Evaluation | None, policy: RegisteredModel) -> Decision:
    """The rule, of evaluations that are comparable; the first version needs what it is on its own only.

    Raises UserError when the deciding metric, or a guarded one, is in neither's records, or their samples differ.
    """
    reasons = on_its_own(candidate, policy)
    if champion is None:
        first = f"there is no champion; {policy.metric} is {candidate.scores[policy.metric]:.4f}"
        return Decision(not reasons, reasons or (first,))
    gain = _difference(candidate, champion, policy.metric, exact=True)
    guards = compare_guarded(candidate, champion, guarded(candidate, policy))
    said = f"{policy.metric} {gain.second:.4f} against {gain.first:.4f}: a gain of {_span(gain)}"
    seen = f"({gain.images} pictures, p {gain.p:.2g}{_smallest(gain, policy)})"
    if not (gain.low > policy.min_gain and gain.p <= ALPHA):
        reasons += (f"{said}, not above {policy.min_gain:g} beyond noise {seen}",)
    reasons += tuple(worse(test) for test in guards if test.worse)
    return Decision(
        not reasons, reasons or (f"{said}, above {policy.min_gain:g} {seen}",), (Test(gain, "", gain.p), *guards)
    )


def guarded(evaluation: Evaluation, policy: RegisteredModel) -> tuple[str, ...]:
    """TASK.METRIC of all that must not get worse: as configured, else the headline of every task."""
    return tuple(policy.not_worse) or evaluation.headlines


def compare_guarded(candidate: Evaluation, champion: Evaluation, names: Sequence[str]) -> tuple[Test, ...]:
    """Each metric of all samples, and of every slice with ``MIN_IMAGES`` pictures; Holm's p over all of them."""
    tests = [test for name in names for test in _with_slices(candidate, champion, name)]
    corrected = holm([test.p for test in tests])
    return tuple(
        replace(test, p=p, worse=test.found.difference < 0 and p <= ALPHA)
        for test, p in zip(tests, corrected, strict=True)
    )


def worse(test: Test) -> str:
    """A guarded metric's fall in a sentence."""
    where, found = f" of {test.part}" if test.part else "", test.found
    return (
        f"{found.metric}{where} is worse: {found.second:.4f} against {found.first:.4f}, {_span(found)} "
        f"({found.images} pictures, p {test.p:.2g})"
    )


def _span(found: Difference) -> str:
    return f"{found.difference:+.4f} [{found.low:+.4f}, {found.high:+.4f}]"


def _smallest(gain: Difference, policy: RegisteredModel) -> str:
    if gain.detectable is None:
        return ""
    return f"; a true gain of {policy.min_gain + gain.detectable:.4f} is found four times in five"


def _with_slices(candidate: Evaluation, champion: Evaluation, name: str) -> Iterator[Test]:
    whole = _difference(candidate, champion, name)
    yield Test(whole, "", whole.p)
    task, _, metric = name.partition(".")
    run = candidate.tasks[task]
    for part, ids in slices_of(run).items():
        if found := _paired(champion.tasks[task].only(ids), run.only(ids)).get(metric):
            yield Test(replace(found, metric=name), part, found.p)


def slices_of(run: TaskRun) -> Mapping[str, Sequence[str]]:
    """ATTRIBUTE=LEVEL to ids of its samples, where they are of enough pictures and not all there are."""
    members: dict[str, list[str]] = {}
    images: dict[str, set[str]] = {}
    for name, image, group in zip(run.scored.ids, run.scored.images, run.groups, strict=True):
        for attribute, level in group.items():
            members.setdefault(f"{attribute}={level}", []).append(name)
            images.setdefault(f"{attribute}={level}", set()).add(image)
    whole = len(run.scored.ids)
    return {part: ids for part, ids in sorted(members.items()) if len(images[part]) >= MIN_IMAGES and len(ids) < whole}


def _difference(candidate: Evaluation, champion: Evaluation, name: str, *, exact: bool = False) -> Difference:
    task, _, metric = name.partition(".")
    for evaluation in (candidate, champion):
        if task not in evaluation.tasks:
            held = ", ".join(evaluation.tasks)
            raise UserError(f"registered_model: {name}: {evaluation.folder} has no task {task!r}; it has {held}")
    found = _paired(champion.tasks[task], candidate.tasks[task], exact)
    if metric not in found:
        raise UserError(f"registered_model: {name} cannot be compared sample by sample; it has {', '.join(found)}")
    return replace(found[metric], metric=name)


def _paired(champion: TaskRun, candidate: TaskRun, exact: bool = False) -> dict[str, Difference]:
    if len(set(candidate.scored.images)) < MIN_PICTURES:
        raise UserError(f"{candidate.scored.task}: scored on one picture; a comparison needs two at least")
    found = paired(champion.scored, candidate.scored, ROUNDS, SEED, power=POWER, exact=exact)
    return {one.metric: one for one in found}
