"""Answers are read back and compared with the facts."""

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given

from humanvlm.caption.conversations.answers import boxes, counts, keypoints, questions, tables, unanswerable
from humanvlm.caption.conversations.scene import Scene, Turn
from humanvlm.data.facts import NONE, Facts, Garment, Guess, Person, Thing
from humanvlm.data.prompts import FIND, KEYPOINTS, QUESTION, REFER, format_box
from humanvlm.inference.points import parse_points

from .truth import EXPRESSION, family, meant, scenes, value


def colour(shares: Iterable[Guess], answer: str) -> bool:
    """Whether the answer is of these shares, shades of one family being one."""
    names = {name for one in shares for name in (one.value, family(one.value))}
    return set(answer.split(" and ")) <= names


def worn(person: Person, kind: str, answer: str) -> bool:
    """Whether a garment, or headwear, of this kind has the colour."""
    if value(person.headwear) == kind:
        return answer == value(person.headwear_colour)
    return any(colour(one.colours, answer) for one in person.garments if value(one.kind) == kind)


def outfit(person: Person, answer: str) -> bool:
    kinds = {value(one.kind): one for one in person.garments if value(one.kind)}
    kind = answer.split()[-1]
    said = answer.removesuffix(kind).partition(" ")[2].strip()
    return kind in kinds and (not said or colour(kinds[kind].colours, said))


# What is asked of a person, and whether the answer is so.
OF_PERSON: dict[str, Callable[[Person, str], bool]] = {
    "What color (?:are the clothes of {who}|does {who} wear)": lambda one, said: any(
        colour(garment.colours, said) for garment in one.garments if garment.region != "lower"
    ),
    "What color is {who} wearing on the legs": lambda one, said: any(
        colour(garment.colours, said) for garment in one.garments if garment.region == "lower"
    ),
    "What (?:is {who} wearing|does {who} wear)": outfit,
    "What is (?:on the head of {who}|{who} wearing on the head)": lambda one, said: said == value(one.headwear) != NONE,
    "What is {who} wearing over the eyes": lambda one, said: said == value(one.eyewear) != NONE,
    "What (?:color is the hair of {who}|hair color does {who} have)": lambda one, said: said == value(one.hair),
    "Is the hair of {who} long, short, or is .* bald": lambda one, said: said == value(one.hair_length),
    "What does {who} wear or carry besides the clothes": lambda one, said: said == f"a {value(one.accessories[0])}",
    "What is {who} doing": lambda one, said: said == (value(one.activity) or value(one.pose)),
    "Which way is {who} facing": lambda one, said: (
        said
        == {"camera": "toward the camera", "left": "to the left", "away": "away from the camera"}[value(one.facing)]
    ),
    "(?:How old does {who} look|What age does {who} appear to be)": lambda one, said: (
        said == {"20s": "in the twenties", "60s": "in the sixties"}[value(one.age)]
    ),
    "Which part of the picture is {who} in": lambda one, said: (
        said == {"left": "left", "centre": "middle", "right": "right"}[one.position]
    ),
}
OF_PICTURE: dict[str, Callable[[Facts, str], bool]] = {
    "What is behind the .*": lambda facts, said: value(facts.setting) == f"in front of {said}",
    ".* indoors or outdoors": lambda facts, said: said == value(facts.place),
    "Where (?:is this|does the picture appear to have been taken)": lambda facts, said: said == value(facts.setting),
    "What color is the background": lambda facts, said: not facts.monochrome and colour(facts.background, said),
    "What is the light like": lambda facts, said: said == facts.light,
    "(?:What does the writing in the picture say|Which words can be read)": lambda facts, said: (
        said == " ".join(map(value, facts.text))
    ),
}


def who(pattern: str, question: str, facts: Facts) -> Person | None:
    """The person meant where a question is asked, if this is the question."""
    found = re.fullmatch(pattern.replace("{who}", "(the .+?)") + r"\?", question)
    phrases = [group for group in (found.groups() if found else ()) if group and EXPRESSION.fullmatch(group)]
    return meant(phrases[0], facts) if phrases else None


@given(scenes())
def test_short_answers_are_facts(scene: Scene) -> None:
    facts = scene.facts
    for turn in questions(scene):
        assert turn.question.endswith(QUESTION.format(question=""))
        question = turn.question.removesuffix(QUESTION.format(question=""))
        of_picture = [so for pattern, so in OF_PICTURE.items() if re.fullmatch(pattern + r"\?", question)]
        if of_picture:
            assert of_picture[0](facts, turn.answer), turn
        elif kind := re.fullmatch(r"What color is the (?!hair)([a-z]+) of (the .*)\?", question):
            assert worn(meant(kind[2], facts), kind[1], turn.answer)
        else:
            asked = [(person, so) for pattern, so in OF_PERSON.items() if (person := who(pattern, question, facts))]
            assert any(so(person, turn.answer) for person, so in asked), turn


@given(scenes())
def test_counts_are_of_what_was_counted(scene: Scene) -> None:
    for turn in counts(scene):
        if "people" in turn.question:
            assert int(turn.answer) == scene.facts.people_count <= 12
        else:
            named = [one for one in scene.facts.objects if one.label in turn.question or one.label[:4] in turn.question]
            assert [str(one.count) for one in named] == [turn.answer]
            assert named[0].box


@given(scenes())
def test_boxes_are_of_who_is_meant(scene: Scene) -> None:
    facts = scene.facts
    pattern = re.compile(re.escape(FIND).replace(r"\{expression\}", "(.*)"))
    detected = {format_box(list(facts.people[place].box), facts.width, facts.height) for place in scene.boxed}
    for turn in boxes(scene):
        if turn.kind == "rec":
            found = pattern.fullmatch(turn.question)
            assert found
            things = {f"the {one.label}": one for one in facts.objects if one.count == 1 and one.probability >= 0.6}
            if found[1] in things:
                box = things[found[1]].box
                assert box
                assert turn.answer == format_box(list(box), facts.width, facts.height)
                continue
            person, text = meant(found[1], facts), turn.answer
        else:
            text = turn.question.removeprefix(REFER.partition("{")[0]).removesuffix(REFER.partition("}")[2])
            person = meant(turn.answer, facts)
        assert text == format_box(list(person.box), facts.width, facts.height)
        assert text in detected


@given(scenes())
def test_points_are_read_back_where_they_are(scene: Scene) -> None:
    facts = scene.facts
    for turn in keypoints(scene):
        assert turn.question.startswith(KEYPOINTS.partition("{")[0])
        read = parse_points(turn.answer)
        place = next(
            place
            for place in scene.boxed
            if format_box(list(facts.people[place].box), facts.width, facts.height) in turn.question
        )
        assert {name.replace("_", " ") for name in read} == set(scene.points[place])


@given(scenes())
def test_tables_have_what_is_known_and_nothing_else(scene: Scene) -> None:
    for turn in tables(scene):
        head, line, *rows = turn.answer.split("\n")
        assert (head, line) == ("| attribute | appears to be |", "| --- | --- |")
        asked = "(?:Give the attributes of {who} as a table|List how {who} appears, as a Markdown table)"
        person = who(asked, turn.question[:-1] + "?", scene.facts)
        assert person
        table = dict(row.strip("| ").split(" | ") for row in rows)
        names = {
            **{"gender": "gender", "age": "stage", "expression": "expression", "pose": "pose", "eyewear": "eyewear"},
            **{"headwear": "headwear", "beard": "beard", "hair length": "hair_length"},
        }
        assert {names[name]: said for name, said in table.items() if name in names} == {
            name: value(getattr(person, name)) for name in names.values() if value(getattr(person, name))
        }
        assert table.get("hair color", "") == ("" if scene.facts.monochrome else value(person.hair))


@given(scenes())
def test_what_no_picture_tells_is_never_answered(scene: Scene) -> None:
    for turn in unanswerable(scene):
        assert "picture" in turn.answer
        assert "not" in turn.answer
        if "took the" not in turn.question and "was the" not in turn.question:
            asked = re.search(r"the (?:woman|man|girl|boy|child|person)[^?]*", turn.question)
            assert asked
            phrases = [asked[0].rsplit(" ", words)[0] for words in range(6)]
            assert any(EXPRESSION.fullmatch(phrase) and meant(phrase, scene.facts) for phrase in phrases)


def one(**facts: object) -> Scene:
    person = Person(
        (10, 10, 60, 90),
        (20, 12, 40, 30),
        "left",
        "half-length",
        gender=Guess("female", 0.9),
        eyewear=Guess("glasses", 0.9),
        garments=(Garment("upper", (Guess("red", 0.9),), Guess("cardigan", 0.8)),),
    )
    return Scene(Facts(100, 100, 1, (person,), "even", "medium", False, **facts), 0.6, Random(1), frozenset([0]))  # type: ignore[arg-type]


def said(turns: Iterable[Turn]) -> set[str]:
    return {turn.answer for turn in turns}


def test_a_woman_in_a_red_cardigan() -> None:
    assert {"red", "a red cardigan", "glasses", "left"} <= said(questions(one()))
    dog = Thing("dog", 1, "left", 0.9, "", (10, 50, 30, 90))
    assert {"[10, 10, 60, 90]", "[10, 50, 30, 90]"} <= said(boxes(one(objects=(dog,))))
    assert said(counts(one(objects=(replace(dog, count=2), Thing("cat", 1, "", 0.9))))) == {"1", "2"}


@pytest.mark.parametrize("box", [(10.0, 10.0, 10.3, 90.0), (10.0, 10.0, 60.0, 10.2)])
def test_a_box_without_area_is_not_asked_for(box: tuple[float, ...]) -> None:
    assert not list(boxes(one(objects=(Thing("dog", 1, "left", 0.9, "", box),))))[2:]
