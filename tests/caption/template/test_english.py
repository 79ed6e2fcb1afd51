"""Small English: articles, plurals, numbers, lists, sentences and word limits."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from humanvlm.caption.template.english import (
    article,
    counted,
    crowd,
    distinct,
    indefinite,
    join,
    plural,
    sentence,
    takes_plural,
    within,
    word_count,
)


@pytest.mark.parametrize(
    ("noun", "phrase"),
    [
        ("orange top", "an orange top"),
        ("uniform", "a uniform"),
        ("umbrella", "an umbrella"),
        ("older woman", "an older woman"),
    ],
)
def test_articles_follow_the_sound(noun: str, phrase: str) -> None:
    assert article(noun) == phrase


@pytest.mark.parametrize(
    ("count", "noun", "phrase"),
    [
        (1, "person", "a person"),
        (3, "person", "three people"),
        (2, "young woman", "two young women"),
        (2, "bus", "two buses"),
        (2, "knife", "two knives"),
        (13, "dog", "more than a dozen dogs"),
        (2, "broccoli", "some broccoli"),
        (2, "scissors", "two pairs of scissors"),
        (4, "teddy bear", "four teddy bears"),
        (2, "cup of coffee", "two cups of coffee"),
        (1, "glasses", "glasses"),
        (3, "blue jeans", "three pairs of blue jeans"),
        (2, "fireman", "two firemen"),
        (3, "sheep", "three sheep"),
        (2, "scarf", "two scarves"),
    ],
)
def test_counted_nouns(count: int, noun: str, phrase: str) -> None:
    assert counted(count, noun) == phrase


def test_plural_lists_and_sentences() -> None:
    assert plural("bench") == "benches"
    assert join(["a", "b", "c"]) == "a, b and c"
    assert join([]) == ""
    assert sentence("  a man , in red ,") == "A man, in red."
    assert sentence("") == ""


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["One two.", "Three.", "Four five six."])), max_size=9))
def test_within_keeps_order_and_drops_the_least_important_first(sentences: list[tuple[int, str]]) -> None:
    most = Random(len(sentences)).randint(0, 12)
    text = within(sentences, most)
    assert word_count(text) <= most
    words = [text for _, text in sentences]
    if word_count(" ".join(words)) <= most:
        assert text == " ".join(words)


def test_what_comes_in_pairs_or_masses_takes_no_article() -> None:
    assert indefinite("blue jeans") == "blue jeans"
    assert indefinite("black footwear") == "black footwear"
    assert indefinite("orange top") == "an orange top"


def test_verbs_agree_with_what_is_counted() -> None:
    plural = [takes_plural(*one) for one in ((1, "scissors"), (2, "dog"), (1, "flowers"), (3, "broccoli"), (1, "dog"))]
    assert plural == [True, True, True, False, False]


def test_twelve_people_are_about_a_dozen() -> None:
    assert [crowd(count) for count in (1, 10, 12, 40)] == [
        *("a person", "ten people", "about a dozen people", "more than a dozen people")
    ]


def test_distinct_keeps_the_first_of_equal_sentences() -> None:
    assert distinct([(1, "A."), (0, "B."), (0, "A.")]) == [(1, "A."), (0, "B.")]
