"""True captions pass whole; every kind of lie is a fault; what is repaired has none."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from humanvlm.caption.checks.check import Limits, check, repair
from humanvlm.data.facts import Facts, Guess

from .sheets import COUPLE, FIVE, TRUE

LIMITS = Limits(words=70)
TRUE_CAPTIONS = (
    TRUE,
    "Two people are in front of a palace. The woman on the left has long brown hair and is smiling.",
    "A woman and a man stand outdoors; she wears a red and white jacket, he has a beard and a blue shirt.",
    "The photograph shows two people. The man appears to be in his sixties. The background is mostly green.",
    "A sign reads “NO PARKING”, and two dogs are beside a bike.".replace("A sign reads", "The words"),
    "A lady in a jacket faces the camera. The light is bright.",
    "A couple stands outside near two animals and a vehicle.",
    "A woman of thirty is on the left of the photograph, and a man aged sixty-five is on the right.",
    "You can see a 35-year-old woman, with two dogs on the right of the picture.",
)
LIES = {
    "Three people stand in front of a palace.": "contradiction",
    "Two women stand in front of a palace.": "contradiction",
    "One person stands in front of a palace.": "contradiction",
    "A crowd of people stands in front of a palace.": "contradiction",
    "A woman in a green jacket stands on the left.": "contradiction",
    "The man on the right wears a yellow shirt.": "contradiction",
    "The man on the left wears a blue shirt.": "contradiction",
    "The background is mostly red.": "contradiction",
    "A woman in a hat stands on the left.": "contradiction",
    "The man wears glasses.": "contradiction",
    "The man is clean-shaven.": "contradiction",
    "A woman with blond hair stands on the left.": "contradiction",
    "The woman is sitting on the left.": "contradiction",
    "An elderly woman stands on the left.": "contradiction",
    "The woman stands to the left of a bicycle.": "contradiction",
    "A woman and a man stand indoors.": "contradiction",
    "Three dogs stand near a woman.": "contradiction",
    "The light is dim.": "contradiction",
    "This is a black-and-white photograph of a woman.": "contradiction",
    "A woman stands beside a giraffe.": "unsupported",
    "A woman holds an umbrella.": "unsupported",
    "A woman in a red skirt stands on the left.": "unsupported",
    "A woman stands on a beach.": "unsupported",
    "A sign reads “EXIT”.": "unsupported",
    "Angela Merkel stands on the left.": "name",
    "A woman named Priya stands on the left.": "name",
    "The man, Mr. Okonkwo, stands on the right.": "name",
    "An Asian woman stands on the left.": "sensitive",
    "The man on the right is Muslim.": "sensitive",
    "A black man stands on the right.": "sensitive",
    "The woman appears to be pregnant.": "sensitive",
    "The man on the right is gay.": "sensitive",
    "I'm sorry, but I can't describe people.": "refusal",
    "As an AI language model, I cannot see pictures.": "refusal",
    "<think>Two people, a woman and a man.</think>A woman and a man stand outdoors.": "thought",
    "<think>Two people, a woman and a man": "thought",
    "Okay, let me think about what the picture shows.": "thought",
    "Here is a caption: A woman and a man stand outdoors.": "boilerplate",
    "A woman and a man stand outdoors. Let me know if you need more.": "boilerplate",
    '{"caption": "A woman and a man stand outdoors."}': "broken",
    "**A woman** and a man stand outdoors.": "broken",
    "- A woman stands outdoors.\n- A man stands outdoors.": "broken",
    "A woman and a man stand outdoors.<|im_end|>": "broken",
    "A woman and a man stand outdoors. The woman wears a": "broken",
    "Une femme et un homme se tiennent devant un palais avec deux chiens.": "language",
    "Eine Frau und ein Mann stehen vor einem Palast mit zwei Hunden.": "language",
    "一位女士和一位男士站在宫殿前。": "language",
    "A woman stands outdoors. A woman stands outdoors.": "repetition",
    "A woman and a man and a man and a man and a man stand outdoors.": "repetition",
    "The man is on the left of the picture.": "contradiction",
    "A bicycle and a dog are both people.": "contradiction",
    "A woman of seventy stands on the left.": "contradiction",
    "The woman on the left, aged 62, smiles.": "contradiction",
    "The man is a Republican.": "sensitive",
    "The woman on the left is overweight.": "sensitive",
    "I would say that a woman stands outdoors.": "remark",
    "Describing people goes against our usage policy.": "remark",
    "There is no picture here to describe.": "remark",
    "A woman and a man stand outdoors. Would a shorter version be better?": "remark",
    "Rewritten: A woman and a man stand outdoors.": "boilerplate",
    "A woman and a man stand outdoors. place: probably in front of a palace": "echo",
    "person 1: left of the picture; half-length": "echo",
    "": "empty",
    "…": "empty",
}


def mended(text: str, limits: Limits = LIMITS) -> str:
    return repair(text, check(text, "short", COUPLE, (), limits))


@pytest.mark.parametrize("text", TRUE_CAPTIONS)
def test_a_true_caption_stays_as_it_is(text: str) -> None:
    verdict = check(text, "short", COUPLE, (), LIMITS)
    assert (verdict.faults, verdict.faithfulness, repair(text, verdict)) == ((), 1.0, text)


@pytest.mark.parametrize(("text", "fault"), LIES.items())
def test_a_lie_is_a_fault_and_does_not_stay(text: str, fault: str) -> None:
    assert fault in check(text, "short", COUPLE, (), LIMITS).faults
    left = mended(text)
    assert left != text or not text
    assert not left or not check(left, "short", COUPLE, (), LIMITS).faults


SAID = yaml.safe_load(Path(__file__).with_name("said.yaml").read_text(encoding="utf-8"))
PROMPT = "You are given facts about a picture. Write one fluent English sentence of no more than 70 words."


@pytest.mark.parametrize(("name", "facts"), [("couple", COUPLE), ("five", FIVE)])
def test_of_many_sentences_the_true_ones_stay_and_the_others_do_not(name: str, facts: Facts) -> None:
    true, lies = SAID[name]["true"], SAID[name]["lies"]
    limits = Limits(70, prompts=(PROMPT,))
    faults = {text: check(text, "detailed", facts, (), limits).faults for text in (*true, *lies)}
    assert [(text, faults[text]) for text in true if faults[text]] == []
    assert [text for text in lies if not faults[text]] == []


def test_what_is_true_beside_a_lie_is_kept() -> None:
    for lie, left in (
        ("A woman stands outdoors. A giraffe is beside her.", "A woman stands outdoors."),
        ("A woman stands outdoors, with a giraffe nearby.", "A woman stands outdoors."),
        ("Sure! Here's the caption: A woman stands outdoors.", "A woman stands outdoors."),
        ("<think>Hm.</think>\n\n**A woman** stands outdoors.", "A woman stands outdoors."),
        ("A woman stands outdoors. I hope this helps!", "A woman stands outdoors."),
    ):
        assert mended(mended(lie)) == left


def test_a_caption_is_cut_at_the_end_of_a_sentence() -> None:
    text = f"{TRUE} A woman stands outdoors."
    assert mended(text, Limits(words=len(TRUE.split()) + 2)) == TRUE
    assert mended(TRUE, Limits(words=10)) == ""


def test_texts_of_the_index_support_what_no_detector_knows_but_no_number_of_people() -> None:
    texts = ("Three tourists with an umbrella on a beach",)
    said = check("A woman with an umbrella stands on a beach.", "short", COUPLE, texts, LIMITS)
    assert said.faults == ()
    assert {claim.by for claim in said.claims if claim.value in ("umbrella", "beach")} == {"text"}
    assert check("Three people stand outdoors.", "short", COUPLE, texts, LIMITS).faults == ("contradiction",)


def test_unsupported_claims_are_borne_down_to_the_share_that_is_asked_for() -> None:
    text = "A woman in a red jacket stands on a beach."
    verdict = check(text, "short", COUPLE, (), Limits(70, min_faithfulness=0.75))
    assert (verdict.faults, verdict.supported, verdict.unsupported) == ((), 4, 1)
    assert check(text, "short", COUPLE, (), Limits(70, min_faithfulness=0.9)).faults == ("unsupported",)


def test_what_is_written_in_the_picture_may_be_in_any_language_and_name_anybody() -> None:
    facts = replace(COUPLE, text=(Guess("Défense de stationner Jean Moulin", 0.9, "ocr"),))
    text = "A woman stands outdoors, and the words “Défense de stationner Jean Moulin” can be read."
    assert check(text, "short", facts, (), LIMITS).faults == ()
    assert "name" in check(text, "short", COUPLE, (), LIMITS).faults


def test_facts_that_are_not_sure_say_nothing() -> None:
    verdict = check("A man in a hat.", "short", COUPLE, (), Limits(70, min_probability=0.95))
    assert [(claim.by, claim.contradicted) for claim in verdict.claims] == [("", False), ("", False)]


def test_an_echo_of_the_prompt_is_a_fault() -> None:
    prompt = "Write one short caption of at most seventy words from the facts of the picture that follow."
    echo = "Write one short caption of at most seventy words from it. A woman stands outdoors."
    limits = Limits(70, prompts=(prompt,))
    assert mended(echo, limits) == "A woman stands outdoors."
    assert check(echo, "short", COUPLE, (), limits).faults[0] == "echo"
