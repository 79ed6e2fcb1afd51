"""Whether a scored checkpoint becomes the champion: the rule, over evaluations sample by sample.

A candidate is promoted when all of this holds:

1. each floor of ``guards`` is reached;
2. in the deciding metric it is above each of its own blind baselines, the whole interval of the difference;
3. the whole 95% interval of its gain over the champion, on the same samples, lies above ``min_gain``, and an exchange
   test of the two finds a difference at 5% too: of two equal models one of 40 comparisons at most promotes;
4. no guarded metric, and none of them in a slice of ``MIN_IMAGES`` pictures or more, is worse beyond noise: Holm's
   correction over all these tests holds the chance of a false alarm in any of them at 2.5%.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from humanvlm.config.registered_model import RegisteredModel
from humanvlm.errors import UserError
from humanvlm.evaluate.baselines import ABOVE, BASELINES
from humanvlm.evaluate.saved_runs import TaskRun
from humanvlm.evaluate.stats.slices import MIN_IMAGES
from humanvlm.evaluate.stats.statistics import Difference, holm, paired
from humanvlm.evaluate.tasks.registry import TASKS
from humanvlm.registry.evaluation import Evaluation

ALPHA = 0.05  # two-sided: half of it either way
ROUNDS, SEED = 9999, 7
MIN_PICTURES = 2
BLIND = "mean_image"  # the baseline that every task has
# Of one test, so that with the false alarms of the guards (ALPHA / 2) the rule as a whole has 80%.
POWER = 0.80 / (1 - ALPHA / 2)


@dataclass(frozen=True)
class Test:
    """A metric of candidate and champion on the same samples, of a slice (ATTRIBUTE=LEVEL) or, '', of all.

    low, high: the 95% interval of ``difference``, candidate - champion. p: two-sided; of guards Holm's. detectable: the
    smallest true difference that is found with 80% power. worse: beyond noise.
    """

    metric: str
    part: str
    champion: float
    candidate: float
    difference: float
    low: float
    high: float
    p: float
    detectable: float | None
    images: int
    worse: bool


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
    gain = _test(_difference(candidate, champion, policy.metric))
    guards = compare_guarded(candidate, champion, guarded(candidate, policy))
    span = f"{gain.difference:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}]"
    said = f"{policy.metric} {gain.candidate:.4f} against {gain.champion:.4f}: a gain of {span}"
    wins = gain.low > policy.min_gain and gain.p <= ALPHA
    if not wins:
        least = "" if gain.detectable is None else f"; the smallest gain found is {gain.detectable:.4f}"
        reasons += (f"{said}, not above {policy.min_gain:g} beyond noise ({gain.images} pictures{least})",)
    reasons += tuple(worse(test) for test in guards if test.worse)
    tests = (gain, *guards)
    return Decision(not reasons, reasons or (f"{said}, above {policy.min_gain:g}",), tests)


def guarded(evaluation: Evaluation, policy: RegisteredModel) -> tuple[str, ...]:
    """TASK.METRIC of all that must not get worse: as configured, else the headline of every task."""
    if policy.not_worse:
        return tuple(policy.not_worse)
    return tuple(f"{task}.{TASKS[kind].headline}" for task, kind in evaluation.kinds.items() if kind in TASKS)


def compare_guarded(candidate: Evaluation, champion: Evaluation, names: Sequence[str]) -> tuple[Test, ...]:
    """Each metric of all samples, and of every slice with ``MIN_IMAGES`` pictures; Holm's p over all of them."""
    tests = [test for name in names for test in _with_slices(candidate, champion, name)]
    corrected = holm([test.p for test in tests])
    return tuple(
        replace(test, p=p, worse=test.difference < 0 and p <= ALPHA) for test, p in zip(tests, corrected, strict=True)
    )


def worse(test: Test) -> str:
    """A guarded metric's fall in a sentence."""
    where = f" of {test.part}" if test.part else ""
    span = f"{test.difference:+.4f} [{test.low:+.4f}, {test.high:+.4f}]"
    return (
        f"{test.metric}{where} is worse: {test.candidate:.4f} against {test.champion:.4f}, {span} "
        f"({test.images} pictures, p {test.p:.2g})"
    )


def _with_slices(candidate: Evaluation, champion: Evaluation, name: str) -> Iterator[Test]:
    yield _test(_difference(candidate, champion, name))
    task, _, metric = name.partition(".")
    run = candidate.tasks[task]
    for part, ids in slices_of(run).items():
        found = _paired(champion.tasks[task].only(ids), run.only(ids))
        if metric in found:
            yield _test(found[metric], name, part)


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


def _difference(candidate: Evaluation, champion: Evaluation, name: str) -> Difference:
    task, _, metric = name.partition(".")
    for evaluation in (candidate, champion):
        if task not in evaluation.tasks:
            held = ", ".join(evaluation.tasks)
            raise UserError(f"registered_model: {name}: {evaluation.folder} has no task {task!r}; it has {held}")
    found = _paired(champion.tasks[task], candidate.tasks[task])
    if metric not in found:
        raise UserError(f"registered_model: {name} cannot be compared sample by sample; it has {', '.join(found)}")
    return replace(found[metric], metric=name)


def _paired(champion: TaskRun, candidate: TaskRun) -> dict[str, Difference]:
    if len(set(candidate.scored.images)) < MIN_PICTURES:
        raise UserError(f"{candidate.scored.task}: scored on one picture; a comparison needs two at least")
    found = paired(champion.scored, candidate.scored, ROUNDS, SEED, power=POWER)
    return {one.metric: one for one in found}


def _test(found: Difference, metric: str = "", part: str = "") -> Test:
    return Test(
        metric or found.metric, part, found.first, found.second, found.difference, found.low, found.high, found.p,
        found.detectable, found.images, False,
    )  # fmt: skip
