"""The order of a whole run: fair, repeatable, the same for any number of processes, and kind to the disk."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from humanvlm.errors import UserError
from humanvlm.train.plan import BUFFER, WINDOW, Plan, make_plan


def columns(sizes: list[int], rows: int = 4) -> tuple[Any, Any, Any]:
    """lengths, sources and row groups of sources of these sizes, ``rows`` samples a row group."""
    sources = np.repeat(np.arange(len(sizes)), sizes).astype(np.uint8)
    lengths = np.random.default_rng(1).integers(10, 90, len(sources)).astype(np.int32)
    return lengths, sources, np.arange(len(sources), dtype=np.uint32) // rows


@given(
    sizes=st.lists(st.integers(0, 20), min_size=1, max_size=4),
    shares=st.lists(st.floats(0.01, 1) | st.just(0.0), min_size=4, max_size=4),
    batch_size=st.integers(1, 7),
    steps=st.integers(1, 40),
    by_length=st.booleans(),
)
def test_each_source_gives_its_share_and_each_sample_once_before_any_twice(
    sizes: list[int], shares: list[float], batch_size: int, steps: int, by_length: bool
) -> None:
    shares = shares[: len(sizes)]
    given = [share if size else 0.0 for size, share in zip(sizes, shares, strict=True)]
    lengths, sources, groups = columns(sizes)
    options: dict[str, Any] = {"seed": 3, "batch_size": batch_size, "steps": steps, "group_by_length": by_length}
    if not sum(given):
        with pytest.raises(UserError, match="no training samples"):
            make_plan(lengths, sources, groups, shares, **options)
        return
    plan = make_plan(lengths, sources, groups, shares, **options)
    assert (len(plan.order), plan.steps) == (batch_size * steps, steps)
    first = 0
    for size, share in zip(sizes, given, strict=True):
        mine = plan.order[(plan.order >= first) & (plan.order < first + size)] - first
        # Grouping by length moves samples within a window, of which the last may be cut.
        slack = batch_size * WINDOW if by_length else len(sizes) + 1
        assert abs(len(mine) - share / sum(given) * len(plan.order)) <= slack
        if size and not by_length:
            counts = np.bincount(mine, minlength=size)
            assert counts.max() - counts.min() <= 1
        first += size


@given(steps=st.integers(1, 30), more=st.integers(0, 40), by_length=st.booleans())
def test_a_longer_plan_begins_with_the_shorter(steps: int, more: int, by_length: bool) -> None:
    arguments = (*columns([30, 9, 5]), [0.6, 0.3, 0.1])
    options: dict[str, Any] = {"seed": 1, "batch_size": 3, "group_by_length": by_length}
    short = make_plan(*arguments, steps=steps, **options)
    long = make_plan(*arguments, steps=steps + more, **options)
    assert np.array_equal(short.order, long.order[: len(short.order)])
    assert short.digest_to(steps) == long.digest_to(steps)
    assert (short.digest == long.digest) == (more == 0)
    assert np.array_equal(short.batch(steps - 1), long.batch(steps - 1))


@given(
    counts=st.lists(st.integers(0, 9), min_size=3, max_size=3),
    steps=st.integers(1, 40),
    more=st.integers(0, 20),
    by_length=st.booleans(),
)
def test_openings_come_first_and_alone(counts: list[int], steps: int, more: int, by_length: bool) -> None:
    """The second source has no samples, and no share; the third no share."""
    arguments = (*columns([30, 0, 7]), [1.0, 0.0, 0.0])
    options: dict[str, Any] = {"seed": 1, "batch_size": 3, "openings": counts, "group_by_length": by_length}
    plan = make_plan(*arguments, steps=steps, **options)
    first, opening = min(counts[0], steps // 2), min(counts[0] + counts[2], steps // 2)
    source = arguments[1][plan.order.reshape(-1, 3)]
    assert plan.opening == opening
    assert (source[:first] == 0).all()
    assert (source[first:opening] == 2).all()
    assert (source[opening:] == 0).all()
    longer = make_plan(*arguments, steps=steps + more, **options)
    if counts[0] + counts[2] <= steps // 2:
        assert np.array_equal(plan.order, longer.order[: len(plan.order)])
    if counts[0] == 0:
        rest = make_plan(*arguments, **{**options, "openings": ()}, steps=steps)
        assert np.array_equal(plan.order[3 * opening :], rest.order[: 3 * (steps - opening)])


def test_shares_are_kept_within_any_stretch() -> None:
    plan = make_plan(*columns([100, 100]), [0.75, 0.25], seed=1, batch_size=40, steps=10)
    for step in range(10):
        assert abs((plan.batch(step) >= 100).sum() - 10) <= 2


def test_the_digest_changes_with_every_argument_and_with_nothing_else() -> None:
    lengths, sources, groups = columns([20, 12])
    options: dict[str, Any] = {"seed": 1, "batch_size": 2, "steps": 8, "group_by_length": False}
    first = make_plan(lengths, sources, groups, [0.5, 0.5], **options)
    assert first.digest == make_plan(lengths.astype(np.int64), sources, groups, [0.5, 0.5], **options).digest
    other = [
        make_plan(lengths + 1, sources, groups, [0.5, 0.5], **options),
        make_plan(lengths, sources, groups + 1, [0.5, 0.5], **options),
        make_plan(lengths, 1 - sources, groups, [0.5, 0.5], **options),
        make_plan(lengths, sources, groups, [0.5, 0.4], **options),
        *(
            make_plan(lengths, sources, groups, [0.5, 0.5], **{**options, key: value})
            for key, value in {
                "seed": 2,
                "batch_size": 4,
                "steps": 9,
                "group_by_length": True,
                "openings": (0, 1),
            }.items()
        ),
    ]
    assert len({first.digest, *(plan.digest for plan in other)}) == 10


def test_batches_are_of_like_length_where_asked() -> None:
    lengths, sources, groups = columns([4000])
    spread = {}
    for by_length in (False, True):
        plan = make_plan(lengths, sources, groups, [1], seed=1, batch_size=8, steps=480, group_by_length=by_length)
        spread[by_length] = np.ptp(lengths[plan.order.reshape(-1, 8)], axis=1).mean()
        steps = lengths[plan.order.reshape(-1, 8)].mean(1)
        assert np.corrcoef(steps, np.arange(len(steps)))[0, 1] < 0.1  # no curriculum
    assert spread[True] < spread[False] / 8


def test_a_reader_of_few_row_groups_reads_each_once_a_pass() -> None:
    rows, number = 64, 1000
    _, sources, groups = columns([rows * number], rows)
    order = make_plan(sources, sources, groups, [1], seed=1, batch_size=rows, steps=number).order
    places = groups[order]
    first, last = np.full(number, len(order)), np.zeros(number, np.int64)
    np.minimum.at(first, places, np.arange(len(order)))
    np.maximum.at(last, places, np.arange(len(order)))
    # At any time the row groups that were begun and not yet finished are a few more than the buffer.
    begun = np.searchsorted(np.sort(first), np.arange(len(order)), "right")
    finished = np.searchsorted(np.sort(last), np.arange(len(order)), "left")
    assert (begun - finished).max() <= BUFFER + 3
    # And samples that were neighbours are far from each other.
    assert np.abs(np.diff(np.argsort(order))).mean() > rows * BUFFER / 5


def test_a_plan_is_kept_in_a_file(tmp_path: Path) -> None:
    plan = make_plan(*columns([20]), [1], seed=1, batch_size=2, steps=8, openings=[3])
    plan.save(tmp_path / "plan")
    again = Plan.open(tmp_path / "plan")
    assert np.array_equal(plan.order, again.order)
    assert (again.digest, again.batch_size, again.steps) == (plan.digest, 2, 8)
    with pytest.raises(UserError, match="no readable plan"):
        Plan.open(tmp_path)
