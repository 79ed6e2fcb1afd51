"""Average precision and recall of keypoints (OKS) and boxes, as COCOeval computes them, in NumPy.

The algorithm is that of ``pycocotools.cocoeval`` 2.0, quirks included: ``ignore`` of an annotation counts for nothing
(``iscrowd`` and, for keypoints, ``num_keypoints`` do), and a match to an annotation whose id is 0 is a false positive.
Average precision is no function of a sum; what is kept is how each detection of each image was matched, so that a
bootstrap only has to count the images anew: ``AveragePrecision.resample``.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from humanvlm.data.detections import shared_areas
from humanvlm.evaluate.stats.parts import ratio
from humanvlm.evaluate.stats.scored import Array, Scored

Kind = Literal["keypoints", "bbox"]
THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
AREAS = {"all": (0.0, 1e10), "small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}
SIGMAS = np.array([26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89]) / 1000
CELLS = 4_000_000  # numbers of one block of resamples: 32 MB


@dataclass(frozen=True)
class Truth:
    """An annotation. box: x, y, width, height in pixels. points: (17, 3) x, y, visibility; None for boxes."""

    id: int
    image: str
    category: int
    box: tuple[float, float, float, float]
    area: float
    crowd: bool = False
    points: Array | None = None
    ignored: bool = False


@dataclass(frozen=True)
class Detection:
    """A result. Its area, in square pixels, is that of its box, or of its points' bounds."""

    image: str
    category: int
    score: float
    area: float
    box: tuple[float, float, float, float] | None = None
    points: Array | None = None


@dataclass(frozen=True)
class Setting:
    """What COCOeval's parameters are for a kind. most: the numbers of detections of an image to look at."""

    areas: tuple[str, ...]
    most: tuple[int, ...]
    precisions: Mapping[str, tuple[str, float | None]]
    recalls: Mapping[str, tuple[str, float | None, int]]


SETTINGS: Mapping[Kind, Setting] = {
    "keypoints": Setting(
        ("all", "medium", "large"),
        (20,),
        {
            "ap": ("all", None),
            "ap50": ("all", 0.5),
            "ap75": ("all", 0.75),
            "ap_medium": ("medium", None),
            "ap_large": ("large", None),
        },
        {
            "ar": ("all", None, 20),
            "ar50": ("all", 0.5, 20),
            "ar75": ("all", 0.75, 20),
            "ar_medium": ("medium", None, 20),
            "ar_large": ("large", None, 20),
        },
    ),
    "bbox": Setting(
        ("all", "small", "medium", "large"),
        (1, 10, 100),
        {
            "ap": ("all", None),
            "ap50": ("all", 0.5),
            "ap75": ("all", 0.75),
            "ap_small": ("small", None),
            "ap_medium": ("medium", None),
            "ap_large": ("large", None),
        },
        {
            "ar1": ("all", None, 1),
            "ar10": ("all", None, 10),
            "ar100": ("all", None, 100),
            "ar_small": ("small", None, 100),
            "ar_medium": ("medium", None, 100),
            "ar_large": ("large", None, 100),
        },
    ),
}


@dataclass(frozen=True)
class AveragePrecision(Scored):
    """Scores that are no function of a sum; a sample is an image.

    resample: weights (draws, images) of ``sorted(set(images))`` to metrics (draws,); NaN where nothing is to be found.
    """

    resample: Callable[[Array], dict[str, Array]] = lambda weights: {}

    @property
    def scores(self) -> dict[str, float]:
        """Every metric of all images; -1, as in COCOeval, where there is nothing to be found."""
        values = self.resample(np.ones((1, len(self.images))))
        return {name: float(np.nan_to_num(value[0], nan=-1.0)) for name, value in values.items()}


@dataclass(frozen=True)
class _Matches:
    """One category, over all images. outcome: (areas, thresholds, detections) 1 right, -1 wrong, 0 ignored; by falling
    score. image, rank: of each detection. wanted: (areas, images) how many there are to be found."""

    outcome: NDArray[np.int8]
    image: NDArray[np.intp]
    rank: NDArray[np.intp]
    wanted: Array


def score_detections(
    kind: Kind,
    images: Sequence[str],
    categories: Sequence[int],
    truths: Sequence[Truth],
    detections: Sequence[Detection],
) -> AveragePrecision:
    """AP and AR of results, in 0..1. images: in COCOeval's order, by id; ties in score fall in this order.

    counts: ``detections``, ``annotations``, ``beyond_most`` (results beyond the best 20 or 100 of an image and
    category, which COCOeval does not look at), ``unknown_category`` (results of other categories, likewise).
    """
    setting, place = SETTINGS[kind], {image: number for number, image in enumerate(images)}
    known = set(categories)
    grouped: dict[tuple[int, str], tuple[list[Truth], list[Detection]]] = defaultdict(lambda: ([], []))
    for truth in truths:
        grouped[truth.category, truth.image][0].append(truth)
    for detection in detections:
        grouped[detection.category, detection.image][1].append(detection)
    found = [_match_category(kind, setting, category, images, grouped) for category in sorted(known)]
    by_name = np.array([place[name] for name in sorted(images)], dtype=np.intp)
    back = np.empty(len(images), dtype=np.intp)
    back[by_name] = np.arange(len(images))

    def resample(weights: Array) -> dict[str, Array]:
        return _metrics(setting, found, weights[:, back])

    right, wrong, wanted = _per_image(found, len(images))
    groups = [len(group[1]) for key, group in grouped.items() if key[0] in known]
    return AveragePrecision(
        kind,
        list(images),
        list(images),
        {"wanted": wanted, "right_at_50": right, "wrong_at_50": wrong},
        np.zeros((len(images), 0)),
        lambda sums: {},
        {
            "annotations": len(truths),
            "detections": len(detections),
            "beyond_most": sum(max(0, size - setting.most[-1]) for size in groups),
            "unknown_category": sum(detection.category not in known for detection in detections),
        },
        resample=resample,
    )


def oks(truths: Sequence[Truth], detections: Sequence[Detection]) -> Array:
    """Object keypoint similarity (detections, truths), in 0..1.

    Of a truth without visible points, the distance to its doubled box is measured instead.
    """
    similarity = np.zeros((len(detections), len(truths)))
    if not similarity.size:
        return similarity
    given = np.array([detection.points for detection in detections])[..., :2]
    for column, truth in enumerate(truths):
        assert truth.points is not None
        visible = truth.points[:, 2] > 0
        if visible.any():
            away = given - truth.points[None, :, :2]
        else:
            visible = np.ones(len(SIGMAS), dtype=bool)
            x, y, width, height = truth.box
            low, high = np.array([x - width, y - height]), np.array([x + 2 * width, y + 2 * height])
            away = np.maximum(0, low - given) + np.maximum(0, given - high)
        error = (away**2).sum(axis=-1) / (2 * SIGMAS) ** 2 / (truth.area + np.spacing(1)) / 2
        similarity[:, column] = np.exp(-error[:, visible]).sum(axis=1) / visible.sum()
    return similarity


def box_overlap(truths: Sequence[Truth], detections: Sequence[Detection]) -> Array:
    """Intersection over union (detections, truths), in 0..1. A crowd's is over the detection's own area."""
    if not truths or not detections:
        return np.zeros((len(detections), len(truths)))
    given, truth = (np.array([one.box for one in some]) for some in (detections, truths))
    crowd = np.array([one.crowd for one in truths])
    shared = shared_areas(*(np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]]) for boxes in (given, truth)))
    own = given[:, 2:].prod(axis=1)[:, None]
    union = np.where(crowd, own, own + truth[:, 2:].prod(axis=1) - shared)
    return np.where(shared > 0, shared / np.where(union > 0, union, 1.0), 0.0)


def _match_category(
    kind: Kind,
    setting: Setting,
    category: int,
    images: Sequence[str],
    grouped: Mapping[tuple[int, str], tuple[list[Truth], list[Detection]]],
) -> _Matches:
    ranges = [AREAS[name] for name in setting.areas]
    outcomes: list[NDArray[np.int8]] = []
    places: list[int] = []
    ranks: list[int] = []
    scores: list[float] = []
    wanted = np.zeros((len(ranges), len(images)))
    for place, image in enumerate(images):
        if (category, image) not in grouped:
            continue
        truths, results = grouped[category, image]
        best = sorted(results, key=lambda result: -result.score)[: setting.most[-1]]
        ignored = [[one.ignored or not low <= one.area <= high for one in truths] for low, high in ranges]
        wanted[:, place] = [len(truths) - sum(flags) for flags in ignored]
        if not best:
            continue
        similarity = oks(truths, best) if kind == "keypoints" else box_overlap(truths, best)
        outcomes.append(_match_image(similarity, truths, best, ignored, ranges))
        places += [place] * len(best)
        ranks += range(len(best))
        scores += [result.score for result in best]
    order = np.argsort(-np.array(scores, dtype=np.float64), kind="stable")
    empty = np.zeros((len(ranges), len(THRESHOLDS), 0), dtype=np.int8)
    return _Matches(
        np.concatenate([empty, *outcomes], axis=2)[..., order],
        np.array(places, dtype=np.intp)[order],
        np.array(ranks, dtype=np.intp)[order],
        wanted,
    )


def _match_image(
    similarity: Array,
    truths: Sequence[Truth],
    results: Sequence[Detection],
    ignored: Sequence[Sequence[bool]],
    ranges: Sequence[tuple[float, float]],
) -> NDArray[np.int8]:
    """Each result in turn takes the best free truth that is similar enough; ignored ones only when no other is."""
    outcome = np.full((len(ranges), len(THRESHOLDS), len(results)), -1, dtype=np.int8)
    similar = similarity.tolist()
    near = [[column for column, value in enumerate(row) if value >= THRESHOLDS[0]] for row in similar]
    for area, (low, high) in enumerate(ranges):
        outside = [not low <= result.area <= high for result in results]
        outcome[area, :, outside] = 0
        flags = ignored[area]
        candidates = [sorted(columns, key=lambda column: flags[column]) for columns in near]
        for level, threshold in enumerate(THRESHOLDS):
            least = min(float(threshold), 1 - 1e-10)
            taken: set[int] = set()
            for row, columns in enumerate(candidates):
                enough = [column for column in columns if similar[row][column] >= least]
                match = _best(similar[row], enough, taken, truths, flags)
                if match is None:
                    continue
                taken.add(match)
                if flags[match]:
                    outcome[area, level, row] = 0
                elif truths[match].id:
                    outcome[area, level, row] = 1
    return outcome


def _best(
    similarity: Sequence[float],
    candidates: Sequence[int],
    taken: set[int],
    truths: Sequence[Truth],
    flags: Sequence[bool],
) -> int | None:
    """The last of the most similar free candidates; crowds are always free."""
    match: int | None = None
    for column in candidates:
        if column in taken and not truths[column].crowd:
            continue
        if match is not None and flags[column] and not flags[match]:
            break
        if match is None or similarity[column] >= similarity[match]:
            match = column
    return match


def _metrics(setting: Setting, found: Sequence[_Matches], weights: Array) -> dict[str, Array]:
    """COCOeval's summary under weights (draws, images): NaN where there is nothing to be found."""
    wanted = [weights @ matches.wanted.T for matches in found]
    areas = {name: place for place, name in enumerate(setting.areas)}
    named = {}
    precision = [_precision(matches, weights, total) for matches, total in zip(found, wanted, strict=True)]
    for name, (area, threshold) in setting.precisions.items():
        named[name] = _mean([values[:, areas[area]] for values in precision], threshold, len(weights))
    for most in setting.most:
        recall = [_recall(matches, weights, total, most) for matches, total in zip(found, wanted, strict=True)]
        for name, (area, threshold, wanted_most) in setting.recalls.items():
            if wanted_most == most:
                named[name] = _mean([values[:, areas[area]] for values in recall], threshold, len(weights))
    return named


def _mean(values: Sequence[Array], threshold: float | None, draws: int) -> Array:
    """Over thresholds and over the categories that have something to be found."""
    if not values:
        return np.full(draws, np.nan)
    chosen = np.array(values)  # categories, draws, thresholds
    if threshold is not None:
        chosen = chosen[..., [int(np.argmin(np.abs(THRESHOLDS - threshold)))]]
    there = ~np.isnan(chosen)
    return ratio(np.where(there, chosen, 0.0).sum(axis=(0, 2)), there.sum(axis=(0, 2)))


def _recall(matches: _Matches, weights: Array, wanted: Array, most: int) -> Array:
    """(draws, areas, thresholds)."""
    looked_at = matches.rank < most
    right = (matches.outcome[..., looked_at] == 1).astype(np.float64)
    images = np.zeros((*right.shape[:2], weights.shape[1]))
    area, level, place = np.nonzero(right)
    np.add.at(images, (area, level, matches.image[looked_at][place]), 1.0)
    return ratio(np.einsum("di,ati->dat", weights, images, optimize=True), wanted[:, :, None])


def _precision(matches: _Matches, weights: Array, wanted: Array) -> Array:
    """Precision averaged over the 101 recalls: (draws, areas, thresholds)."""
    areas, levels, size = matches.outcome.shape
    found = np.zeros((len(weights), areas, levels))
    step = max(1, CELLS // max(size, 1))
    for start in range(0, len(weights), step):
        block = slice(start, start + step)
        counted = weights[block][:, matches.image]
        for area in range(areas):
            for level in range(levels):
                found[block, area, level] = _averaged(matches.outcome[area, level], counted, wanted[block, area])
    found[wanted == 0] = np.nan
    return found


def _averaged(outcome: NDArray[np.int8], counted: Array, wanted: Array) -> Array:
    # Precision has its peaks, and recall its steps, at right detections: the others are only counted.
    right = np.flatnonzero(outcome == 1)
    if not right.size:
        return np.zeros(len(counted))
    hits = np.cumsum(counted[:, right], axis=1)
    misses = np.cumsum(np.where(outcome == -1, counted, 0.0), axis=1)[:, right]
    precision = hits / (hits + misses + np.spacing(1))
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    envelope = np.concatenate([envelope, np.zeros((len(counted), 1))], axis=1)
    recall = ratio(hits, wanted[:, None])
    places = [np.searchsorted(row, RECALLS, side="left") for row in recall]
    return np.array([row[place].mean() for row, place in zip(envelope, places, strict=True)])


def _per_image(found: Sequence[_Matches], images: int) -> tuple[list[int], list[int], list[int]]:
    """How many were right and wrong at the lowest threshold, and how many there were to be found, of any size."""
    right, wrong, wanted = (np.zeros(images, dtype=np.intp) for _ in range(3))
    for matches in found:
        at_50 = matches.outcome[0, 0]
        right += np.bincount(matches.image[at_50 == 1], minlength=images)
        wrong += np.bincount(matches.image[at_50 == -1], minlength=images)
        wanted += matches.wanted[0].astype(np.intp)
    return right.tolist(), wrong.tolist(), wanted.tolist()
