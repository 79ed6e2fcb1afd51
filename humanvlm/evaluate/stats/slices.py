"""Scores of slices: of the samples with one number of people, one face size, one apparent gender or age, one light.

A slice is compared with all other samples that have the attribute. Over all slices that are shown one false verdict has
the chance alpha (Holm), so that twenty slices of a fair model do not show a bias.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from humanvlm.evaluate.stats.draws import CELLS
from humanvlm.evaluate.stats.scored import Array, Scored
from humanvlm.evaluate.stats.statistics import bootstrap, holm

APPARENT = ("age", "ethnicity", "expression", "gender", "race", "sex", "skin")
MIN_IMAGES = 30
ROUNDS = 9999


@dataclass(frozen=True)
class Slice:
    """One level of an attribute. score: mean of its samples. difference: to the other samples with the attribute.

    p: Holm's over all slices shown; None, as is the difference's verdict, where the slice or the others have too few
    images. verdict: 'lower' or 'higher' than the others, 'no difference found', 'too few images', 'only level'.
    """

    attribute: str
    level: str
    score: float
    low: float | None
    high: float | None
    samples: int
    images: int
    difference: float | None
    p: float | None
    verdict: str


def slice_scores(
    ids: Sequence[str],
    images: Sequence[str],
    scores: Sequence[float],
    slices: Sequence[Mapping[str, str]],
    *,
    resamples: int = 1000,
    rounds: int = ROUNDS,
    seed: int = 7,
    level: float = 0.95,
    min_images: int = MIN_IMAGES,
) -> list[Slice]:
    """Every level of every attribute, in the order of the alphabet.

    slices: of each sample, attribute -> level; a sample may lack attributes. The p-value permutes the levels of images
    (where one image has samples of several levels, each such part on its own); its statistic is the difference of the
    means over its standard error, which keeps it right when slices differ in spread (Chung and Romano 2013).
    """
    order = sorted(range(len(ids)), key=lambda index: (images[index], ids[index]))
    found: list[Slice] = []
    for attribute in sorted({name for given in slices for name in given}):
        chosen = [index for index in order if attribute in slices[index]]
        values = _Values(
            [ids[index] for index in chosen],
            [images[index] for index in chosen],
            np.array([scores[index] for index in chosen], dtype=np.float64),
            [slices[index][attribute] for index in chosen],
        )
        found += _levels(apparent(attribute), values, resamples, rounds, seed, level, min_images)
    tested = [index for index, part in enumerate(found) if part.p is not None]
    corrected = dict(zip(tested, holm([found[index].p or 0.0 for index in tested]), strict=True))
    return [_judged(part, corrected.get(index), 1 - level) for index, part in enumerate(found)]


def apparent(attribute: str) -> str:
    """The attribute's name; what a person merely looks like is called so ('apparent gender')."""
    words = attribute.replace("_", " ")
    return f"apparent {words}" if set(words.lower().split()) & set(APPARENT) and "apparent" not in words else words


@dataclass(frozen=True)
class _Values:
    ids: Sequence[str]
    images: Sequence[str]
    scores: Array
    levels: Sequence[str]


def _levels(
    attribute: str, values: _Values, resamples: int, rounds: int, seed: int, level: float, min_images: int
) -> list[Slice]:
    names, place = np.unique(values.levels, return_inverse=True)
    units, sizes = _units(values.images, values.scores, place)
    statistics = _permuted(units, sizes, rounds, seed) if len(names) > 1 else np.zeros((1, len(names)))
    found = []
    for number, name in enumerate(names.tolist()):
        mine = place == number
        score, (low, high) = float(values.scores[mine].mean()), _interval(values, mine, resamples, seed, level)
        images = int(sizes[number])
        others = len({image for image, own in zip(values.images, mine, strict=True) if not own})
        difference = p = None
        verdict = "only level"
        if len(names) > 1:
            difference = score - float(values.scores[~mine].mean())
            verdict = "too few images"
            if images >= min_images <= others:
                seen = statistics[:, number]
                p, verdict = float((seen >= seen[0] - 1e-9).mean()), ""
        found.append(Slice(attribute, name, score, low, high, int(mine.sum()), images, difference, p, verdict))
    return found


def _judged(part: Slice, p: float | None, alpha: float) -> Slice:
    if p is None:
        return part
    verdict = "no difference found" if p > alpha else "lower" if (part.difference or 0.0) < 0 else "higher"
    return replace(part, p=p, verdict=verdict)


def _interval(
    values: _Values, mine: NDArray[np.bool_], resamples: int, seed: int, level: float
) -> tuple[float | None, float | None]:
    chosen = np.flatnonzero(mine).tolist()
    sums = np.stack([values.scores[mine], np.ones(len(chosen))], axis=1)
    scored = Scored(
        "", [values.ids[i] for i in chosen], [values.images[i] for i in chosen], {}, sums,
        lambda total: {"score": total[..., 0] / total[..., 1]},
    )  # fmt: skip
    return bootstrap(scored, resamples, seed, level).get("score", (None, None))


def _units(images: Sequence[str], scores: Array, place: NDArray[np.intp]) -> tuple[Array, NDArray[np.int64]]:
    """[sum, samples] of each image and level, those of the first level first; and how many each level has."""
    _, image = np.unique(images, return_inverse=True)
    keys, unit = np.unique(np.stack([place, image], axis=1), axis=0, return_inverse=True)
    sums = np.zeros((len(keys), 2))
    np.add.at(sums, unit.ravel(), np.stack([scores, np.ones_like(scores)], axis=1))
    return sums, np.bincount(keys[:, 0])


def _permuted(units: Array, sizes: NDArray[np.int64], rounds: int, seed: int) -> Array:
    """|t| of each level against the others (rounds + 1, levels); the first row is that of the real levels."""
    total, samples = units.T
    columns = np.stack([total, samples, total**2, total * samples, samples**2], axis=1)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    rows = [np.arange(len(units))[None, :], *_orders(len(units), rounds, seed)]
    return np.concatenate([_studentized(np.add.reduceat(columns[row], starts, axis=1), sizes) for row in rows])


def _orders(count: int, rounds: int, seed: int) -> Iterator[NDArray[np.int64]]:
    generator, step = np.random.default_rng(seed), max(1, CELLS // (8 * count))
    for start in range(0, rounds, step):
        yield generator.permuted(np.tile(np.arange(count), (min(step, rounds - start), 1)), axis=1)


def _studentized(sums: Array, sizes: NDArray[np.int64]) -> Array:
    rest = sums.sum(axis=1, keepdims=True) - sums
    means, spreads = [], []
    for part, count in ((sums, sizes), (rest, sizes.sum() - sizes)):
        mean = part[..., 0] / part[..., 1]
        around = np.maximum(part[..., 2] - 2 * mean * part[..., 3] + mean**2 * part[..., 4], 0)
        means.append(mean)
        spreads.append(around * (count / np.maximum(count - 1, 1)) / part[..., 1] ** 2)
    error = np.sqrt(spreads[0] + spreads[1])
    difference = np.abs(means[0] - means[1])
    near = difference < 1e-12
    found: Array = np.where(near, 0.0, difference / np.maximum(error, 1e-12))
    return found
