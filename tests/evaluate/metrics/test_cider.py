"""CIDEr against the reference implementation, with document frequencies of its own, and on any text."""

import gzip
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from humanvlm.errors import UserError
from humanvlm.evaluate.metrics.cider import Frequencies, cider, frequencies
from humanvlm.evaluate.metrics.ngrams import corpus

from ..coco_captions import load_pairs

WORDS = st.lists(
    st.sampled_from(["a", "man", "woman", "in", "hat", "on", "the", "beach", "with", "dog"]), min_size=1, max_size=12
)
PICTURES = st.lists(st.tuples(WORDS, st.lists(WORDS, min_size=1, max_size=4)), min_size=2, max_size=6)


def scores(pictures: list[tuple[list[str], list[list[str]]]], idf: Frequencies | None = None) -> np.ndarray:
    return cider(corpus([candidate for candidate, _ in pictures], [group for _, group in pictures]), idf)


def test_the_reference_gives_the_same(shared: Path) -> None:
    pairs = load_pairs(shared)
    found = cider(corpus(pairs.candidate_tokens, pairs.reference_tokens))
    assert found.mean() == pytest.approx(pairs.scores["CIDEr"], abs=1e-9)
    np.testing.assert_allclose(found, [row["CIDEr"] for row in pairs.per_image], atol=1e-9, rtol=0)


def test_pinned_frequencies_give_the_same_score_to_a_picture_alone(shared: Path, tmp_path: Path) -> None:
    pairs = load_pairs(shared)
    whole = corpus(pairs.candidate_tokens, pairs.reference_tokens)
    frequencies(whole).save(tmp_path / "idf.json.gz")
    pinned = Frequencies.load(tmp_path / "idf.json.gz")
    assert pinned == frequencies(whole)
    half = corpus(pairs.candidate_tokens[:500], pairs.reference_tokens[:500])
    np.testing.assert_allclose(cider(half, pinned), cider(whole)[:500], atol=1e-12)
    assert abs(cider(half) - cider(whole)[:500]).max() > 0.1  # those of the half itself are others


def test_frequencies_count_pictures_not_captions() -> None:
    found = frequencies(corpus([["z"], []], [[["a", "a"], ["a"]], [["a", "b"]]]))
    assert found == Frequencies(2, {"a": 2, "b": 1, "a a": 1, "a b": 1})


def test_by_hand() -> None:
    """One word matches, of weight log 2, in texts of equal length: a cosine of 1 in one of four orders."""
    assert scores([(["man"], [["man"]]), (["dog"], [["cat"]])]) == pytest.approx([10 / 4, 0])
    long = scores([(["man", "man", "man"], [["man"]]), (["dog"], [["cat"]])])
    assert long[0] == pytest.approx(10 / 4 * (1 / 3) * math.exp(-(2**2) / 72))  # clipped, and two words too long


def test_frequencies_of_nothing_usable_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "idf.json"
    broken: list[Any] = [[], {}, {"pictures": 0, "ngrams": {}}, {"pictures": 2, "ngrams": {"a": 3}}]
    for value in [*broken, {"pictures": 2, "ngrams": {"a": "b"}}, {"pictures": True, "ngrams": {}}]:
        path.write_text(json.dumps(value))
        with pytest.raises(UserError, match=r"idf\.json"):
            Frequencies.load(path)
    path.write_bytes(gzip.compress(b"{")[:-5])
    with pytest.raises(UserError, match=r"idf\.json"):
        Frequencies.load(path)


@settings(max_examples=60)
@given(PICTURES, st.randoms())
def test_bounds_and_order(pictures: Any, random: Any) -> None:
    found = scores(pictures)
    assert ((found >= 0) & (found <= 10 + 1e-9)).all()
    order = random.sample(range(len(pictures)), len(pictures))
    shuffled = [(pictures[row][0], random.sample(pictures[row][1], len(pictures[row][1]))) for row in order]
    np.testing.assert_allclose(scores(shuffled), found[order], atol=1e-9)


@given(WORDS)
def test_a_perfect_caption_scores_full_marks(words: list[str]) -> None:
    assert scores([(words, [words]), (["another"], [["picture"]])])[0] == pytest.approx(10 * min(4, len(words)) / 4)


def test_no_words_and_one_picture_score_zero() -> None:
    assert scores([([], [["a"], []]), (["dog"], [[]])]).tolist() == [0, 0]
    assert scores([(["a"], [["a"]])]).tolist() == [0]
