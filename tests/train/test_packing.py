"""Packs: every sample once, equally many for all, within the limit, even."""

from hypothesis import given
from hypothesis import strategies as st

from humanvlm.train.packing import packs, pieces

LENGTHS = st.lists(st.integers(1, 300), max_size=60)


@given(LENGTHS, st.integers(1, 8), st.integers(16, 600))
def test_every_sample_is_in_one_pack_and_no_pack_is_too_long(lengths: list[int], world: int, limit: int) -> None:
    ranks = packs(lengths, world, limit)
    assert len(ranks) == world
    assert len({len(mine) for mine in ranks}) == 1 <= len(ranks[0])
    assert sorted(place for mine in ranks for pack in mine for place in pack) == list(range(len(lengths)))
    for mine in ranks:
        for pack in mine:
            assert len(pack) <= 1 or sum(lengths[place] for place in pack) <= limit
    assert ranks == packs(lengths, world, limit)


@given(LENGTHS, st.integers(1, 8))
def test_processes_differ_by_no_more_than_a_sample(lengths: list[int], world: int) -> None:
    loads = [sum(lengths[place] for pack in mine for place in pack) for mine in packs(lengths, world, 10**6)]
    assert max(loads) - min(loads) <= max(lengths, default=0)


def test_what_is_computed_at_the_same_time_is_alike() -> None:
    ranks = packs([100, 100, 90, 90, 10, 10], world=2, limit=110)
    assert [[sum([100, 100, 90, 90, 10, 10][i] for i in pack) for pack in mine] for mine in ranks] == [[100, 100]] * 2


def test_a_step_of_fewer_samples_than_processes_gives_empty_packs() -> None:
    assert packs([5], world=3, limit=100) == [[[0]], [[]], [[]]]


PARTS = st.lists(st.lists(st.integers(1, 90), min_size=1, max_size=12), max_size=12)


@given(PARTS, st.integers(1, 8))
def test_every_part_is_in_one_piece_and_the_first_in_each(parts: list[list[int]], world: int) -> None:
    made = pieces(parts, world)
    for sample, (first, *others) in enumerate(parts):
        mine = [piece for piece in made if piece.sample == sample]
        assert sorted(place for piece in mine for place in piece.others) == list(range(len(others)))
        assert sum(piece.tokens for piece in mine) == sum(others) + first * len(mine)
    if len(parts) == 1:
        assert len(made) == min(world, max(1, len(parts[0]) - 1))
    if len(parts) >= world:
        assert len(made) == len(parts)


def test_the_parts_of_one_sample_are_shared_evenly() -> None:
    one, two = pieces([[25, 50, 59, 24, 41, 23, 24]], world=2)
    assert (one.tokens, two.tokens) == (25 + 107, 25 + 114)
    assert [piece.others for piece in pieces([[25, 50, 59], [30]], world=4)] == [(1,), (0,), ()]
