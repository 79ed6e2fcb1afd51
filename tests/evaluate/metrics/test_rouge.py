"""ROUGE-L against the reference implementation, and its subsequences against the textbook's table."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from humanvlm.evaluate.metrics.rouge import longest_common, rouge_l

from ..coco_captions import load_pairs

LETTERS = st.lists(st.sampled_from("abcde"), max_size=80)


def test_the_reference_gives_the_same(shared: Path) -> None:
    pairs = load_pairs(shared)
    found = rouge_l(pairs.candidate_tokens, pairs.reference_tokens)
    assert found.mean() == pytest.approx(pairs.scores["ROUGE_L"], abs=1e-9)
    np.testing.assert_allclose(found, [row["ROUGE_L"] for row in pairs.per_image], atol=1e-9, rtol=0)


@given(LETTERS, LETTERS)
def test_longest_common_is_that_of_the_table(first: list[str], second: list[str]) -> None:
    table = np.zeros((len(first) + 1, len(second) + 1), int)
    for row, one in enumerate(first, 1):
        for column, other in enumerate(second, 1):
            longer = max(table[row - 1, column], table[row, column - 1])
            table[row, column] = table[row - 1, column - 1] + 1 if one == other else longer
    assert longest_common(first, second) == table[-1, -1]


def test_best_precision_and_best_recall_may_come_from_different_references() -> None:
    precision, recall = 1.0, 1.0  # of the long reference, and of the short one
    [score] = rouge_l([["a", "b"]], [[["a", "x", "b", "y"], ["a"]]])
    assert score == pytest.approx((1 + 1.2**2) * precision * recall / (recall + 1.2**2 * precision))
    [score] = rouge_l([["a", "b"]], [[["a", "x", "b", "y"]]])
    assert score == pytest.approx((1 + 1.2**2) * 0.5 / (0.5 + 1.2**2))


def test_nothing_in_common_and_nothing_at_all() -> None:
    assert rouge_l([["a"], [], [], ["a"]], [[["b"]], [["a"]], [[]], [["b"], []]]).tolist() == [0, 0, 1, 0]
