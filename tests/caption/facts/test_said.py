"""What texts name of a scene: which nouns, where they stand, and how far they are believed."""

import numpy as np
import pytest

from humanvlm.caption.facts.said import Said, belief, lexicon, named, phrase


def places(*texts: str) -> dict[str, bool]:
    return {said.noun.name: said.located for said in named(texts)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A woman in front of a temple.", {"temple": True}),
        ("A lady and two dogs on the beach", {"dog": False, "beach": True}),
        ("Portrait of a woman, a tall temple beside a lake", {"temple": False, "lake": True}),
        ("Two cups of coffee by a brick wall", {"brick wall": True}),
        ("stock image: lady, pagoda, red", {"temple": False}),
        ("A man stands near an old wooden bench", {"bench": True}),
    ],
)
def test_nouns_are_known_by_where_they_stand(text: str, expected: dict[str, bool]) -> None:
    assert places(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "A dog's leash, a kitchen table and a baseball cap",  # parts of other things
        "A man without a dog, no car in the street sign shop window",
        "IMG_1034.JPG",
        "photo 12 of 2,310",
        "SALE - up to 70% off",
        "red jersey | free shipping | BUY NOW",
        "Frau in roter Jacke",
        "",
    ],
)
def test_noise_names_nothing(text: str) -> None:
    assert places(text) == {}


def test_the_more_telling_place_of_a_noun_counts() -> None:
    (said,) = named(["lake", "A man at a lake.", "A man in front of the lake."])
    assert (said.located, said.before, phrase(said)) == (True, True, "in front of a lake")


def test_a_text_is_believed_as_far_as_the_labels_agree() -> None:
    noun = lexicon()[("temple",)]
    agreeing, other = np.full(1000, 1e-4, dtype=np.float32), np.full(1000, 1e-4, dtype=np.float32)
    agreeing[noun.labels[0]] = 0.01
    agreeing[:19] = 0.05  # the noun's label is the twentieth
    other[:20] = 0.05
    located, mentioned = Said(noun, located=True), Said(noun, located=False)
    ranked = [belief(mentioned, other), belief(located, other), belief(mentioned, agreeing), belief(located, agreeing)]
    assert ranked == sorted(ranked)
    assert ranked[0] < 0.4
    assert ranked[2] > 0.8
    assert belief(mentioned, other, seen=True) == belief(mentioned, agreeing)


def test_every_known_noun_has_labels_and_a_phrase() -> None:
    for words, noun in lexicon().items():
        assert 1 <= len(words) <= 3, words
        assert noun.say.split()[0] in {"in", "on", "at", "by", "near"}, noun
        assert noun.labels, noun
        assert all(0 <= label < 1000 for label in noun.labels), noun
