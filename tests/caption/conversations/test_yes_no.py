"""Every yes is a fact, and every no is contradicted by one."""

import re

from hypothesis import given

from humanvlm.caption.conversations.scene import Scene
from humanvlm.caption.conversations.yes_no import NEAR, statements
from humanvlm.caption.facts.colour import FAMILIES, NAMES
from humanvlm.data.facts import NONE
from humanvlm.data.prompts import YES_NO

from .truth import EXPRESSION, family, meant, scenes, value


@given(scenes())
def test_answers_follow_from_facts(scene: Scene) -> None:
    facts = scene.facts
    for turn in statements(scene):
        assert turn.question.endswith(YES_NO.format(question=""))
        question = turn.question.removesuffix(YES_NO.format(question=""))
        yes = turn.answer == "yes"
        assert yes or turn.answer == "no"
        if "Was the picture taken" in question:
            assert value(facts.place)
            assert yes == (value(facts.place) in question)
        elif "more than one" in question:
            assert yes == (facts.people_count > 1)
        elif "black and white?" in question and question.startswith("Is the picture"):
            assert yes == facts.monochrome
        else:
            check_person(scene, question, turn.key, yes)


def check_person(scene: Scene, question: str, key: str, yes: bool) -> None:
    found = [
        (phrase, rest)
        for end in re.finditer(r" (?=appear|smiling|wearing |have |standing|sitting|lying|walking)", question)
        for phrase, rest in [(question[: end.start()].split(" ", 1)[1], question[end.end() : -1])]
        if EXPRESSION.fullmatch(phrase)
    ]
    phrase, asked = found[-1]  # the longest beginning that is an expression
    person = meant(phrase, scene.facts)
    if key in ("woman", "man"):
        assert value(person.gender)
        assert yes == (value(person.gender) == {"woman": "female", "man": "male"}[key])
    elif key in ("elderly", "child"):
        assert value(person.stage)
        assert yes == (value(person.stage) == {"elderly": "older", "child": "child"}[key])
    elif key == "smiling":
        assert value(person.expression) == ("happy" if yes else "neutral")
    elif key in ("glasses", "sunglasses"):
        assert value(person.eyewear) == (key if yes else NONE)
    elif key == "hat":
        assert value(person.headwear) == (asked.split()[-1] if yes else NONE)
    elif key == "beard":
        assert value(person.beard) == (asked.split()[-1] if yes else NONE)
    elif key == "pose":
        assert value(person.pose)
        assert yes == (value(person.pose) == asked)
    elif key == "hair":
        assert value(person.hair)
        assert yes == (value(person.hair) == asked.split()[1])
    else:
        assert key == "colour"
        colour = asked.removeprefix("wearing ").removesuffix(" clothes")
        shares = [share.value for one in person.garments for share in one.colours]
        worn = {*shares, *map(family, shares)}
        assert yes == (colour in worn)
        assert not scene.facts.monochrome


def test_every_colour_has_its_neighbours() -> None:
    assert {FAMILIES.get(name, name) for name in NAMES} == set(NEAR)
    assert all(colour in NEAR[other] for colour, near in NEAR.items() for other in near.split())
