"""How often the rule of promotion is wrong: equal models promoted, and gains that it should find passed over.

    python benchmarks/promotion.py [--trials 1000] [--pictures 200]

A trial is a champion and a candidate that answer the same pictures: of each picture both are right with the same chance
(or, for ``skewed``, have a score from the same long-tailed distribution), and the candidate's mean is raised by the
``gain``. There are two tasks and three slices, all guarded, as they are by default. ``detectable`` is the gain that the
rule itself calls the smallest that it finds, on average over the trials of equal models. The interval beside a share is
Wilson's, of the number of trials.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from humanvlm.config.registered_model import RegisteredModel
from humanvlm.evaluate.records import metrics
from humanvlm.evaluate.saved_runs import TaskRun
from humanvlm.evaluate.stats.scored import Array, Scored
from humanvlm.registry.evaluation import Evaluation
from humanvlm.registry.promotion import Decision, decide

POLICY = RegisteredModel(metric="vqa.accuracy")
ABOVE = "vqa.accuracy.above_mean_image"
Draw = Callable[[np.random.Generator, int, float], tuple[Array, Array]]


def shares(generator: np.random.Generator, pictures: int, gain: float) -> tuple[Array, Array]:
    """Right and wrong answers, some pictures easy and some hard; a gain makes all a little easier."""
    chance = generator.beta(2, 2, pictures)
    better = chance + gain * chance * (1 - chance) / 0.2  # the mean of chance * (1 - chance) is 0.2
    return tuple((generator.random(pictures) < one).astype(float) for one in (chance, better))  # type: ignore[return-value]


def skewed(generator: np.random.Generator, pictures: int, gain: float) -> tuple[Array, Array]:
    """Scores as CIDEr's: many low ones, few high ones; those of a picture are alike."""
    level = generator.gamma(1.0, 1.0, pictures)
    ours, theirs = (level * generator.gamma(2.0, 0.5, pictures) for _ in range(2))
    return ours, theirs + gain


def trial(draw: Draw, generator: np.random.Generator, pictures: int, gain: float) -> Decision:
    """One decision on a candidate whose deciding metric is truly better by ``gain``; the other task is equal."""
    slices = generator.integers(3, size=pictures)
    deciding, other = draw(generator, pictures, gain), draw(generator, pictures, 0.0)
    champion, candidate = (
        Evaluation(
            Path(name),
            "",
            {POLICY.metric: float(deciding[side].mean()), ABOVE: 1.0},
            {ABOVE: (0.5, 1.5)},
            {"vqa": "vqa", "other": "vqa"},
            {"vqa": _run(deciding[side], slices), "other": _run(other[side], slices)},
        )
        for side, name in enumerate(("champion", "candidate"))
    )
    return decide(candidate, champion, POLICY)


def _run(values: Array, slices: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> TaskRun:
    ids = [f"{place:06d}" for place in range(len(values))]
    vectors = np.column_stack([values, np.ones(len(values))])
    scored = Scored("vqa", ids, ids, {}, vectors, lambda sums: metrics("vqa", sums))
    return TaskRun(scored, [""] * len(ids), [""] * len(ids), [{"light": str(level)} for level in slices], "")


def share(hits: int, trials: int) -> tuple[float, float, float]:
    """A share with Wilson's 95% interval."""
    p, z = hits / trials, 1.96
    centre = (p + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * math.sqrt(p * (1 - p) / trials + z * z / (4 * trials**2))
    return p, centre - half, centre + half


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    found: dict[str, dict[str, float]] = {}
    print(f"{'scores':8} {'true gain':>10} {'promoted':>9}  95% interval      held back by a guard")
    for draw in (shares, skewed):
        gain = 0.0
        for case in ("equal", "detectable"):
            generator, start = np.random.default_rng(options.seed), time.monotonic()
            decisions = [trial(draw, generator, options.pictures, gain) for _ in range(options.trials)]
            p, low, high = share(sum(one.promote for one in decisions), options.trials)
            held = sum(any(test.worse for test in one.tests) for one in decisions) / options.trials
            name = f"{draw.__name__}.{case}"
            found[name] = {"gain": gain, "promoted": p, "low": low, "high": high, "guard": held}
            print(f"{draw.__name__:8} {gain:10.4f} {p:9.3f}  [{low:.3f}, {high:.3f}]  {held:10.3f}", flush=True)
            print(f"{name}: {time.monotonic() - start:.0f} s", file=sys.stderr)
            gain = float(np.mean([one.tests[0].detectable or 0.0 for one in decisions]))
    print(json.dumps({"trials": options.trials, "pictures": options.pictures, **found}))


if __name__ == "__main__":
    main()
