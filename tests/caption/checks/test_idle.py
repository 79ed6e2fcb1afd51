"""Of a rewritten text, sentences that tell nothing new go; what tells of others stays."""

import pytest

from humanvlm.caption.checks.check import Limits, check, repair
from humanvlm.data.facts import Facts, Garment, Guess, Person

WOMAN = Person(
    (0.0, 0.0, 100.0, 300.0),
    None,
    "centre",
    "half-length",
    gender=Guess("female", 0.9, "gender"),
    garments=(Garment("upper", (Guess("red", 0.9, "colour"),)),),
)
ALONE = Facts(300, 300, 1, (WOMAN,), "even", "medium", False)
FOUR = Facts(300, 300, 4, (WOMAN, WOMAN), "even", "medium", False)
FIRST = "A woman in the middle wears a red top."


def left(text: str, facts: Facts = ALONE, min_coverage: float = 0.4) -> str:
    return repair(text, check(text, "short", facts, (), Limits(70, min_coverage=min_coverage)))


@pytest.mark.parametrize(
    "idle",
    [
        "She has a head that is not covered.",
        "She is probably wearing a red top.",
        "The woman wears a red top.",
        "The mouth is a mouth of wear.",
    ],
)
def test_what_tells_nothing_new_goes(idle: str) -> None:
    assert "idle" in check(f"{FIRST} {idle}", "short", ALONE, (), Limits(70, min_coverage=0.4)).faults
    assert left(f"{FIRST} {idle}") == FIRST
    assert left(f"{FIRST} {idle}", min_coverage=0.0) == f"{FIRST} {idle}"  # of whoever sees the picture


@pytest.mark.parametrize("more", ["The light is even.", "She is in the middle, in even light."])
def test_what_tells_more_stays(more: str) -> None:
    assert left(f"{FIRST} {more}") == f"{FIRST} {more}"


def test_in_a_group_the_same_may_be_told_of_others() -> None:
    for text in (f"{FIRST} Two others share the scene.", f"{FIRST} Another woman wears a red top."):
        assert left(text, FOUR) == text
    assert left(f"{FIRST} The woman wears a red top.", FOUR) == FIRST
