"""Relations by boxes and joints: riding, holding, on, behind, in front of, beside, left of; what is worn."""

from typing import Any

import numpy as np
import pytest

from humanvlm.caption.facts import pose
from humanvlm.caption.facts.relations import Stance, activity, relate, wearer, with_things
from humanvlm.data.facts import Guess, Person

UPRIGHT = (100.0, 0.0, 180.0, 240.0)


def person(
    box: tuple[float, float, float, float] = UPRIGHT, posture: str = "", **joints: tuple[float, float]
) -> Stance:
    """Somebody whose named joints, both of a pair, are at x, y px."""
    places = {"wrists": pose.WRISTS, "hips": pose.HIPS, "ankles": pose.ANKLES}
    points = np.zeros((17, 3), dtype=np.float32)
    for name, at in joints.items():
        points[list(places[name])] = (*at, 0.9)
    return Stance(box, points, posture)


def thing(label: str, *box: float, score: float = 0.81) -> dict[str, Any]:
    return {"label": label, "score": score, "box": list(box)}


@pytest.mark.parametrize(
    ("stance", "found", "predicate", "phrase"),
    [
        (person(hips=(140, 120)), thing("bicycle", 80, 100, 220, 260), "riding", "riding a bicycle"),
        (person(hips=(140, 120)), thing("horse", 60, 90, 240, 300), "riding", "riding a horse"),
        (person(ankles=(140, 235)), thing("skateboard", 100, 225, 190, 250), "riding", "riding a skateboard"),
        (person(ankles=(140, 235)), thing("skis", 60, 220, 230, 260), "riding", "skiing"),
        (person(wrists=(170, 60)), thing("umbrella", 120, -60, 220, 65), "holding", "holding an umbrella"),
        (person(wrists=(170, 90)), thing("tennis racket", 165, 60, 230, 100), "holding", "playing tennis"),
        (person(posture="sitting", hips=(140, 200)), thing("bench", 50, 150, 260, 240), "on", "sitting on a bench"),
        (person(posture="lying", hips=(140, 200)), thing("bed", 50, 150, 260, 240), "on", "lying on a bed"),
        (person(), thing("dining table", 60, 160, 260, 300), "behind", None),
        (person(), thing("car", 60, 60, 340, 200), "in front of", None),
        (person(posture="standing"), thing("car", 190, 100, 400, 230), "beside", "standing beside a car"),
        (person(), thing("car", 190, 100, 400, 230), "beside", None),  # of nobody is said that they stand
    ],
)
def test_relations_and_activities(stance: Stance, found: dict[str, Any], predicate: str, phrase: str | None) -> None:
    (relation,) = relate([stance], [found])
    assert (relation.person, relation.predicate, relation.label) == (0, predicate, found["label"])
    assert relation.source == "geometry"
    assert 0.6 < relation.probability < 0.9
    does = activity(0, Guess(stance.pose, 0.9) if stance.pose else None, [relation])
    assert (does and does.value) == phrase


@pytest.mark.parametrize(
    ("stance", "found"),
    [
        (person(), thing("bicycle", 300, 100, 440, 260)),  # far away
        (person(hips=(140, 120)), thing("bicycle", 80, 200, 220, 300)),  # hips far above the saddle
        (person(), thing("umbrella", 120, -60, 220, 65)),  # no wrist is seen
        (person(wrists=(110, 200)), thing("umbrella", 120, -60, 220, 65)),
        (person(posture="standing", hips=(140, 120)), thing("chair", 60, 100, 240, 240)),
        (person(), thing("dog", 190, 225, 220, 235)),  # too small to be beside
        (person(ankles=(140, 100)), thing("skateboard", 100, 225, 190, 250)),
    ],
)
def test_where_boxes_do_not_tell_nothing_is_said(stance: Stance, found: dict[str, Any]) -> None:
    assert relate([stance], [found]) == ()


def test_people_are_left_of_the_next_one() -> None:
    right, left, child = person((300, 0, 380, 240)), person((20, 0, 100, 240)), person((160, 200, 180, 240))
    (relation,) = relate([right, left], [])
    assert (relation.person, relation.predicate, relation.other) == (1, "left of", 0)
    assert relate([left, child], []) == ()  # much farther away
    assert relate([left, person((40, 0, 120, 240))], []) == ()  # one in front of the other


def test_things_are_worn_by_the_one_whose_box_has_them() -> None:
    stances = [person(), person((170, 0, 250, 240))]
    bag, far = thing("handbag", 175, 100, 200, 140, score=0.64), thing("handbag", 300, 100, 330, 140)
    assert [wearer(bag, stances), wearer(far, stances), wearer(thing("car", 175, 100, 200, 140), stances)] == [
        1,
        None,
        None,
    ]
    people = [Person(one.box, None, "left", "full-length") for one in stances]
    first, second = with_things(people, stances, [bag, far, thing("tie", 130, 40, 145, 80)], ())
    assert [guess.value for guess in first.accessories] == ["tie"]
    assert second.accessories == (Guess("handbag", 0.8),)
    assert first.activity is None


def test_nobody_and_nothing() -> None:
    assert relate([], [thing("dog", 0, 0, 10, 10)]) == ()
    assert wearer(thing("tie", 0, 0, 10, 10), []) is None
