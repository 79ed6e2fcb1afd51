"""The global plan: which samples every optimiser step of a run learns from, whatever processes share them.

A pure function of what the token store says of its samples and of the configuration; the number of processes is no
argument. ``plan.batch(step)`` are the numbers (in the store) of the samples of a step; a run that resumes begins at its
step and skips nothing. A plan of more steps begins with the whole of a shorter one, unless half of that was too short
for its opening.

    plan = make_plan(store.lengths, store.sources, store.groups, shares, seed=7, batch_size=512, steps=20_000)
    plan.save(folder)  # once, before the trainer's processes start
    plan = Plan.open(folder)  # in each of them: mapped, not read
    plan.batch(step), plan.digest, plan.digest_to(step)

Order: a source's row groups are shuffled, then a sample moves back by up to BUFFER row groups, at random: this is a
shuffle buffer (as in tf.data and WebDataset) of that many row groups, so a reader that keeps those reads each once.
Sources are mixed at every place of the run in their shares, each of their samples coming once before any twice.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from humanvlm.data.atomic_io import atomic_folder, write_json
from humanvlm.errors import UserError

Numbers = NDArray[np.int64]
BUFFER = 64  # row groups of a source among which samples are shuffled: some 4,000 pictures
WINDOW = 16  # batches among which samples of like length find each other


@dataclass(frozen=True)
class Plan:
    """The order of a whole run. order [steps * batch_size]: sample numbers; digest: of it and what it was made from;
    opening: steps at its start that learn from other sources than the rest."""

    order: Numbers
    batch_size: int
    digest: str
    opening: int = 0

    @property
    def steps(self) -> int:
        return len(self.order) // self.batch_size

    def batch(self, step: int) -> Numbers:
        """The samples of the global batch of a step, which counts from 0."""
        return self.order[step * self.batch_size : (step + 1) * self.batch_size]

    def digest_to(self, step: int) -> str:
        """sha256 of what the run learns from before ``step``: equal where a longer plan continues a shorter one."""
        return hashlib.sha256(np.ascontiguousarray(self.order[: step * self.batch_size]).data).hexdigest()

    def save(self, folder: Path) -> None:
        """Write ``order.npy`` and ``plan.json``, whole or not at all."""
        with atomic_folder(folder) as work:
            np.save(work / "order.npy", self.order)
            about = {"batch_size": self.batch_size, "steps": self.steps, "digest": self.digest, "opening": self.opening}
            write_json(work / "plan.json", about)

    @classmethod
    def open(cls, folder: Path) -> "Plan":
        """The plan that ``save`` wrote, its order mapped. Raises UserError when it is not there."""
        try:
            about = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
            order = np.load(folder / "order.npy", mmap_mode="r")
        except (OSError, ValueError) as error:
            raise UserError(f"{folder}: no readable plan ({error}); run the stage again") from None
        return cls(order, about["batch_size"], about["digest"], about["opening"])


def make_plan(
    lengths: NDArray[Any],
    sources: NDArray[Any],
    groups: NDArray[Any],
    shares: Sequence[float],
    *,
    seed: int,
    batch_size: int,
    steps: int,
    openings: Sequence[int] = (),
    group_by_length: bool = False,
) -> Plan:
    """The plan of a run of ``steps`` over N samples.

    lengths, sources, groups [N]: tokens of a sample, number of its source, of its row group (any numbers that tell row
    groups apart). shares: of each source; an empty one's goes to the others. openings: first steps that are of a source
    alone, one source after the other, together at most half of all; an empty one has none. Raises UserError when no
    source with a share has samples.
    """

    def ordered(shares: Sequence[float], steps: int) -> Numbers:
        # Whole windows, so that a longer plan groups the first steps alike.
        total = -(-steps // WINDOW) * WINDOW * batch_size if group_by_length else steps * batch_size
        order = _mixed(sources, groups, shares, total, seed)
        if group_by_length:
            order = _by_length(order, lengths, batch_size, seed)
        return order[: steps * batch_size]

    parts, opening = [], 0
    for source, count in enumerate(openings):
        if count and (sources == source).any():
            count = min(count, steps // 2 - opening)
            parts.append(ordered([float(other == source) for other in range(len(shares))], count))
            opening += count
    order = np.ascontiguousarray(np.concatenate([*parts, ordered(shares, steps - opening)]))
    given = (tuple(shares), seed, batch_size, steps, tuple(openings), group_by_length)
    made_from = hashlib.sha256(repr(given).encode())
    for values in (lengths, sources, groups, order):
        made_from.update(np.ascontiguousarray(values, np.int64 if values is order else np.uint32).data)
    return Plan(order, batch_size, made_from.hexdigest(), opening)


def _mixed(sources: NDArray[Any], groups: NDArray[Any], shares: Sequence[float], total: int, seed: int) -> Numbers:
    """``total`` samples of all sources: of the first n places of any length, a source has its share."""
    sizes = np.bincount(sources, minlength=len(shares))
    weights = np.where(sizes > 0, np.asarray(shares, np.float64), 0.0)
    if weights.sum() == 0:
        raise UserError("no training samples: every source with a share is empty")
    weights /= weights.sum()
    order, places = [], []
    for source in np.flatnonzero(weights).tolist():
        count = int(np.ceil(weights[source] * (total + len(shares)))) + 1  # the cut below takes what is too much
        members = np.flatnonzero(sources == source)
        order.append(_passes(members, groups[members], count, (seed, source)))
        jitter = np.random.default_rng((seed, source)).random(count)
        places.append((np.arange(count) + jitter) / weights[source])
    if len(order) == 1:
        return order[0][:total]
    return np.concatenate(order)[np.argsort(np.concatenate(places), kind="stable")[:total]]


def _passes(members: Numbers, groups: NDArray[Any], count: int, seed: tuple[int, int]) -> Numbers:
    """``count`` samples of one source, each pass over all in another order. Samples and their row groups are given."""
    _, group = np.unique(groups, return_inverse=True)
    number = int(group.max()) + 1
    passes = []
    for index in range(-(-count // len(members))):
        random = np.random.default_rng((*seed, index))
        places = random.permutation(number)[group] + random.random(len(members)) * BUFFER
        passes.append(members[np.argsort(places, kind="stable")])
    return np.concatenate(passes)[:count]


def _by_length(order: Numbers, lengths: NDArray[Any], batch_size: int, seed: int) -> Numbers:
    """Samples of like length in one batch: sorted within windows of WINDOW batches, which stay in their place."""
    windows = order.reshape(-1, batch_size * WINDOW)
    windows = np.take_along_axis(windows, np.argsort(lengths[windows], axis=1, kind="stable"), axis=1)
    # Rows of random numbers, so that a window's batches are shuffled alike in a longer plan.
    shuffle = np.argsort(np.random.default_rng(seed).random((len(windows), WINDOW)), axis=1)
    batches = windows.reshape(len(windows), WINDOW, batch_size)
    return np.take_along_axis(batches, shuffle[:, :, None], axis=1).reshape(-1)
