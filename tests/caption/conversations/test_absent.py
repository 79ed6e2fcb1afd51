"""Objects asked for: a yes only where one is probable, a no only where nothing speaks for one."""

from collections.abc import Mapping
from dataclasses import replace
from random import Random
from typing import Any

from hypothesis import given

from humanvlm.caption.conversations.absent import ALSO, FAMILIES, Seen, objects, observed
from humanvlm.caption.conversations.scene import Scene, Turn
from humanvlm.data.facts import Facts, Guess, Relation, Thing

from .truth import LEAST, scenes

LABELS = dict.fromkeys(FAMILIES, 5)
FACTS = Facts(100, 100, 0, (), "even", "medium", False)


def asked(scene: Scene, seen: Seen) -> dict[str, str]:
    """Answer by label."""
    found = {}
    for turn in objects(scene, seen):
        words = turn.question.partition(" in the ")[0].removeprefix("Is there ").removeprefix("Are there ")
        found[words.removeprefix("an ").removeprefix("a ")] = turn.answer
    return found


def scene(texts: tuple[str, ...] = (), objects: tuple[str, ...] = (), **changed: Any) -> Scene:
    return Scene(replace(FACTS, **changed), LEAST, Random(3), objects=objects, texts=texts)


@given(scenes())
def test_a_yes_is_probable_and_a_no_is_not_there_at_any_probability(scene: Scene) -> None:
    known = {thing.label: thing.probability for thing in scene.facts.objects}
    for label, answer in asked(scene, Seen(LABELS)).items():
        if answer == "yes":
            assert known[label] >= LEAST
        else:
            assert label not in known
            assert label not in scene.objects
            assert not FAMILIES[label] & known.keys()


def absent(scene: Scene, labels: Mapping[str, int] = LABELS) -> set[str]:
    """All that may be said to be absent, over many draws."""
    draws = (replace(scene, random=Random(seed)) for seed in range(400))
    return {label for draw in draws for label, answer in asked(draw, Seen(labels)).items() if answer == "no"}


def test_whatever_names_a_thing_keeps_it_from_being_denied() -> None:
    assert absent(scene()) == set(FAMILIES)
    for supported in (
        scene(texts=("A cyclist rests",)),
        scene(objects=("bicycle",)),
        scene(objects=("motorcycle",)),  # easily taken for one
        scene(setting=Guess("beside a bicycle", 0.1)),
        scene(text=(Guess("BIKES FOR RENT", 0.2),)),
        scene(relations=(Relation(0, "riding", 0.1, "bicycle"),)),
        scene(texts=("Two bicycles.",)),
    ):
        assert "bicycle" not in absent(supported)
        assert "pizza" in absent(supported)


def test_popular_and_adversarial_are_drawn_by_what_was_seen() -> None:
    dog = (Thing("dog", 1, "left", 0.9),)
    seen = Seen({"dog": 9, "car": 50, "kite": 2, "tent": 1, "pizza": 1}, {"dog|kite": 2, "car|pizza": 9})
    draws = [
        asked(replace(scene(), facts=replace(FACTS, objects=dog), random=Random(seed)), seen) for seed in range(40)
    ]
    assert all(draw["dog"] == "yes" and list(draw.values()).count("no") == 3 for draw in draws)
    assert all("car" in draw and "kite" in draw for draw in draws)  # the most frequent, and the one beside dogs
    assert {"tent", "pizza"} <= {label for draw in draws for label in draw}


def test_what_is_never_seen_is_never_asked_for() -> None:
    assert asked(scene(), Seen()) == {}


def test_sums_do_not_depend_on_the_order() -> None:
    things = (Thing("dog", 1, "left", 0.9), Thing("car", 2, "left", 0.7), Thing("kite", 2, "left", 0.1))
    one = observed(replace(scene(), facts=replace(FACTS, objects=things)), [Turn("yes_no", "?", "yes", "hat")])
    other = observed(scene(), [Turn("yes_no", "?", "no", "hat"), Turn("yes_no", "?", "no", "hat")])
    total = Seen.sum([one, other])
    assert total == Seen.sum([other, one])
    assert total == Seen({"car": 1, "dog": 1}, {"car|dog": 1}, {"hat no": 2, "hat yes": 1})
    assert total.asked(Turn("yes_no", "?", "no", "hat")) == 0.5
    assert total.asked(Turn("yes_no", "?", "yes", "hat")) == 1
    assert Seen(answers={"hat no": 3}).asked(Turn("yes_no", "?", "no", "hat")) == 0


def test_other_names_are_of_labels() -> None:
    assert ALSO.keys() <= FAMILIES.keys()
