"""WordNet's nouns: forms, kinds, and what is a kind of what."""

import pytest

from humanvlm.caption.checks.nouns import nouns


@pytest.mark.parametrize(
    ("word", "base"),
    [
        ("dogs", "dog"),
        ("knives", "knife"),
        ("buses", "bus"),
        ("boxes", "box"),
        ("puppies", "puppy"),
        ("snowmen", "snowman"),
        ("people", "person"),
        ("glass", "glass"),
        ("fire hydrants", "fire hydrant"),
        ("tennis players in white", ""),
        ("quickly", ""),
        ("", ""),
    ],
)
def test_the_singular_of_a_noun(word: str, base: str) -> None:
    assert nouns().base(word) == base


def test_synonyms_share_a_set_and_kinds_lie_above() -> None:
    table = nouns()
    bicycles = table.closure(["bicycle"])
    assert set(table.words["bike"]) & bicycles
    assert set(table.words["vehicle"]) & bicycles
    assert not set(table.words["car"]) & bicycles
    assert set(table.words["animal"]) & table.closure(["puppy"])
    assert table.closure(["no such noun"]) == frozenset()
    assert table.kind("dog") == "animal"
    assert "stand" in table.verbal
    assert "dog" not in table.verbal


def test_kinds_have_no_circle_and_every_line_is_whole() -> None:
    table = nouns()
    assert all(parent < len(table.kinds) for parents in table.above for parent in parents)
    assert all(number in table.upward(number) for number in range(0, len(table.kinds), 97))
