"""How far a score, and the difference of two models, can be trusted.

Images are what is sampled: all samples of an image stay together, in intervals (drawn with replacement) and in tests
(the two models' outputs for an image change places). Nothing depends on the order of the samples.

A scorer whose metrics are no function of a sum has an attribute ``resample``, called with weights (draws, images) that
say how often each image counts, their columns in the order of ``sorted(set(images))``; each metric comes back as an
array (draws,).
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import cast

import numpy as np

from humanvlm.errors import UserError
from humanvlm.evaluate.stats.draws import blocks_left_out, coins, draws, every_exchange, resample
from humanvlm.evaluate.stats.scored import Array, Scored

Interval = tuple[float, float]
Evaluate = Callable[[Array], dict[str, Array]]
ENUMERATED = 13  # with at most so many differing images, every exchange is tried: 8,192
STRICT = 10  # below so many images, ties count in full
FEW = 10  # below so many differing images, their variance alone says too little
_NORMAL = NormalDist()


@dataclass(frozen=True)
class Difference:
    """One metric of two models on the same samples; ``difference`` is second - first.

    low, high: its interval. p: two-sided, of one test; ``holm`` corrects for many. detectable: the smallest true
    difference that, with the given power, has an interval above 0 and is large enough for the test, None when no image
    differs. differing: images on which the two models contribute something else.
    """

    metric: str
    first: float
    second: float
    difference: float
    low: float
    high: float
    p: float
    detectable: float | None
    images: int
    differing: int


@dataclass(frozen=True)
class Corpus:
    """What is drawn from. evaluate: weights (draws, images) -> metrics. leave_out: metrics without each image (or block
    of images) in turn. sums: the summed contributions of each image; None where metrics are no function of a sum."""

    images: Sequence[str]
    evaluate: Evaluate
    leave_out: Callable[[], dict[str, Array]]
    sums: Array | None


def bootstrap(scored: Scored, resamples: int = 1000, seed: int = 7, level: float = 0.95) -> dict[str, Interval]:
    """An interval for every metric, from resampled images.

    BCa (Efron 1987), its normal quantiles replaced by those of Student's t times sqrt(n / (n - 1)), which undoes the
    narrowness of small resamples (Hesterberg 2015). A metric that is a share of right answers gets Wilson's interval
    with the effective sample size of its clusters (Korn and Graubard 1998): no resample of 30 right answers holds a
    wrong one. Undefined metrics (not finite) are left out; of fewer than two images, or with no resamples, all are.
    """
    corpus = corpus_of(scored)
    count = len(corpus.images)
    if not resamples or count < 2:
        return {}
    with np.errstate(divide="ignore", invalid="ignore"):
        values = {name: float(value[0]) for name, value in corpus.evaluate(np.ones((1, count))).items()}
        drawn = [corpus.evaluate(weights) for weights in draws(resample, count, resamples, seed)]
        left_out = corpus.leave_out()
        scales = {} if corpus.sums is None else _shares(scored)
    found = {}
    for name, value in values.items():
        replicates = np.concatenate([one[name] for one in drawn])
        replicates = replicates[np.isfinite(replicates)]
        if not math.isfinite(value) or 2 * len(replicates) < resamples:
            continue
        if name in scales:
            error = _jackknife_error(left_out[name])
            found[name] = _wilson(value, scales[name], error, count, len(scored.ids), level)
        else:
            found[name] = _bca(value, replicates, left_out[name], count, level)
    return found


def paired(
    first: Scored,
    second: Scored,
    rounds: int = 9999,
    seed: int = 7,
    level: float = 0.95,
    power: float = 0.8,
    *,
    exact: bool = False,
) -> list[Difference]:
    """Compare two models metric by metric; both were scored on the same samples, in any order.

    The p-value is that of the exchange test (Noreen 1989): were the models alike, their outputs for any image might
    change places. With up to 13 differing images all exchanges are tried. Ties, which are common among right and wrong
    answers, count half (the mid-p of Fagerland et al. 2013), with fewer than 10 images, or ``exact``, in full: then
    equal models never differ more often than they should. A scorer that resamples for itself is tested, with Student's
    t, by the bootstrap's error of its difference instead.

    The interval is Student's, of the jackknife's error, and wider on the side where few large differences pull (see
    ``_reaches``); with fewer than 10 differing images two more are added that differ by as much as the largest, one
    either way (Bonett and Price 2012). Raises UserError when the samples are not the same, or fewer than two images.
    """
    _check_same_samples(first, second)
    a, b = corpus_of(first), corpus_of(second)
    count = len(a.images)
    if count < 2:
        raise UserError(f"{first.task}: {count} image; two models can be compared on at least 2")
    whole = np.ones((1, count))
    with np.errstate(divide="ignore", invalid="ignore"):
        ours, theirs = a.evaluate(whole), b.evaluate(whole)
        ours_without, theirs_without = a.leave_out(), b.leave_out()
        exchanged = _exchange(first, second, a.sums, b.sums, rounds, seed)
        errors = {} if exchanged.values else _resampled_errors(a, b, seed)
    differences = []
    for name in (name for name in ours if name in theirs):
        one, other = float(ours[name][0]), float(theirs[name][0])
        if not (math.isfinite(one) and math.isfinite(other)):
            continue
        left_out = theirs_without[name] - ours_without[name]
        if errors:
            spread = _Spread(other - one, errors[name], count, 0.0)
        else:
            spread = _spread(other - one, left_out, exchanged.differing)
        below, above = _reaches(spread, level)
        freedom = spread.size - 1
        if exchanged.values:
            p, least = _exchange_p(other - one, exchanged, name, 1 - level, exact)
        else:
            p, least = _t_p(other - one, spread.error, freedom), 0.0
        needed = max(below * spread.error, least)
        detectable = needed + t_quantile(power, freedom) * spread.error if spread.error > 0 else None
        span = (spread.centre - below * spread.error, spread.centre + above * spread.error)
        differences.append(Difference(name, one, other, other - one, *span, p, detectable, count, exchanged.differing))
    return differences


def holm(p: Sequence[float]) -> list[float]:
    """Holm's (1979) step-down p-values: reject those below alpha, and one false rejection in all has chance alpha."""
    order = sorted(range(len(p)), key=lambda index: p[index])
    adjusted, least = [0.0] * len(p), 0.0
    for rank, index in enumerate(order):
        least = max(least, min(1.0, (len(p) - rank) * p[index]))
        adjusted[index] = least
    return adjusted


def resampler(scored: Scored) -> Evaluate | None:
    """How a scorer evaluates resamples itself; None when its metrics are functions of a sum."""
    return cast(Evaluate | None, getattr(scored, "resample", None))


def corpus_of(scored: Scored) -> Corpus:
    """The images of a scorer's result, and its metrics as functions of how often each image counts."""
    if evaluate := resampler(scored):
        names = sorted(set(scored.images))
        return Corpus(names, evaluate, lambda: evaluate(blocks_left_out(len(names))), None)
    images, sums = image_sums(scored)
    total = sums.sum(axis=0)
    return Corpus(images, lambda weights: scored.metrics(weights @ sums), lambda: scored.metrics(total - sums), sums)


def image_sums(scored: Scored) -> tuple[list[str], Array]:
    """The images in order, and the summed contributions of each: (images, k)."""
    # Sorted by id too: floating-point sums depend on the order of their terms.
    ordered = sorted(zip(scored.images, scored.ids, range(len(scored.ids)), strict=True))
    images = sorted(set(scored.images))
    place = {image: number for number, image in enumerate(images)}
    sums = np.zeros((len(images), scored.contributions.shape[1]))
    np.add.at(sums, [place[image] for image, _, _ in ordered], scored.contributions[[row for _, _, row in ordered]])
    return images, sums


def t_quantile(probability: float, freedom: int) -> float:
    """Student's t, to three digits (Abramowitz and Stegun 26.7.5; exact for 1 and 2 degrees of freedom)."""
    if freedom == 1:
        return math.tan(math.pi * (probability - 0.5))
    if freedom == 2:
        return (2 * probability - 1) / math.sqrt(2 * probability * (1 - probability))
    x = _NORMAL.inv_cdf(probability)
    terms = (
        (x**3 + x) / 4,
        (5 * x**5 + 16 * x**3 + 3 * x) / 96,
        (3 * x**7 + 19 * x**5 + 17 * x**3 - 15 * x) / 384,
        (79 * x**9 + 776 * x**7 + 1482 * x**5 - 1920 * x**3 - 945 * x) / 92160,
    )
    return x + math.fsum(term / freedom**power for power, term in enumerate(terms, 1))


def _t_p(difference: float, error: float, freedom: int) -> float:
    """Two-sided, by Wallace's (1959) normal approximation."""
    if not error > 0:
        return float(difference == 0)
    z = math.sqrt(freedom * math.log1p((difference / error) ** 2 / freedom)) * (8 * freedom + 1) / (8 * freedom + 3)
    return 2 * _NORMAL.cdf(-z)


def _bca(value: float, replicates: Array, left_out: Array, count: int, level: float) -> Interval:
    near = 1e-9 * max(1.0, abs(value))
    below = np.mean(replicates < value - near) + np.mean(np.abs(replicates - value) <= near) / 2
    least = 1 / (len(replicates) + 1)
    bias = _NORMAL.inv_cdf(min(max(float(below), least), 1 - least))
    left_out = left_out[np.isfinite(left_out)]
    away = left_out.mean() - left_out
    spread = float((away**2).sum()) ** 1.5
    skew = float((away**3).sum()) / (6 * spread) if spread > 0 else 0.0
    reach = t_quantile(0.5 + level / 2, count - 1) * math.sqrt(count / (count - 1))
    shifted = [bias + side for side in (-reach, reach)]
    places = [_NORMAL.cdf(bias + shift / max(1 - skew * shift, 0.1)) for shift in shifted]
    low, high = np.quantile(replicates, places, method="weibull")
    return float(low), float(high)


def _shares(scored: Scored) -> dict[str, float]:
    """Metrics that are the share of samples that count, and what such a share is multiplied by (1 or 100).

    The pseudo-value of a sample is what it adds to a mean: here 0 or the scale, for all samples.
    """
    count = len(scored.ids)
    total = scored.contributions.sum(axis=0)
    whole, without = scored.metrics(total), scored.metrics(total - scored.contributions)
    scales = {}
    for name, value in whole.items():
        pseudo = count * value - (count - 1) * without[name]
        scale = 1.0 if pseudo.max() < 50 else 100.0
        if (np.minimum(np.abs(pseudo), np.abs(pseudo - scale)) < 1e-6 * scale).all():
            scales[name] = scale
    return scales


def _wilson(value: float, scale: float, error: float, images: int, samples: int, level: float) -> Interval:
    share, reach = min(max(value / scale, 0.0), 1.0), t_quantile(0.5 + level / 2, images - 1)
    spread = share * (1 - share)
    if spread < 1e-12:
        size = float(images)
    else:
        size = min(spread * (scale / error) ** 2, samples) if error > 0 else float(samples)
    square = reach**2 / size
    centre = (share + square / 2) / (1 + square)
    half = reach * math.sqrt(spread / size + square / (4 * size)) / (1 + square)
    return scale * max(0.0, min(centre - half, share)), scale * min(1.0, max(centre + half, share))


def _jackknife_error(left_out: Array) -> float:
    left_out = left_out[np.isfinite(left_out)]
    count = len(left_out)
    return math.sqrt((count - 1) / count * float(((left_out - left_out.mean()) ** 2).sum()))


@dataclass(frozen=True)
class _Exchanged:
    """values: each metric's differences when outputs are exchanged; empty for scorers that resample for themselves.
    every: these are all there are, instead of drawn ones."""

    values: dict[str, Array]
    every: bool
    images: int
    differing: int


def _exchange(
    first: Scored, second: Scored, ours: Array | None, theirs: Array | None, rounds: int, seed: int
) -> _Exchanged:
    if ours is None or theirs is None:
        return _Exchanged({}, False, len(set(first.images)), len(set(first.images)))
    moved = theirs - ours
    moved = moved[(np.abs(moved) > 1e-12 * (1 + np.abs(ours))).any(axis=1)]
    count, every = len(moved), len(moved) <= ENUMERATED
    blocks = [every_exchange(count)] if every else draws(coins, count, rounds, seed)
    totals = ours.sum(axis=0), theirs.sum(axis=0)
    found = []
    for exchange in blocks:
        change = exchange @ moved
        one, other = first.metrics(totals[0] + change), second.metrics(totals[1] - change)
        found.append({name: other[name] - one[name] for name in one if name in other})
    return _Exchanged(
        {name: np.concatenate([part[name] for part in found]) for name in found[0]}, every, len(ours), count
    )


def _exchange_p(difference: float, exchanged: _Exchanged, name: str, alpha: float, exact: bool) -> tuple[float, float]:
    """The p-value, and the smallest of the drawn differences whose p-value would be ``alpha`` at most, else 0."""
    sizes = np.abs(exchanged.values[name])
    sizes = sizes[np.isfinite(sizes)]
    near = 1e-9 * max(float(sizes.max(initial=0.0)), abs(difference), 1e-300)
    larger = int((sizes > abs(difference) + near).sum())
    ties = int((np.abs(sizes - abs(difference)) <= near).sum())
    if not exchanged.every:  # the pair as it is belongs to what might have been drawn
        ties += 1
    total = len(sizes) + (not exchanged.every)
    counted = 1.0 if exact or exchanged.images < STRICT else 0.5
    p = (larger + counted * ties) / total if ties < total else 1.0
    edges = np.flatnonzero(np.diff(ordered := np.sort(sizes)) > near) + 1  # where larger ones begin
    above = len(ordered) - edges
    equal = np.diff(np.append(edges, len(ordered)))
    found = ordered[edges][above - (1 - counted) * equal <= alpha * total]
    return p, float(found[0]) if len(found) else 0.0


@dataclass(frozen=True)
class _Spread:
    """Of the pseudo-values behind an interval of a difference: the standard error is that of their mean."""

    centre: float
    error: float
    size: int
    skewness: float


def _spread(difference: float, left_out: Array, differing: int) -> _Spread:
    left_out = left_out[np.isfinite(left_out)]
    count = len(left_out)
    values, centre = count * difference - (count - 1) * left_out, difference
    if differing < FEW:
        most = float(np.abs(values).max()) if differing else 0.0
        values = np.append(values, [most, -most])
        centre = float(values.mean())
    size, around = len(values), values - values.mean()
    cubed = float((around**2).mean()) ** 1.5
    skewness = float((around**3).mean()) / cubed if cubed > 0 else 0.0
    return _Spread(centre, float(values.std(ddof=1)) / math.sqrt(size), size, skewness)


def _reaches(spread: _Spread, level: float) -> tuple[float, float]:
    """How many standard errors an interval reaches below its centre, and above.

    Hall's (1992) transformation undoes skewness: of a model that wins a little on many images and loses much on few,
    most samples hold too few of the losses, and Student's interval lies above 0 too often. It moves limits outwards
    only: skewness is an estimate, and inwards its noise would be paid for with false alarms.
    """
    reach = t_quantile(0.5 + level / 2, spread.size - 1)
    root = math.sqrt(spread.size)

    def unskewed(skewness: float) -> float:
        if abs(skewness) < 1e-6:
            return reach
        moved = 1 + skewness * (reach / root - skewness / (6 * spread.size))
        return 3 * root / skewness * (math.cbrt(moved) - 1)

    return max(reach, unskewed(spread.skewness)), max(reach, unskewed(-spread.skewness))


def _resampled_errors(a: Corpus, b: Corpus, seed: int, resamples: int = 1000) -> dict[str, float]:
    """Standard errors of b - a, both evaluated on the same resamples."""
    count = len(a.images)
    pairs = [(a.evaluate(weights), b.evaluate(weights)) for weights in draws(resample, count, resamples, seed)]
    moved = {name: np.concatenate([theirs[name] - ours[name] for ours, theirs in pairs]) for name in pairs[0][0]}
    wider = math.sqrt(count / (count - 1))
    return {name: wider * float(values[np.isfinite(values)].std()) for name, values in moved.items()}


def _check_same_samples(first: Scored, second: Scored) -> None:
    pairs = []
    for scored in (first, second):
        images = dict(zip(scored.ids, scored.images, strict=True))
        if len(images) < len(scored.ids):
            doubled = next(name for name, times in Counter(scored.ids).items() if times > 1)
            raise UserError(f"{scored.task}: sample {doubled!r} occurs twice; a sample is scored once")
        pairs.append(images)
    if other := sorted(set(pairs[0].items()) ^ set(pairs[1].items())):
        raise UserError(
            f"{first.task}: sample {other[0][0]!r} (image {other[0][1]!r}) is in one of the two only; compare the same"
        )
