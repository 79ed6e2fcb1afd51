"""Which pictures become HumanCaptionHQ: of every kind that there is, the best ones, as evenly as the kinds allow.

A kind (cell) is a combination of values on the axes to balance, such as gender, age and shot. Memory grows by some 30
bytes a picture: what is read of each is three figures, a digest and the number of its cell.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from humanvlm.data.facts import Facts, sure

Cell = tuple[str, ...]
FIGURES = ("side", "sharpness", "face")  # of a picture's quality; what each is says ``measured``
UNKNOWN = "unknown"
CROWDS = ((1, "1"), (2, "2"), (5, "3-5"))


def _of_person(name: str) -> Callable[[Facts, float], str]:
    """The axis of a guess about the most prominent person."""
    return lambda facts, least: sure(getattr(facts.people[0], name), least) if facts.people else ""


def _people(facts: Facts, _: float) -> str:
    count = facts.people_count
    return next((name for most, name in CROWDS if count <= most), "6+") if count else "0"


AXES: Mapping[str, Callable[[Facts, float], str]] = {
    "gender": _of_person("gender"),
    "stage": _of_person("stage"),
    "pose": _of_person("pose"),
    "facing": _of_person("facing"),
    "shot": lambda facts, _: facts.people[0].shot if facts.people else "",
    "people": _people,
    "place": lambda facts, least: sure(facts.place, least),
    "setting": lambda facts, least: sure(facts.setting, least),
}


def cell_of(facts: Facts, axes: Sequence[str], least: float) -> Cell:
    """The picture's kind: its value on each of the axes, ``unknown`` where no fact is at least that probable."""
    return tuple(AXES[axis](facts, least) or UNKNOWN for axis in axes)


def measured(row: Mapping[str, Any]) -> dict[str, float]:
    """FIGURES of a row: shorter side in px, sharpness as human_scenes measures it, shorter side of the largest face."""
    boxes = [face["box"] for face in row["faces"] or ()]
    return {
        "side": float(min(row["width"], row["height"])),
        "sharpness": float(row["sharpness"] or 0),
        "face": float(max((min(x1 - x0, y1 - y0) for x0, y0, x1, y1 in boxes), default=0)),
    }


@dataclass(frozen=True)
class Candidates:
    """Pictures to choose from: figures [n, 3] float32, digests [n] uint64 that order equals, cells [n] into kinds."""

    figures: npt.NDArray[np.float32]
    digests: npt.NDArray[np.uint64]
    cells: npt.NDArray[np.intp]
    kinds: Sequence[Cell]

    @property
    def sizes(self) -> npt.NDArray[np.intp]:
        return np.bincount(self.cells, minlength=len(self.kinds)).astype(np.intp)


def gather(rows: Iterable[Mapping[str, Any]], seed: int) -> Candidates:
    """Candidates from rows with ``id``, ``cell`` and FIGURES, in their order; kinds are sorted."""
    numbers: dict[Cell, int] = {}
    entries = (
        (
            *(row[name] for name in FIGURES),
            _digest(seed, row["id"]),
            numbers.setdefault(tuple(row["cell"]), len(numbers)),
        )
        for row in rows
    )
    columns = [(name, np.float32) for name in FIGURES]
    packed = np.fromiter(entries, dtype=[*columns, ("digest", np.uint64), ("cell", np.intp)])
    kinds = sorted(numbers)
    places = np.empty(len(kinds), dtype=np.intp)
    places[[numbers[kind] for kind in kinds]] = np.arange(len(kinds))
    figures = np.stack([packed[name] for name in FIGURES], axis=1)
    return Candidates(figures, packed["digest"], places[packed["cell"]], kinds)


def _digest(seed: int, id: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}:{id}".encode()).digest()[:8], "big")


def choose(candidates: Candidates, most: int, per_cell: int) -> npt.NDArray[np.bool_]:
    """Which are kept: of each cell the best, as many as its quota is. 0: no limit. Independent of their order."""
    quotas = fair_quotas(candidates.sizes, most, per_cell)
    order = np.lexsort((candidates.digests, -quality(candidates.figures), candidates.cells))
    cells = candidates.cells[order]
    rank = np.arange(len(order)) - np.searchsorted(cells, cells)
    kept = np.zeros(len(order), dtype=bool)
    kept[order] = rank < quotas[cells]
    return kept


def quality(figures: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """[n] in 0..1: the mean, over the columns of [n, k], of the share of pictures that have less. Of no unit, so that
    pixels and variances add up, and no picture is good for one extreme figure.
    """
    if not len(figures):
        return np.zeros(0)
    ranked = [
        np.searchsorted(column, values, "left") + np.searchsorted(column, values, "right")
        for values, column in ((values, np.sort(values)) for values in figures.T)
    ]
    return np.asarray(np.mean(ranked, axis=0) / (2 * len(figures)), dtype=np.float64)


def fair_quotas(sizes: npt.NDArray[np.intp], most: int, per_cell: int) -> npt.NDArray[np.intp]:
    """How many of each cell: all cells alike, but for those that have fewer (max-min fairness).

    What is left when the level cannot rise for all goes to the largest cells, one each.
    """
    limits = np.minimum(sizes, per_cell) if per_cell else sizes
    if not most or limits.sum() <= most:
        return limits
    low, high = 0, int(limits.max())  # the level is at least low, and below high
    while high - low > 1:
        level = (low + high) // 2
        low, high = (level, high) if np.minimum(limits, level).sum() <= most else (low, level)
    quotas = np.minimum(limits, low)
    more = np.lexsort((np.arange(len(sizes)), -sizes))
    more = more[limits[more] > low][: most - quotas.sum()]
    quotas[more] += 1
    return quotas


def coverage(candidates: Candidates, kept: npt.NDArray[np.bool_], axes: Sequence[str]) -> Iterator[dict[str, Any]]:
    """How many pictures each value of each axis has, of those offered and of those kept."""
    offered, chosen = candidates.sizes, np.bincount(candidates.cells[kept], minlength=len(candidates.kinds))
    for place, axis in enumerate(axes):
        have, keep = Counter[str](), Counter[str]()
        for kind, one, other in zip(candidates.kinds, offered.tolist(), chosen.tolist(), strict=True):
            have[kind[place]] += one
            keep[kind[place]] += other
        for value in sorted(have):
            yield {"axis": axis, "value": value, "offered": have[value], "kept": keep[value]}
