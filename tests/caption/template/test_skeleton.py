"""What is left of captions without the words that depend on the picture."""

from collections import Counter

import pytest

from humanvlm.caption.captioners.base import Style, Subject
from humanvlm.caption.template.captioner import TemplateCaptioner
from humanvlm.caption.template.skeleton import skeleton
from humanvlm.data.facts import Facts, Garment, Guess, Person
from tests.caption.template.sheets import picture

STYLES: tuple[Style, ...] = ("short", "detailed", "fused")


def test_content_words_become_slots_and_grammar_stays() -> None:
    first = skeleton("A smiling woman in an orange suit stands in front of a rocket.")
    assert first == "a smiling _ in a _ stands in _ of a _ ."
    assert first == skeleton("A smiling man in a dark blue coat stands in front of an old palace.")
    assert skeleton('The words "STOP here" can be read.') == "the _ can be read ."
    assert skeleton("") == ""


@pytest.mark.parametrize("style", STYLES)
def test_no_skeleton_is_that_of_more_than_two_in_a_hundred_pictures(style: Style) -> None:
    captioner = TemplateCaptioner(7, 0.6, dict.fromkeys(STYLES, 300))
    drafts = captioner.write([Subject(str(number), picture(number)) for number in range(2000)], [style])
    skeletons = Counter(skeleton(draft.texts[style]) for draft in drafts)
    assert skeletons.most_common(1)[0][1] <= 40


def test_equal_facts_are_told_in_many_ways() -> None:
    """Pictures of which the same few things are known: the choices alone keep captions apart."""
    captioner = TemplateCaptioner(7, 0.6, dict.fromkeys(STYLES, 300))
    red, sure = (Guess("red", 0.9),), 0.9
    person = Person(
        *((0.0, 0.0, 9.0, 9.0), None, "left", "half-length"),
        facing=Guess("camera", sure),
        gender=Guess("female", sure),
        hair=Guess("black", sure),
        eyewear=Guess("glasses", sure),
        garments=(Garment("upper", red),),
    )
    facts = Facts(640, 480, 1, (person,), "even", "medium", False, place=Guess("outdoors", sure))
    drafts = captioner.write([Subject(str(number), facts) for number in range(2000)], ["short"])
    assert Counter(skeleton(draft.texts["short"]) for draft in drafts).most_common(1)[0][1] <= 400
