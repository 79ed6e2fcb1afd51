import pytest
from hypothesis import given
from hypothesis import strategies as st

from humanvlm.caption.variety import self_bleu, variety, words_of
from humanvlm.evaluate.metrics.bleu import bleu, bleu_counts
from humanvlm.evaluate.metrics.ngrams import corpus

LINES = st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=8), min_size=2, max_size=6)


@given(LINES)
def test_self_bleu_is_the_mean_bleu_against_the_others(lines: list[list[str]]) -> None:
    others = [[other for place, other in enumerate(lines) if place != number] for number in range(len(lines))]
    expected = bleu(bleu_counts(corpus(lines, others)))[:, 3].mean()
    assert self_bleu(lines) == pytest.approx(expected, abs=1e-9)


def test_the_same_texts_have_no_variety() -> None:
    found = variety(["A man in a red coat stands here."] * 5, str.lower)
    assert found["self_bleu"] == pytest.approx(1.0, abs=1e-3)
    assert found["commonest_skeleton"] == 1.0
    assert found["vocabulary"] == 7
    assert found["distinct_1"] == pytest.approx(7 / 40)


def test_different_texts_have_much() -> None:
    found = variety(["A man stands.", "Two dogs run fast", "Nobody's well-known"], lambda text: text)
    assert found["self_bleu"] < 0.01
    assert found["distinct_1"] == found["distinct_2"] == 1.0
    assert found["skeletons"] == 1.0


def test_texts_that_are_few_or_empty() -> None:
    assert variety([], str) == {}
    assert variety(["", " . "], str) == {}
    assert "self_bleu" not in variety(["One."], str)
    assert variety(["one"], str)["distinct_2"] == 0.0


def test_words() -> None:
    assert words_of("The woman's well-lit T-shirt, 3 é.") == ["the", "woman's", "well-lit", "t-shirt", "3", "é"]
