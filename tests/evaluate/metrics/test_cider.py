"""CIDEr against the reference implementation, with document frequencies of its own, and on any text."""

import gzip
import json
import math
from collections import Counter
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


def plain(pictures: list[tuple[list[str], list[list[str]]]]) -> list[float]:
    """CIDEr-D as Vedantam et al. (2015) write it, word by word: clipped tf-idf cosines, a Gaussian of the lengths."""

    def grams(words: list[str], order: int) -> Counter[tuple[str, ...]]:
        return Counter(zip(*(words[n:] for n in range(order)), strict=False))

    scores = []
    for candidate, group in pictures:
        total = 0.0
        for order in range(1, 5):
            seen = Counter(gram for _, others in pictures for gram in {g for one in others for g in grams(one, order)})
            weight = {gram: math.log(len(pictures)) - math.log(max(1, count)) for gram, count in seen.items()}

            def weigh(words: list[str], order: int = order, weight: Any = weight) -> dict[tuple[str, ...], float]:
                return {
                    gram: count * weight.get(gram, math.log(len(pictures)))
                    for gram, count in grams(words, order).items()
                }

            said = weigh(candidate)
            for one in group:
                true = weigh(one)
                product = sum(min(value, true.get(gram, 0.0)) * true.get(gram, 0.0) for gram, value in said.items())
                norms = math.hypot(*said.values(), 0, 0) * math.hypot(*true.values(), 0, 0)
                apart = len(candidate) - len(one)
                total += (product / norms if norms else 0.0) * math.exp(-(apart**2) / 72) / len(group)
        scores.append(10 * total / 4)
    return scores


@settings(max_examples=60)
@given(PICTURES)
def test_the_formula_gives_the_same(pictures: list[tuple[list[str], list[list[str]]]]) -> None:
    np.testing.assert_allclose(scores(pictures), plain(pictures), atol=1e-9)


def test_pinned_frequencies_of_own_captions_score_a_part_like_all_of_it(tmp_path: Path) -> None:
    texts = ["a man in a hat", "a woman on the beach", "the dog with a man", "a hat on the dog"]
    words = [text.split() for text in texts]
    groups = [[words[n], words[(n + 1) % 4]] for n in range(4)]
    everything = corpus(words, groups)
    frequencies(everything).save(tmp_path / "idf.json.gz")
    pinned = Frequencies.load(tmp_path / "idf.json.gz")
    assert pinned == frequencies(everything)
    part = corpus(words[:2], groups[:2])
    np.testing.assert_allclose(cider(part, pinned), cider(everything)[:2], atol=1e-12)
    assert abs(cider(part) - cider(everything)[:2]).max() > 0.1  # those of the part itself are others


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
