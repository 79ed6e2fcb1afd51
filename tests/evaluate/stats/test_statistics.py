"""Intervals, paired tests and Holm's correction."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t

from humanvlm.errors import UserError
from humanvlm.evaluate.stats import draws
from humanvlm.evaluate.stats.scored import Array, Scored
from humanvlm.evaluate.stats.statistics import bootstrap, holm, paired, t_quantile

SCORES = st.lists(st.sampled_from([0.0, 0.3, 0.5, 1.0, 2.5]), min_size=2, max_size=12)


def mean(sums: Array) -> dict[str, Array]:
    return {"mean": sums[..., 0] / sums[..., 1]}


def of_scores(values: Sequence[float], images: Sequence[str] | None = None) -> Scored:
    ids = [f"s{number:05d}" for number in range(len(values))]
    vectors = np.stack([np.asarray(values, dtype=np.float64), np.ones(len(values))], axis=1)
    return Scored("task", ids, images or ids, {}, vectors, mean)


def shuffled(scored: Scored, order: Sequence[int]) -> Scored:
    return Scored(
        scored.task,
        [scored.ids[index] for index in order],
        [scored.images[index] for index in order],
        {},
        scored.contributions[list(order)],
        scored.metrics,
    )


@settings(max_examples=40, deadline=None)
@given(SCORES, SCORES, st.randoms())
def test_order_does_not_matter(first: list[float], second: list[float], random: Any) -> None:
    size = min(len(first), len(second))
    images = [f"i{random.randrange(size)}" for _ in range(size - 1)] + ["last"]
    a, b = of_scores(first[:size], images), of_scores(second[:size], images)
    orders = [random.sample(range(size), size) for _ in "ab"]
    assert bootstrap(shuffled(a, orders[0]), 50) == bootstrap(a, 50)
    if len(set(images)) > 1:
        assert paired(shuffled(a, orders[0]), shuffled(b, orders[1]), 50) == paired(a, b, 50)


def test_intervals_hold_the_score_and_do_not_depend_on_the_size_of_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    scored = of_scores(np.random.default_rng(1).exponential(size=200).tolist())
    whole = bootstrap(scored)
    low, high = whole["mean"]
    assert low < scored.scores["mean"] < high
    assert bootstrap(scored) == whole != bootstrap(scored, seed=8)
    monkeypatch.setattr(draws, "KEPT_CELLS", 0)
    monkeypatch.setattr(draws, "CELLS", 7 * 200)
    assert bootstrap(scored) == whole
    assert bootstrap(scored, level=0.5)["mean"][0] > low


def test_images_are_what_is_resampled() -> None:
    values = np.random.default_rng(2).random(60).tolist()
    single = bootstrap(of_scores(values))["mean"]
    five = bootstrap(
        of_scores([value for value in values for _ in range(5)], [f"s{i:05d}" for i in range(60) for _ in range(5)])
    )
    assert five["mean"] == pytest.approx(single)
    answers = [1.0, 1.0, 0.0, 0.0] * 25
    apart, together = (
        bootstrap(of_scores(answers))["mean"],
        bootstrap(of_scores(answers, [f"{i // 2}" for i in range(100)])),
    )
    assert together["mean"][1] - together["mean"][0] == pytest.approx(math.sqrt(2) * (apart[1] - apart[0]), rel=0.05)


@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_shares_have_wilsons_interval(scale: float) -> None:
    low, high = bootstrap(of_scores([scale] * 30))["mean"]
    assert high == scale
    assert low == pytest.approx(scale * 30 / (30 + t.ppf(0.975, 29) ** 2), rel=1e-3)
    low, high = bootstrap(of_scores([scale] * 27 + [0.0] * 3))["mean"]
    assert 0.70 * scale < low < 0.76 * scale
    assert 0.96 * scale < high < 0.98 * scale


def test_too_little_to_resample() -> None:
    assert bootstrap(of_scores([1.0, 2.0]), resamples=0) == {}
    assert bootstrap(of_scores([1.0, 2.0], ["one", "one"])) == {}
    undefined = of_scores([1.0, 2.0, 3.0])
    undefined = Scored(
        "", undefined.ids, undefined.images, {}, undefined.contributions, lambda sums: {"x": sums[..., 0] / 0}
    )
    assert bootstrap(undefined) == {}


@given(SCORES, SCORES)
@settings(max_examples=30, deadline=None)
def test_few_images_are_exchanged_in_all_ways(first: list[float], second: list[float]) -> None:
    size = min(len(first), len(second))
    found = paired(of_scores(first[:size]), of_scores(second[:size]))[0]
    moves = np.subtract(second[:size], first[:size])
    sums = [abs(float(np.dot(signs, moves))) for signs in product((-1, 1), repeat=size)]
    seen = abs(float(moves.sum()))
    larger, ties = sum(value > seen + 1e-9 for value in sums), sum(abs(value - seen) <= 1e-9 for value in sums)
    whole = size < 10 or ties == len(sums)
    assert found.p == pytest.approx((larger + (ties if whole else ties / 2)) / len(sums))
    assert found.difference == pytest.approx(moves.mean())
    assert found.low <= found.high
    assert found.differing == np.count_nonzero(moves)


def test_a_pair_is_symmetric_and_equal_models_do_not_differ() -> None:
    generator = np.random.default_rng(3)
    a, b = of_scores(generator.random(80).tolist()), of_scores((generator.random(80) + 0.1).tolist())
    one, other = paired(a, b)[0], paired(b, a)[0]
    assert (one.difference, one.low, one.high) == pytest.approx((-other.difference, -other.high, -other.low))
    assert one.p == pytest.approx(other.p, abs=0.02)
    same = paired(a, a)[0]
    assert (same.difference, same.p, same.detectable, same.differing) == (0, 1, None, 0)


def test_detectable_is_what_the_paired_variance_says() -> None:
    half = np.random.default_rng(4).normal(size=32)
    moves = np.concatenate([half, 0.2 - half])  # symmetric about their mean
    found = paired(of_scores([0.0] * 64), of_scores(moves.tolist()))[0]
    error = moves.std(ddof=1) / 8
    assert found.detectable == pytest.approx((t.ppf(0.975, 63) + t.ppf(0.8, 63)) * error, rel=1e-3)
    assert (found.low, found.high) == pytest.approx(t.interval(0.95, 63, moves.mean(), error), rel=1e-3)


def test_few_large_losses_widen_an_interval_downwards_only() -> None:
    moves = np.array(([0.05] * 9 + [-0.35]) * 10)
    found = paired(of_scores([0.0] * 100), of_scores(moves.tolist()))[0]
    error = moves.std(ddof=1) / 10
    low, high = t.interval(0.95, 99, moves.mean(), error)
    assert found.low < low - 0.2 * error
    assert found.high == pytest.approx(high, rel=1e-3)
    assert found.detectable is not None
    assert found.detectable == pytest.approx(found.difference - found.low + t.ppf(0.8, 99) * error, rel=1e-3)


def test_a_corpus_metric_is_exchanged_as_a_whole() -> None:
    """A ratio of sums, of images of unlike length."""
    generator = np.random.default_rng(5)
    length = generator.integers(1, 40, 50)
    ids = [f"{number:02d}" for number in range(50)]

    def scored(quality: float) -> Scored:
        vectors = np.stack([generator.binomial(length, quality), length], axis=1).astype(np.float64)
        return Scored("", ids, ids, {}, vectors, mean)

    a, b = scored(0.5), scored(0.6)
    found = paired(a, b, rounds=4000)[0]
    moved = b.contributions[:, 0] - a.contributions[:, 0]
    signs = np.random.default_rng(0).choice([-1, 1], (20000, 50))
    expected = float((np.abs(signs @ moved) >= abs(moved.sum())).mean())
    assert found.p == pytest.approx(expected, abs=0.01)
    assert found.first == a.contributions[:, 0].sum() / length.sum()


@dataclass(frozen=True)
class Median(Scored):
    """A metric that is no function of a sum."""

    resample: Callable[[Array], dict[str, Array]] | None = field(default=None, kw_only=True)


def median_of(values: Array) -> Median:
    ids = [f"{number:04d}" for number in range(len(values))]
    order = np.argsort(values)

    def resample(weights: Array) -> dict[str, Array]:
        above = np.cumsum(weights[:, order], axis=1)
        return {"median": values[order][(above >= above[:, -1:] / 2).argmax(axis=1)]}

    return Median("", ids, ids, {}, np.zeros((len(values), 0)), lambda sums: {}, resample=resample)


def test_a_scorer_may_resample_for_itself() -> None:
    values = np.random.default_rng(6).normal(size=500)
    low, high = bootstrap(median_of(values))["median"]
    assert low < np.median(values) < high
    assert high - low == pytest.approx(2 * 1.96 * 1.2533 / math.sqrt(500), rel=0.35)
    assert paired(median_of(values), median_of(values + 1))[0].p < 0.001
    assert paired(median_of(values), median_of(values))[0].p == 1
    plain = of_scores(values.tolist())
    assert bootstrap(Median(**vars(plain))) == bootstrap(plain)


def test_samples_must_be_the_same() -> None:
    with pytest.raises(UserError, match=r"'s00002'.* is in one of the two only"):
        paired(of_scores([1, 2, 3]), of_scores([1, 2]))
    with pytest.raises(UserError, match="1 image; two models can be compared on at least 2"):
        paired(of_scores([1.0]), of_scores([1.0]))
    doubled = of_scores([1.0, 2.0])
    doubled = Scored("task", ["x", "x"], doubled.images, {}, doubled.contributions, mean)
    with pytest.raises(UserError, match="sample 'x' occurs twice"):
        paired(doubled, doubled)


def test_holm() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.9, 0.8]) == [1.0, 1.0]


@pytest.mark.parametrize("freedom", [1, 2, 4, 9, 29, 1000])
def test_quantiles_of_t(freedom: int) -> None:
    for probability in (0.8, 0.95, 0.975):
        assert t_quantile(probability, freedom) == pytest.approx(t.ppf(probability, freedom), abs=2e-3)
        assert t_quantile(1 - probability, freedom) == pytest.approx(-t_quantile(probability, freedom))
