"""The choice of pictures: the best of each kind, kinds alike, whatever the order they come in."""

from collections import Counter
from dataclasses import replace
from typing import Any, get_args

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from humanvlm.caption.selection import AXES, cell_of, choose, coverage, fair_quotas, gather, measured, quality
from humanvlm.config.human_caption_hq import Axis
from humanvlm.data.facts import Facts, Guess, Person

PERSON = Person((0, 0, 50, 100), (20, 5, 40, 25), "left", "half-length", gender=Guess("female", 0.9))
FACTS = Facts(100, 100, 1, (PERSON,), "even", "medium", False)


def rows(cells: list[int], sides: list[int] | None = None) -> list[dict[str, Any]]:
    sides = sides or [100] * len(cells)
    return [
        {"id": f"{number}", "cell": [f"kind {cell}"], "side": side, "sharpness": 50.0, "face": side / 2}
        for number, (cell, side) in enumerate(zip(cells, sides, strict=True))
    ]


@given(
    cells=st.lists(st.tuples(st.integers(0, 5), st.integers(1, 4)), max_size=60),
    most=st.integers(0, 40),
    per_cell=st.integers(0, 9),
    shuffle=st.randoms(use_true_random=False),
)
def test_the_choice_does_not_depend_on_the_order(
    cells: list[tuple[int, int]], most: int, per_cell: int, shuffle: Any
) -> None:
    given_rows = rows([cell for cell, _ in cells], [side for _, side in cells])
    mixed = given_rows[:]
    shuffle.shuffle(mixed)
    chosen = [
        {row["id"] for row, kept in zip(some, choose(gather(some, 7), most, per_cell), strict=True) if kept}
        for some in (given_rows, mixed)
    ]
    assert chosen[0] == chosen[1]
    kept = Counter(row["cell"][0] for row in given_rows if row["id"] in chosen[0])
    sizes = Counter(row["cell"][0] for row in given_rows)
    limits = [min(size, per_cell or size) for size in sizes.values()]
    assert kept.total() == min(most or len(cells), sum(limits))
    for one in sizes:  # no kind may have two more than another that still has some to give
        for other in sizes:
            if kept[other] < min(sizes[other], per_cell or sizes[other]):
                assert kept[one] <= kept[other] + 1


def test_the_best_of_a_kind_are_kept() -> None:
    some = rows([0, 0, 0, 1], [200, 900, 500, 100])
    assert choose(gather(some, 7), 0, 1).tolist() == [False, True, False, True]
    assert choose(gather(some, 7), 3, 0).tolist() == [False, True, True, True]
    assert choose(gather(some, 7), 0, 0).all()
    assert choose(gather([], 7), 5, 1).tolist() == []


def test_a_quota_that_small_kinds_leave_goes_to_the_others() -> None:
    assert fair_quotas(np.array([100, 3, 50]), 43, 0).tolist() == [20, 3, 20]
    assert fair_quotas(np.array([100, 3, 50]), 44, 0).tolist() == [21, 3, 20]
    assert fair_quotas(np.array([100, 3, 50]), 0, 10).tolist() == [10, 3, 10]
    assert fair_quotas(np.array([5, 5, 5]), 2, 0).tolist() == [1, 1, 0]


def test_quality_has_no_unit() -> None:
    figures = np.array([[100, 5, 10], [200, 50, 20], [300, 7000, 30]], dtype=np.float32)
    assert np.allclose(quality(figures), quality(figures * np.array([1, 1000, 3], dtype=np.float32)))
    assert quality(figures).argsort().tolist() == [0, 1, 2]


def test_a_kind_is_of_facts_that_are_probable_enough() -> None:
    assert cell_of(FACTS, ["gender", "stage", "shot", "people", "place"], 0.6) == (
        *("female", "unknown", "half-length", "1", "unknown"),
    )
    assert cell_of(FACTS, ["gender"], 0.95) == ("unknown",)
    crowd = replace(FACTS, people_count=9, people=(), place=Guess("outdoors", 0.8))
    assert cell_of(crowd, ["gender", "shot", "people", "place"], 0.6) == ("unknown", "unknown", "6+", "outdoors")
    assert [cell_of(replace(FACTS, people_count=count), ["people"], 0.6)[0] for count in (0, 2, 3, 5, 6)] == [
        *("0", "2", "3-5", "3-5", "6+"),
    ]


def test_every_axis_of_the_parameter_is_known() -> None:
    assert set(get_args(Axis)) == set(AXES)


def test_figures_of_a_row_without_faces_or_sharpness() -> None:
    row = {"width": 640, "height": 480, "sharpness": None, "faces": None}
    assert measured(row) == {"side": 480, "sharpness": 0, "face": 0}
    faces = [{"box": [0, 0, 30, 40]}, {"box": [0, 0, 90, 60]}]
    assert measured({**row, "faces": faces, "sharpness": 3.5}) == {"side": 480, "sharpness": 3.5, "face": 60}


def test_coverage_counts_both_what_was_offered_and_what_was_kept() -> None:
    candidates = gather(rows([0, 0, 0, 1]), 7)
    table = list(coverage(candidates, choose(candidates, 2, 0), ["kind"]))
    assert table == [
        {"axis": "kind", "value": "kind 0", "offered": 3, "kept": 1},
        {"axis": "kind", "value": "kind 1", "offered": 1, "kept": 1},
    ]
