"""The short caption: one sentence, what it tells first, and what it leaves to the others."""

import re
import statistics
from collections import Counter
from dataclasses import replace

import pytest

from humanvlm.caption.captioners.base import Subject
from humanvlm.caption.template.captioner import TemplateCaptioner
from humanvlm.caption.template.english import word_count
from humanvlm.caption.template.short import CROWD, USUAL
from humanvlm.caption.template.skeleton import skeleton
from humanvlm.data.facts import Facts, Garment, Guess, Person, Thing
from tests.caption.template.sheets import picture

KEYS = [str(number) for number in range(30)]


def short(facts: Facts, key: str, most: int = 70) -> str:
    return TemplateCaptioner(7, 0.6, {"short": most}).write([Subject(key, facts)], ["short"])[0].texts["short"]


def sure(value: str) -> Guess:
    return Guess(value, 0.9)


def person(left: float = 0.0, activity: str = "", colour: str = "", noun: str = "") -> Person:
    worn = (Garment("upper", (sure(colour),)),) if colour else ()
    return Person(
        *((left, 0.0, left + 9, 9.0), None, "left", "partial"),
        gender=sure(noun) if noun else None,
        activity=sure(activity) if activity else None,
        garments=worn,
    )


def facts(*people: Person, count: int = 0, setting: str = "", objects: tuple[Thing, ...] = ()) -> Facts:
    place = sure(setting) if setting else None
    size = (640, 480, count or len(people))
    return Facts(*size, people, "even", "medium", False, objects=objects, setting=place)


def test_it_is_one_sentence_as_long_as_people_write() -> None:
    texts = [short(picture(number), str(number)) for number in range(1000)]
    assert all(re.fullmatch(r"[^.]+\.", text) for text in texts)
    assert 10 <= statistics.mean(map(word_count, texts)) <= 16
    assert sum(word_count(text) > max(USUAL) + 4 for text in texts) <= 20  # two people with names of their own


@pytest.mark.parametrize("key", KEYS)
def test_activity_clothes_and_place_come_first(key: str) -> None:
    rider = person(activity="riding a bicycle", colour="red", noun="female")
    text = short(facts(rider, setting="on a street", objects=(Thing("bicycle", 3, "left", 0.9),)), key)
    for words in ("woman", "red", "riding a bicycle", "on a street"):
        assert words in text.lower()
    assert text.lower().count("bicycle") == 1  # what is ridden is not told again


@pytest.mark.parametrize("key", KEYS)
def test_a_posture_does_not_trail_behind_the_clothes(key: str) -> None:
    standing = replace(person(colour="red", noun="female"), pose=sure("standing"))
    assert not short(facts(standing), key).endswith("standing.")


@pytest.mark.parametrize("key", KEYS)
def test_what_one_of_several_does_is_told(key: str) -> None:
    others = [person(10.0 * place) for place in range(1, 4)]
    assert re.search(r"\bone (of them )?riding a horse", short(facts(*others, person(50.0, "riding a horse")), key))


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(("count", "words"), [(3, "three people"), (4, "group of people"), (CROWD, "crowd of people")])
def test_many_people_are_not_counted(key: str, count: int, words: str) -> None:
    assert words in short(facts(*(person(10.0 * place) for place in range(3)), count=count), key).lower()
    women = tuple(person(10.0 * place, noun="female") for place in range(count))
    assert words.replace("people", "women") in short(facts(*women), key).lower()


@pytest.mark.parametrize("key", KEYS)
def test_two_alike_are_told_at_once(key: str) -> None:
    text = short(facts(person(colour="red"), person(20.0, colour="red")), key)
    assert re.search("two people[^,]* red", text, re.IGNORECASE)
    assert text.count("red") == 1
    assert not re.search("a red top", text)  # red tops, or in red
    bearded = replace(person(), beard=sure("beard"))
    assert re.fullmatch(r"(There are t|T)wo people, one with a beard\.", short(facts(person(), bearded), key))
    assert re.search("red.*blue", short(facts(person(colour="red"), person(20.0, colour="blue")), key))


@pytest.mark.parametrize("key", KEYS)
def test_nobody_sits_with_a_bench(key: str) -> None:
    sitting = replace(person(), pose=sure("sitting"))
    text = short(facts(sitting, objects=(Thing("bench", 1, "left", 0.9),)), key)
    assert "with a bench in view" in text or "bench" not in text
    assert "in view" not in short(facts(sitting, objects=(Thing("dog", 1, "left", 0.9),)), key)


@pytest.mark.parametrize("key", KEYS)
def test_no_object_seems_to_wear_the_clothes(key: str) -> None:
    text = short(facts(person(colour="red"), setting="indoors", objects=(Thing("couch", 1, "left", 0.9),)), key)
    assert not re.search(r"(sofa|indoors|view) wearing", text)


@pytest.mark.parametrize("place", ["in front of a brick wall", "on grass"])
@pytest.mark.parametrize("expression", [None, Guess("happy", 0.9)])
def test_one_scene_is_told_in_many_ways(place: str, expression: Guess | None) -> None:
    woman = replace(person(colour="red", noun="female"), expression=expression)
    shapes = Counter(skeleton(short(facts(woman, setting=place), str(key))) for key in range(400))
    assert len(shapes) >= 12
    assert max(shapes.values()) <= 400 * 0.2
    men = person(colour="grey", noun="male"), replace(woman, box=(20.0, 0.0, 29.0, 9.0))
    shapes = Counter(skeleton(short(facts(*men), str(key))) for key in range(400))
    assert len(shapes) >= 9
    assert max(shapes.values()) <= 400 * 0.3


@pytest.mark.parametrize("key", KEYS)
def test_who_smiles_smiles_once(key: str) -> None:
    woman = replace(person(colour="red", noun="female"), expression=sure("happy"))
    for one in (woman, replace(woman, pose=sure("standing")), replace(woman, activity=sure("riding a horse"))):
        assert len(re.findall("smil", short(facts(one, setting="on grass"), key), re.IGNORECASE)) == 1


@pytest.mark.parametrize("key", KEYS)
def test_what_is_behind_people_is_told_as_such(key: str) -> None:
    text = short(facts(person(colour="red"), setting="in front of a brick wall"), key).lower()
    assert re.search("in front of a brick wall|with a brick wall in the background", text)  # whose gender is unknown
    assert not re.search("behind (her|him|them)", text)
