"""Captions of a captioner that lies: what passes stays, what can be repaired is, the rest is the template's."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from humanvlm.caption.accept import CHECKED, accept
from humanvlm.caption.captioners.base import Draft, Style, Subject
from humanvlm.caption.checks.check import Limits
from humanvlm.caption.template.captioner import TemplateCaptioner
from humanvlm.data.facts import Facts, Garment, Guess, Person

LIMITS: Mapping[Style, Limits] = {"short": Limits(70), "detailed": Limits(300)}
TEMPLATE = TemplateCaptioner(7, 0.6, {"short": 70, "detailed": 300})
PERSON = Person(
    (10.0, 10.0, 200.0, 290.0),
    (80.0, 20.0, 130.0, 80.0),
    "left",
    "half-length",
    gender=Guess("female", 0.95),
    garments=(Garment("upper", (Guess("red", 0.9),), Guess("suit", 0.9)),),
)
FACTS = Facts(300, 300, 1, (PERSON,), "even", "medium", False)
TRUE = "A woman in a red suit is on the left."
FALSE = "Three women in blue suits are on the left."


def accepted(short: str, detailed: str, *texts: str, captioner: str = "endpoint", reason: str = "") -> Any:
    given: dict[Style, str] = {"short": short, "detailed": detailed}
    draft = Draft({style: text for style, text in given.items() if text}, reason)
    return accept(Subject("1", FACTS, texts), draft, captioner, TEMPLATE, LIMITS)


def test_true_captions_stay_as_they_are() -> None:
    found = accepted(TRUE, TRUE)
    assert dict(found.texts) == {"short": TRUE, "detailed": TRUE}
    columns = found.columns({"short": "short", "detailed": "detailed"})
    assert (columns["captioner"], columns["repaired"], columns["replaced"]) == ("endpoint", "", "")
    assert columns["faithfulness"] == 1.0
    assert columns["claims_supported"] > 0
    assert set(columns) == {name for name, _ in CHECKED}
    for claim in json.loads(columns["claims"])["short"]:
        assert TRUE[claim["start"] : claim["end"]].strip()


def test_a_false_sentence_is_taken_out() -> None:
    found = accepted(TRUE, f"{TRUE} Behind her stand seven elephants.")
    assert found.texts["detailed"] == TRUE
    assert found.repaired == {"detailed": "unsupported"}
    assert found.columns({"detailed": "detailed"})["repaired"] == "detailed: unsupported"


@pytest.mark.parametrize("lie", [FALSE, "I'm sorry, but I can't help with that.", "<think>a woman, maybe", '{"a": 1'])
def test_what_cannot_be_repaired_is_written_by_the_template(lie: str) -> None:
    found = accepted(lie, TRUE)
    assert found.texts["short"] == TEMPLATE.write([Subject("1", FACTS)], ["short"])[0].texts["short"]
    assert set(found.replaced) == {"short"}
    assert found.captioner == "endpoint"
    assert accepted(lie, lie).captioner == "template"


def test_a_missing_caption_has_the_reason_of_its_draft() -> None:
    assert accepted("", TRUE, reason="timeout").replaced == {"short": "timeout"}
    assert accepted("", TRUE).replaced == {"short": "missing"}


def test_texts_of_people_are_not_measured_against_facts() -> None:
    assert accepted(FALSE, FALSE, FALSE, captioner="source").texts["short"] == FALSE
    assert accepted(FALSE, FALSE, captioner="endpoint").texts["short"] != FALSE


def test_a_rewriting_that_leaves_most_out_is_replaced() -> None:
    limits: Mapping[Style, Limits] = {"short": Limits(70, min_coverage=0.4)}
    for text, stays in ((TRUE, True), ("A picture with somebody in it.", False), ("A person is on the left.", False)):
        found = accept(Subject("1", FACTS), Draft({"short": text}), "endpoint", TEMPLATE, limits)
        assert found.replaced == ({} if stays else {"short": "loses"}), text
        assert (found.texts["short"] == text) is stays
    assert accepted("A person is on the left.", TRUE).replaced == {}  # who sees a picture chooses what to tell
