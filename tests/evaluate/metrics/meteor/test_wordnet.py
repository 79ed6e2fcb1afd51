"""Which sets of synonyms words are in."""

import pytest

from humanvlm.evaluate.metrics.meteor.wordnet import WordNet, build

SYNSETS = {
    "phone": [1],
    "telephone": [1, 2],
    "call": [2],
    "good": [3],
    "well": [3, 4],
    "bus": [5],
    "box": [6],
    "lie": [7],
}
FORMS = {"better": ["good", "well", "nowhere"], "lay": ["lie"], "gone": ["nowhere"]}


@pytest.fixture(scope="module")
def words() -> WordNet:
    return build(SYNSETS.items(), FORMS.items())


@pytest.mark.parametrize(
    ("word", "sets"),
    [
        ("phone", {1}),
        ("phones", {1}),
        ("telephoned", {1, 2}),
        ("calling", {2}),
        ("boxes", {6}),
        ("better", {3, 4}),
        ("lay", {7}),
        ("gone", set()),
        ("bus", {5}),
        ("buss", set()),  # no ending of its own is cut off "ss"
        ("is", set()),
        ("xylophone", set()),
        ("日本s", set()),
        ("", set()),
    ],
)
def test_senses(words: WordNet, word: str, sets: set[int]) -> None:
    vocabulary = ["phone", word, "zebra"]
    number, found = words.senses(vocabulary)
    assert {int(one) for one, of in zip(found, number, strict=True) if of == 1} == sets
    assert {int(one) for one, of in zip(found, number, strict=True) if of == 0} == {1}
    assert 2 not in number.tolist()


def test_nothing_is_known_of_nothing(words: WordNet) -> None:
    assert [column.tolist() for column in words.senses([])] == [[], []]
    assert [column.tolist() for column in build([], []).senses(["a", "cats"])] == [[], []]
