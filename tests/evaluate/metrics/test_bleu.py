"""BLEU against the reference implementation, by hand, and what must hold of it on any text."""

import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from humanvlm.evaluate.metrics.bleu import bleu, bleu_counts
from humanvlm.evaluate.metrics.ngrams import corpus

from ..coco_captions import load_pairs

WORDS = st.lists(
    st.sampled_from(["a", "man", "woman", "in", "hat", "on", "the", "beach", "with", "dog"]), min_size=1, max_size=12
)
REFERENCES = st.lists(WORDS, min_size=1, max_size=5)


def counts(candidate: list[str], references: list[list[str]]) -> Any:
    return bleu_counts(corpus([candidate], [references]))[0]


def test_the_reference_gives_the_same(shared: Path) -> None:
    pairs = load_pairs(shared)
    found = bleu_counts(corpus(pairs.candidate_tokens, pairs.reference_tokens))
    names = [f"Bleu_{n}" for n in range(1, 5)]
    assert bleu(found.sum(axis=0)) == pytest.approx([pairs.scores[name] for name in names], abs=1e-9)
    expected = np.array([[row[name] for name in names] for row in pairs.per_image])
    np.testing.assert_allclose(bleu(found), expected, atol=1e-9, rtol=0)


TINY, SMALL = 1e-15, 1e-9  # what coco-caption adds to counts, so that it never divides by zero


def plain(pictures: list[tuple[list[str], list[list[str]]]]) -> list[float]:
    """BLEU-1..4 of a corpus as Papineni et al. (2002) write it: clipped precisions, the closest reference's length."""
    said = sum(len(words) for words, _ in pictures)
    closest = sum(min((abs(len(one) - len(words)), len(one)) for one in group)[1] for words, group in pictures)
    brevity = min(1.0, math.exp(1 - closest / said))
    product, scores = 1.0, []
    for order in range(1, 5):
        found, there = TINY, SMALL
        for words, group in pictures:
            most: Counter[tuple[str, ...]] = Counter()
            for one in group:
                most |= grams(one, order)
            found += (grams(words, order) & most).total()
            there += grams(words, order).total()
        product *= found / there
        scores.append(brevity * product ** (1 / order))
    return scores


def grams(words: list[str], order: int) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(words[n:] for n in range(order)), strict=False))


@given(st.lists(st.tuples(WORDS, REFERENCES), min_size=1, max_size=6))
def test_the_formula_gives_the_same(pictures: list[tuple[list[str], list[list[str]]]]) -> None:
    candidates, references = [one for one, _ in pictures], [group for _, group in pictures]
    found = bleu(bleu_counts(corpus(candidates, references)).sum(axis=0))
    assert found == pytest.approx(plain(pictures), abs=1e-7)


def test_counts_are_clipped_and_the_shorter_of_two_close_references_counts() -> None:
    the = counts(
        ["the"] * 7, [["the", "cat", "is", "on", "the", "mat"], ["there", "is", "a", "cat", "on", "the", "mat"]]
    )
    assert the.tolist() == [7, 7, 7, 6, 5, 4, 2, 0, 0, 0]
    assert counts(["a"] * 3, [["a"] * 4, ["b", "a"]])[1] == 2


def test_a_short_candidate_is_penalised() -> None:
    score = bleu(counts(["a", "man"], [["a", "man", "in", "a"]]))
    assert score[:2] == pytest.approx([np.exp(1 - 4 / 2)] * 2)


@given(WORDS, REFERENCES)
def test_scores_are_shares_and_blind_to_the_order_of_references(words: list[str], references: list[list[str]]) -> None:
    score = bleu(counts(words, references))
    assert ((score >= 0) & (score <= 1)).all()
    assert counts(words, references).tolist() == counts(words, references[::-1]).tolist()


@given(WORDS)
def test_a_perfect_caption_scores_full_marks(words: list[str]) -> None:
    assert bleu(counts(words, [["x"], words]))[: len(words)] == pytest.approx(1)


def test_an_empty_candidate_scores_nothing() -> None:
    assert bleu(counts([], [["a", "man"]])).max() == pytest.approx(0, abs=1e-5)
    assert counts([], [["a", "man"]]).tolist() == [0, 2, *[0] * 8]
