"""What supports and what contradicts a claim, kind by kind."""

from dataclasses import replace

import pytest

from humanvlm.caption.checks.claims import find
from humanvlm.caption.checks.evidence import evidence
from humanvlm.caption.checks.support import support
from humanvlm.caption.checks.verdict import Claim
from humanvlm.caption.facts.labels import vocabulary
from humanvlm.caption.template.english import counted
from humanvlm.data.facts import Facts, Guess, Thing
from tests.caption.template.sheets import LABELS

from .sheets import COUPLE, FIVE, MAN, WOMAN


def claims(text: str, facts: Facts, kind: str, *texts: str) -> list[Claim]:
    known = evidence(facts, texts, 0.6)
    return [claim for claim in (support(found, known) for found in find(text)) if claim.kind == kind]


def only(text: str, facts: Facts, kind: str, *texts: str) -> tuple[str, bool]:
    (claim,) = claims(text, facts, kind, *texts)
    return claim.by, claim.contradicted


@pytest.mark.parametrize(
    ("text", "kind", "by", "contradicted"),
    [
        ("The man wears a hat.", "headwear", "imagenet", False),
        ("The woman wears a hat.", "headwear", "", True),
        ("The man wears a helmet.", "headwear", "", False),
        ("The woman is in a dark red jacket.", "colour", "colour", False),
        ("The man wears a black shirt.", "colour", "", False),  # near to blue: no lie
        ("The man wears a yellow shirt.", "colour", "", True),
        ("A vehicle stands there.", "object", "ssd", False),
        ("A car stands there.", "object", "", False),
        ("The woman is in her forties.", "age", "", False),  # a decade off: no lie
        ("The woman is in her seventies.", "age", "", True),
        ("A palace is there.", "object", "imagenet", False),
    ],
)
def test_facts_support_and_contradict(text: str, kind: str, by: str, contradicted: bool) -> None:
    assert only(text, COUPLE, kind) == (by, contradicted)


def test_somebody_who_is_not_described_may_have_it() -> None:
    assert only("The man wears a hat.", replace(COUPLE, people=(MAN, WOMAN)), "headwear") == ("imagenet", False)
    bareheaded = replace(MAN, headwear=Guess("none", 0.9))
    assert only("A man wears a hat.", replace(COUPLE, people=(WOMAN, bareheaded)), "headwear") == ("", True)
    assert only("A man wears a hat.", replace(COUPLE, people_count=3, people=(bareheaded,)), "headwear") == ("", False)


def test_texts_are_believed_but_for_the_number_of_people() -> None:
    text = "Three girls with umbrellas in front of a church"
    assert only("An umbrella is there.", COUPLE, "object", text) == ("text", False)
    assert only("Three girls are there.", COUPLE, "count", text) == ("", True)


def test_a_classifier_of_attributes_supports() -> None:
    bare = replace(WOMAN, hair=None)
    woman = replace(bare, attributes=tuple(Guess(name, 0.9, "celeba") for name in ("Blond_Hair", "Wearing_Earrings")))
    facts = replace(COUPLE, people_count=1, people=(woman,))
    assert only("The woman has blond hair.", facts, "hair") == ("celeba", False)
    assert only("She wears earrings.", facts, "accessory") == ("celeba", False)
    assert only("She wears a necklace.", facts, "accessory") == ("", False)
    assert only("She has brown hair.", facts, "colour") == ("", False)


def test_colours_of_things_are_those_measured() -> None:
    assert only("A white cup is there.", FIVE, "colour") == ("colour", False)
    assert only("A red cup is there.", FIVE, "colour") == ("", True)
    assert only("A red chair is there.", FIVE, "colour") == ("", False)


@pytest.mark.parametrize("count", [1, 2])
def test_every_object_is_supported_by_its_fact(count: int) -> None:
    unknown = []
    for label in (*LABELS, *vocabulary()["objects"]):
        facts = replace(COUPLE, objects=(Thing(label, count, "left", 0.9, "ssd"),))
        known = evidence(facts, (), 0.6)
        found = [support(claim, known) for claim in find(f"One can see {counted(count, label)}.")]
        if not all(claim.by for claim in found):  # of some, as a camera, nothing is claimed
            unknown.append(label)
    assert unknown == []


def test_every_setting_is_a_claim() -> None:
    settings = (*vocabulary()["settings"], "in front of a brick wall")
    assert [setting for setting in settings if not find(f"The place appears to be {setting}.")] == []
    assert only("They are in front of a brick wall.", COUPLE, "place") == ("", False)
    walled = replace(COUPLE, setting=Guess("in front of a brick wall", 0.9, "colour"))
    assert only("They are in front of a brick wall.", walled, "place") == ("colour", False)
