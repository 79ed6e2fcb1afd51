"""Are the intervals and tests of ``humanvlm.evaluate`` what they say? Simulated, with the functions that are used.

* coverage: how often a 95% interval holds the truth.
* false alarms: how often two equal models differ at alpha 5%; where fewer than 15 images differ on average, it may be
  less than 4%.
* power: how often a difference as large as the stated smallest detectable one is found.
* slices: how often any of twelve slices of a fair model is called lower or higher.

Prints a table with Monte-Carlo standard errors, and the same figures as one JSON object in the last line. Exits with 1
when a figure is outside its range by more than two standard errors.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from humanvlm.evaluate.stats.scored import Scored
from humanvlm.evaluate.stats.slices import slice_scores
from humanvlm.evaluate.stats.statistics import Difference, bootstrap, paired

Array = NDArray[np.float64]
Places = NDArray[np.int64]
SIZES = (30, 50, 100, 300)  # images
SHARES = [0.6 + 0.01 * step for step in range(38)]
ROUNDS = 999  # exchanges: enough for a decision at 5%
PILOT = 300
MANY_DIFFER = 15  # images; with fewer, chances come in steps too coarse for a valid test to reach 4%
MANY = 500_000


@dataclass(frozen=True)
class Population:
    """draw: (generator, images, effect) -> image of each sample, contributions of two models; the second's mean is
    higher by ``effect``. truth: the metric of the first; None: that of very many images.
    """

    name: str
    draw: Callable[[np.random.Generator, int, float], tuple[Places, Array, Array]]
    metrics: Callable[[Array], dict[str, Array]]
    truth: float | None = None


@dataclass(frozen=True)
class Figure:
    """percent and its standard error; the range that it must be in."""

    what: str
    population: str
    images: int
    percent: float
    error: float
    least: float
    most: float

    @property
    def holds(self) -> bool:
        return self.least - 2 * self.error <= self.percent <= self.most + 2 * self.error


def mean(sums: Array) -> dict[str, Array]:
    return {"metric": sums[..., 0] / sums[..., 1]}


def bleu(sums: Array) -> dict[str, Array]:
    """Geometric mean of four precisions, times the brevity penalty."""
    length, reference, possible, matched = sums[..., 0], sums[..., 1], sums[..., 2:6], sums[..., 6:]
    precision = np.exp(np.log(np.maximum(matched, 1e-9) / possible).mean(axis=-1))
    return {"metric": precision * np.exp(np.minimum(0, 1 - reference / length))}


def means(values: Array) -> Array:
    return np.stack([values, np.ones_like(values)], axis=-1)


def graded(generator: np.random.Generator, images: int, effect: float) -> tuple[Places, Array, Array]:
    """Like IoU: the object is found well, or not at all."""
    values = generator.beta(8, 2, (2, images)) * (generator.random((2, images)) < 0.85)
    return np.arange(images), means(values[0]), means(values[1] + effect)


def agreed(generator: np.random.Generator, images: int, effect: float) -> tuple[Places, Array, Array]:
    """Like VQA accuracy: a third for each of ten annotators who agrees, at most 1; the question's ease is shared."""
    values = np.minimum(1, generator.binomial(10, generator.beta(1.2, 1, images), (2, images)) / 3)
    return np.arange(images), means(values[0]), means(values[1] + effect)


def skewed(generator: np.random.Generator, images: int, effect: float) -> tuple[Places, Array, Array]:
    """Like the CIDEr of images: exponential (skewness 2), one half shared by the models."""
    shared, one, other = generator.gamma(0.5, 1, (3, images))
    return np.arange(images), means(shared + one), means(shared + other + effect)


def right_or_wrong(probability: float, shared: float) -> Population:
    """One answer an image, on a part of the images the same of both models."""

    def draw(generator: np.random.Generator, images: int, effect: float) -> tuple[Places, Array, Array]:
        ease, own, kind = generator.random((3, images))
        other = np.where(kind < shared, ease, own) < probability + effect
        return np.arange(images), means((ease < probability) * 1.0), means(other * 1.0)

    return Population(f"right or wrong, {probability:.1f}", draw, mean, probability)


def clustered(probability: float, spread: float = 2.0) -> Population:
    """1 to 6 answers an image, right with the image's own probability: their correlation is 1 / (1 + spread)."""

    def draw(generator: np.random.Generator, images: int, effect: float) -> tuple[Places, Array, Array]:
        image = np.repeat(np.arange(images), generator.integers(1, 7, images))
        ease = generator.beta(probability * spread, (1 - probability) * spread, images)
        raised = np.where(generator.random(images) < effect / (1 - probability), 1.0, ease)
        one, other = generator.random((2, len(image)))
        return image, means((one < ease[image]) * 1.0), means((other < raised[image]) * 1.0)

    return Population(f"clustered, {probability:.1f}", draw, mean, probability)


def captions(generator: np.random.Generator, images: int, effect: float) -> tuple[Places, Array, Array]:
    """Counts of BLEU: lengths, n-grams, and matches that get rarer with their order and differ between images."""

    def model() -> Array:
        length = 6 + generator.poisson(5, images)
        reference = np.maximum(5, length + generator.integers(-2, 4, images))
        possible = length[:, None] - np.arange(4)
        quality = generator.beta(6 * ease, 6 * (1 - ease))
        matched = generator.binomial(possible, quality[:, None] ** (1 + 0.35 * np.arange(4)))
        return np.column_stack([length, reference, possible, matched]).astype(np.float64)

    ease = generator.beta(6, 4, images)
    return np.arange(images), model(), model()


POPULATIONS = (
    Population("graded, as IoU", graded, mean, 0.85 * 0.8),
    Population("agreed, as VQA", agreed, mean),
    Population("skewed, as CIDEr", skewed, mean, 1.0),
    clustered(0.5),
    clustered(0.8),
    Population("sums, as BLEU", captions, bleu),
)
BINARY = (right_or_wrong(0.7, 0.5), right_or_wrong(0.9, 0.5))


@cache
def names(count: int) -> list[str]:
    return [f"{number:06d}" for number in range(count)]


def scored(population: Population, images: Places, contributions: Array) -> Scored:
    named = names(int(images[-1]) + 1)
    return Scored(
        "", names(len(images)), [named[place] for place in images.tolist()], {}, contributions, population.metrics
    )


@cache
def truth(population: Population) -> float:
    if population.truth is not None:
        return population.truth
    _, contributions, _ = population.draw(np.random.default_rng(99), MANY, 0.0)
    return float(population.metrics(contributions.sum(axis=0))["metric"])


def generator_of(*key: object) -> np.random.Generator:
    return np.random.default_rng(list(repr(key).encode()))


def share(what: str, population: str, images: int, found: Sequence[bool], least: float, most: float) -> Figure:
    part = float(np.mean(found))
    error = 100 * math.sqrt(max(part * (1 - part), 1e-4) / len(found))
    return Figure(what, population, images, 100 * part, error, least, most)


def coverage(population: Population, images: int, replications: int, seed: int) -> Figure:
    generator, value, found = generator_of("coverage", population.name, images, seed), truth(population), []
    for _ in range(replications):
        place, contributions, _ = population.draw(generator, images, 0.0)
        low, high = bootstrap(scored(population, place, contributions))["metric"]
        found.append(low <= value <= high)
    return share("coverage", population.name, images, found, 93, 97)


def exact_coverage(images: int) -> Figure:
    """Of right-or-wrong answers, without simulation; the mean over shares of right answers from 0.60 to 0.97."""
    population, held = right_or_wrong(0.5, 0), np.zeros(len(SHARES))
    for right in range(images + 1):
        answers: Array = (np.arange(images) < right).astype(np.float64)
        low, high = bootstrap(scored(population, np.arange(images), means(answers)))["metric"]
        ways = math.comb(images, right)
        chance = np.array([ways * part**right * (1 - part) ** (images - right) for part in SHARES])
        held += chance * np.array([low <= part <= high for part in SHARES])
    return Figure("coverage", "right or wrong, .60-.97", images, 100 * float(held.mean()), 0.0, 93, 97)


def tests(population: Population, images: int, effect: float, count: int, key: str, seed: int) -> Iterator[Difference]:
    generator = generator_of(key, population.name, images, seed)
    for _ in range(count):
        place, first, second = population.draw(generator, images, effect)
        yield paired(scored(population, place, first), scored(population, place, second), rounds=ROUNDS)[0]


def false_alarms(population: Population, images: int, replications: int, seed: int) -> Figure:
    found = list(tests(population, images, 0.0, replications, "equal", seed))
    least = 4 if np.mean([one.differing for one in found]) >= MANY_DIFFER else 0
    return share("false alarms", population.name, images, [one.p <= 0.05 for one in found], least, 6)


def power(population: Population, images: int, replications: int, seed: int) -> Figure:
    effect = 0.0
    for turn in range(3):  # the spread of right-or-wrong answers depends on the effect
        pilot = tests(population, images, effect, PILOT, f"pilot {turn}", seed)
        effect = float(np.mean([one.detectable or 0.0 for one in pilot]))
    found = [one.p <= 0.05 for one in tests(population, images, effect, replications, "unequal", seed)]
    return share("power", population.name, images, found, 76, 84)


def slices(images: int, replications: int, seed: int) -> Figure:
    """Twelve slices of three attributes, of unlike sizes; 1 to 3 answers an image."""
    generator, found, population = generator_of("slices", images, seed), [], clustered(0.8)
    for _ in range(replications):
        place, contributions, _ = population.draw(generator, images, 0.0)
        levels = [
            generator.choice(4, images, p=weights)
            for weights in ([0.25] * 4, [0.4, 0.3, 0.2, 0.1], [0.7, 0.1, 0.1, 0.1])
        ]
        given = [
            {"people": f"{a}", "light": f"{b}", "age": f"{c}"}
            for a, b, c in zip(*(level[place] for level in levels), strict=True)
        ]
        data = scored(population, place, contributions)
        parts = slice_scores(data.ids, data.images, contributions[:, 0].tolist(), given, resamples=0, rounds=ROUNDS)
        found.append(any(part.verdict in ("lower", "higher") for part in parts))
    return share("slices", "fair model, 12 slices", images, found, 0, 6)


def figures(sizes: Sequence[int], replications: int, seed: int) -> Iterator[Figure]:
    for images in sizes:
        yield exact_coverage(images)
        for population in POPULATIONS:
            yield coverage(population, images, replications, seed)
    for images in sizes:
        for population in (*POPULATIONS, *BINARY):
            yield false_alarms(population, images, replications, seed)
    for population in POPULATIONS[:5]:
        yield power(population, sizes[len(sizes) // 2], replications, seed)
    yield slices(max(sizes), max(1, replications // 8), seed)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replications", type=int, default=4000)
    parser.add_argument("--images", type=int, nargs="+", default=SIZES)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    start, found = time.perf_counter(), []
    print(f"{'':13} {'population':24} {'images':>6} {'percent':>8}  error  range")
    for figure in figures(options.images, options.replications, options.seed):
        found.append(figure)
        mark = "" if figure.holds else "  OUTSIDE"
        print(
            f"{figure.what:13} {figure.population:24} {figure.images:6} {figure.percent:8.2f}  {figure.error:5.2f}  "
            f"{figure.least:g}-{figure.most:g}{mark}",
            flush=True,
        )
    outside = [figure for figure in found if not figure.holds]
    seconds = round(time.perf_counter() - start, 1)
    print(
        json.dumps(
            {
                "replications": options.replications,
                "seconds": seconds,
                "outside": len(outside),
                "figures": [asdict(figure) for figure in found],
            }
        )
    )
    return 1 if outside else 0


if __name__ == "__main__":
    sys.exit(main())
