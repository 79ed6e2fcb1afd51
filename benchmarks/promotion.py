"""How often the rule of promotion is wrong: equal models promoted, and gains that it should find passed over.

    python benchmarks/promotion.py [--trials 4000] [--pictures 100 200]

A trial is a champion and a candidate that answer the same pictures, on two tasks and in three slices, all guarded, as
they are by default. Pairs of models:

* ``shares``: right or wrong, with the same chance of each picture;
* ``normal``: scores that differ by noise;
* ``skewed``: of each picture from the same long-tailed distribution, as CIDEr's;
* ``lopsided``: alike in the mean only: the candidate wins a little on most pictures and loses much on few. No test is
  exact for these.

In ``equal`` the true gain is 0, in ``detectable`` what the rule itself calls the gain that it finds four times in five,
on average over the trials of equal models. The interval beside a share is Wilson's, of the number of trials. Exits with
1 when, of models that are alike, more than 2.5% promote, or fewer than 80% of gains are found, by more than that
interval.
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
FALSE, FOUND = 0.025, 0.80
Draw = Callable[[np.random.Generator, int, float], tuple[Array, Array]]


def shares(generator: np.random.Generator, pictures: int, gain: float) -> tuple[Array, Array]:
    """Some pictures easy and some hard; a gain makes all a little easier."""
    chance = generator.beta(2, 2, pictures)
    better = chance + gain * chance * (1 - chance) / 0.2  # the mean of chance * (1 - chance) is 0.2
    return tuple((generator.random(pictures) < one).astype(float) for one in (chance, better))  # type: ignore[return-value]


def normal(generator: np.random.Generator, pictures: int, gain: float) -> tuple[Array, Array]:
    level, ours, theirs = generator.normal(size=(3, pictures))
    return level + ours, level + theirs + gain


def skewed(generator: np.random.Generator, pictures: int, gain: float) -> tuple[Array, Array]:
    """Many low scores, few high ones; those of a picture are alike."""
    level = generator.gamma(1.0, 1.0, pictures)
    ours, theirs = (level * generator.gamma(2.0, 0.5, pictures) for _ in range(2))
    return ours, theirs + gain


def lopsided(generator: np.random.Generator, pictures: int, gain: float) -> tuple[Array, Array]:
    level = generator.random(pictures)
    return level, level + 1 - generator.exponential(size=pictures) + gain


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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=4000)
    parser.add_argument("--pictures", type=int, nargs="+", default=(100, 200))
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    found: dict[str, dict[str, float]] = {}
    wrong = 0
    print(f"{'scores':8} {'pictures':>8} {'true gain':>10} {'promoted':>9}  95% interval      held back by a guard")
    for pictures in options.pictures:
        for draw in (shares, normal, skewed, lopsided):
            gain = 0.0
            for case in ("equal", "detectable"):
                generator, start = np.random.default_rng(options.seed), time.monotonic()
                decisions = [trial(draw, generator, pictures, gain) for _ in range(options.trials)]
                p, low, high = share(sum(one.promote for one in decisions), options.trials)
                held = sum(any(test.worse for test in one.tests) for one in decisions) / options.trials
                name = f"{draw.__name__}.{pictures}.{case}"
                found[name] = {"gain": gain, "promoted": p, "low": low, "high": high, "guard": held}
                print(
                    f"{draw.__name__:8} {pictures:8} {gain:10.4f} {p:9.4f}  [{low:.4f}, {high:.4f}]  {held:10.3f}",
                    flush=True,
                )
                print(f"{name}: {time.monotonic() - start:.0f} s", file=sys.stderr)
                wrong += draw is not lopsided and (high < FOUND if gain else low > FALSE)
                gain = float(np.mean([one.tests[0].found.detectable or 0.0 for one in decisions]))
    print(json.dumps({"trials": options.trials, "outside": wrong, **found}))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
