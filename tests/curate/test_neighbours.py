"""Neighbours among hashes: as if all pairs were compared, and without comparing them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from humanvlm.curate import neighbours
from humanvlm.curate.neighbours import Hashes, Rows, crowded, first_near, leaders


def one_by_one(hashes: Hashes, rank: Rows, max_bits: int) -> list[int]:
    kept: list[int] = []
    kept_for = list(range(len(hashes)))
    for place in np.argsort(rank).tolist():
        near = [other for other in kept if int(hashes[other] ^ hashes[place]).bit_count() <= max_bits]
        kept_for[place] = near[0] if near else place
        kept += [] if near else [place]
    return kept_for


def around(bases: Hashes, flips: int, bits: int, seed: int) -> Hashes:
    """Distinct hashes, each a base with some of its lowest bits turned."""
    random = np.random.default_rng(seed)
    for _ in range(flips):
        bases = bases ^ (np.uint64(1) << random.integers(0, bits, len(bases), dtype=np.uint64))
    return np.unique(bases)


@settings(deadline=None, max_examples=40)
@given(
    count=st.integers(0, 1500),
    bases=st.integers(1, 300),
    flips=st.integers(0, 6),
    bits=st.sampled_from([8, 14, 64]),
    max_bits=st.integers(0, 9),
    seed=st.integers(0, 2**32 - 1),
)
def test_leaders_are_those_of_a_walk_from_best_to_worst(
    count: int, bases: int, flips: int, bits: int, max_bits: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    some = random.integers(0, 2**64, bases, dtype=np.uint64)
    hashes = around(some[random.integers(0, bases, count)], flips, bits, seed)
    rank = random.permutation(len(hashes)).astype(np.int32)
    crowd = crowded(hashes, max_bits)
    assert leaders(hashes, rank, max_bits, crowd).tolist() == one_by_one(hashes, rank, max_bits)


@pytest.mark.parametrize("max_bits", [0, 1, 4, 8])
@pytest.mark.parametrize(("free", "heavy"), [(1, 1), (2, 1 << 14), (3, 1)])
def test_every_neighbour_is_found_however_blocks_are_dealt(
    max_bits: int, free: int, heavy: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(max_bits)
    hashes = random.integers(0, 2**64, 700, dtype=np.uint64)
    hashes = np.unique(np.concatenate([hashes, *(around(hashes[:100], flips, 64, flips) for flips in range(1, 10))]))
    asked = random.permutation(hashes)
    depth = 0

    def dealt(*_: object) -> int:
        nonlocal depth
        depth += 1
        return free if depth < 40 else 0

    monkeypatch.setattr(neighbours, "_free_blocks", dealt)
    monkeypatch.setattr(neighbours, "HEAVY", heavy)
    distance = np.bitwise_count(hashes[:, None] ^ asked[None])
    assert np.array_equal(first_near(hashes, asked, max_bits), (distance <= max_bits).argmax(axis=0))
    depth = 0
    has_one = (np.bitwise_count(hashes[:, None] ^ hashes[None]) <= max_bits).sum(axis=0) > 1
    assert not (has_one & ~crowded(hashes, max_bits)).any()


def test_hashes_far_apart_are_no_crowd() -> None:
    hashes = np.unique(np.random.default_rng(0).integers(0, 2**64, 100_000, dtype=np.uint64))
    assert not crowded(hashes, 4).any()


def test_pairs_of_look_alikes_are_not_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten thousand hashes around one have fifty million pairs; what is looked at stays far below."""
    hashes = around(np.full(10_000, 0x0123456789ABCDEF, np.uint64), 4, 64, 0)
    compared = 0
    count = np.bitwise_count

    def counted(values: Hashes) -> np.ndarray:
        nonlocal compared
        compared += values.size
        return count(values)

    monkeypatch.setattr(np, "bitwise_count", counted)
    leaders(hashes, np.arange(len(hashes), dtype=np.int32), 4, crowded(hashes, 4))
    assert compared < len(hashes) ** 2 / 5


def test_a_crowd_under_one_prefix_is_dealt_anew() -> None:
    """Hashes that share most of their bits with one another, and hashes that share none, are told apart alike."""
    random = np.random.default_rng(3)
    shared = np.uint64(0x123456 << 40) | random.integers(0, 2**40, 3000, dtype=np.uint64)
    hashes = np.unique(np.concatenate([shared, random.integers(0, 2**64, 3000, dtype=np.uint64)]))
    rank = random.permutation(len(hashes)).astype(np.int32)
    assert leaders(hashes, rank, 4, crowded(hashes, 4)).tolist() == one_by_one(hashes, rank, 4)


@settings(deadline=None, max_examples=40)
@given(
    count=st.integers(0, 600),
    share=st.floats(0, 1),
    flips=st.integers(0, 6),
    max_bits=st.integers(0, 9),
    seed=st.integers(0, 2**32 - 1),
)
def test_what_is_old_need_not_be_compared_again(count: int, share: float, flips: int, max_bits: int, seed: int) -> None:
    """Some of the old have left, others have come: the leaders are as if all were compared."""
    random = np.random.default_rng(seed)
    some = random.integers(0, 2**64, 200, dtype=np.uint64)
    hashes = around(some[random.integers(0, 200, count)], flips, 64, seed)
    old = hashes[random.random(len(hashes)) < share]
    apart = np.sort(old[~crowded(old, max_bits)])
    now = hashes[random.random(len(hashes)) < 0.9]
    rank = random.permutation(len(now)).astype(np.int32)
    crowd = crowded(now, max_bits, apart)
    assert leaders(now, rank, max_bits, crowd).tolist() == one_by_one(now, rank, max_bits)


def test_old_hashes_are_not_looked_at_among_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = np.unique(np.random.default_rng(0).integers(0, 2**64, 20_000, dtype=np.uint64))
    sorted_ones: list[int] = []
    keys = neighbours._keys

    def noted(some: Hashes, mask: np.uint64) -> Hashes:
        sorted_ones.append(len(some))
        return keys(some, mask)

    monkeypatch.setattr(neighbours, "_keys", noted)
    crowded(hashes, 4)
    whole = sum(sorted_ones)
    sorted_ones.clear()
    assert not crowded(hashes, 4, hashes[:19_900]).any()
    assert sum(sorted_ones) < whole / 2
