"""Expressions fit the person they are of, and no other that may be like it."""

from dataclasses import replace
from random import Random

from hypothesis import given

from humanvlm.caption.conversations.references import refer, references
from humanvlm.caption.conversations.scene import Scene
from humanvlm.data.facts import NONE, Facts, Garment, Guess, Person

from .truth import EXPRESSION, meant, scenes

WOMAN = Person((10, 10, 60, 200), None, "left", "full-length", size=0.2, gender=Guess("female", 0.9))
MAN = replace(WOMAN, box=(210, 10, 260, 200), position="right", gender=Guess("male", 0.9))


def scene(*people: Person, count: int = 0) -> Scene:
    return Scene(Facts(300, 300, count or len(people), people, "even", "medium", False), 0.6, Random(7))


@given(scenes())
def test_every_expression_means_one_person(scene: Scene) -> None:
    for person in scene.facts.people:
        for phrase in references(scene, person):
            assert meant(phrase, scene.facts) is person


@given(scenes())
def test_what_is_asked_is_not_said(scene: Scene) -> None:
    for person in scene.facts.people:
        for slot in ("noun", "colour", "eyewear", "headwear", "smile", "pose"):
            if phrase := refer(scene, person, slot):
                found = EXPRESSION.fullmatch(phrase)
                assert found
                assert found[slot] in (None, "person"), (slot, phrase)


def test_a_person_alone_needs_no_more_than_a_noun() -> None:
    assert references(scene(WOMAN), WOMAN)[0] == "the woman"
    unsure = replace(WOMAN, gender=Guess("female", 0.5))
    assert references(scene(unsure), unsure)[0] == "the person"


def test_two_are_told_apart_by_what_is_known_of_both() -> None:
    assert references(scene(WOMAN, MAN), WOMAN)[0] == "the woman"
    unknown = replace(MAN, gender=None)
    assert references(scene(WOMAN, unknown), WOMAN)[0] == "the woman on the left"
    assert references(scene(WOMAN, unknown), unknown)[0] == "the person on the right"
    hat = replace(MAN, gender=Guess("female", 0.9), headwear=Guess("hat", 0.9))
    assert "the woman wearing a hat" not in references(scene(WOMAN, hat), hat)
    bare = replace(WOMAN, headwear=Guess(NONE, 0.9))
    assert "the woman wearing a hat" in references(scene(bare, hat), hat)


def test_a_colour_tells_apart_only_from_somebody_all_of_whose_clothes_are_known() -> None:
    red = replace(WOMAN, garments=(Garment("upper", (Guess("dark red", 0.9),)),))
    blue = (Garment("upper", (Guess("blue", 0.9),)),)
    half = replace(MAN, gender=None, garments=blue)
    assert "the woman in dark red" not in references(scene(red, half), red)
    known = replace(half, garments=(*blue, Garment("lower", (Guess("black", 0.8),))))
    assert "the woman in dark red" in references(scene(red, known), red)
    alike = replace(known, garments=(*blue, Garment("lower", (Guess("red", 0.2),))))
    assert "the woman in dark red" not in references(scene(red, alike), red)


def test_side_by_side_in_one_third_the_outermost_is_named() -> None:
    one, other = (replace(WOMAN, box=(x, 0, x + 50, 200)) for x in (0, 50))
    assert references(scene(one, other), one) == ["the woman farthest to the left"]
    near = replace(WOMAN, box=(10, 0, 60, 200))
    assert references(scene(one, near), one) == []


def test_of_a_crowd_only_somebody_much_larger_is_referred_to() -> None:
    small = replace(MAN, size=0.1)
    assert references(scene(WOMAN, small, count=9), WOMAN) == ["the woman who takes up most of the picture"]
    assert references(scene(WOMAN, small, count=9), small) == []
    assert references(scene(WOMAN, MAN, count=9), WOMAN) == []
