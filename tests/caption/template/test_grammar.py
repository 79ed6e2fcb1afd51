"""The template captioner over random facts: limits, English, determinism, nothing improbable."""

import re
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from humanvlm.caption.facts.attributes import EXPRESSIONS
from humanvlm.caption.facts.colour import NAMES
from humanvlm.caption.facts.labels import vocabulary
from humanvlm.caption.facts.measure import STAGES
from humanvlm.caption.template.english import article, counted, join, plural, sentence, within, word_count
from humanvlm.caption.template.grammar import SHOTS, SMALLEST_LIMIT, write
from humanvlm.data.facts import Facts, Garment, Guess, Person, Thing

LABELS = (
    "dog",
    "umbrella",
    "person",
    "bus",
    "knife",
    "skis",
    "broccoli",
    "wine glass",
    "tv",
    "bench",
    "sheep",
    "teddy bear",
)


def guesses(values: tuple[str, ...]) -> st.SearchStrategy[Guess]:
    return st.builds(Guess, st.sampled_from(values), st.floats(0, 1).map(lambda p: round(p, 3)))


def maybe(values: tuple[str, ...]) -> st.SearchStrategy[Guess | None]:
    return st.none() | guesses(values)


def colours(most: int) -> st.SearchStrategy[tuple[Guess, ...]]:
    return st.lists(guesses(NAMES), max_size=most, unique_by=lambda guess: guess.value).map(
        lambda found: tuple(sorted(found, key=lambda guess: -guess.probability))
    )


boxes = st.tuples(*[st.floats(0, 640).map(lambda x: round(x, 1))] * 4)
persons = st.builds(
    Person,
    box=boxes,
    face=st.none() | boxes,
    position=st.sampled_from(["left", "centre", "right"]),
    shot=st.sampled_from(sorted(SHOTS)),
    facing=maybe(("camera", "left", "right")),
    gender=maybe(("female", "male")),
    age=maybe(("20s", "30s", "40s", "50s", "60s", "70s")),
    stage=maybe(tuple(STAGES)),
    expression=maybe(EXPRESSIONS),
    garments=st.builds(Garment, st.just("upper"), colours(4), maybe(tuple(vocabulary()["garments"]))).map(
        lambda garment: (garment,)
    ),
    eyewear=maybe(tuple(vocabulary()["eyewear"])),
    pose=maybe(("standing", "sitting", "lying")),
    arms=maybe(("one arm raised", "both arms raised")),
)
things = st.builds(
    Thing, st.sampled_from(LABELS), st.integers(1, 14), st.just("left"), st.floats(0, 1).map(lambda p: round(p, 3))
)


@st.composite
def pictures(draw: st.DrawFn) -> Facts:
    people = tuple(draw(st.lists(persons, max_size=4)))
    return Facts(
        width=640,
        height=480,
        people_count=len(people) + (draw(st.integers(0, 30)) if len(people) == 4 else 0),
        people=people,
        light=draw(st.sampled_from(["dim", "even", "bright"])),
        contrast=draw(st.sampled_from(["low", "medium", "high"])),
        monochrome=draw(st.booleans()),
        objects=tuple(draw(st.lists(things, max_size=6, unique_by=lambda thing: thing.label))),
        setting=draw(maybe(tuple(vocabulary()["settings"]))),
        background=draw(colours(4)),
    )


def captions(
    facts: Facts, key: str = "7:a", least: float = 0.6, short: int = 70, detailed: int = 300
) -> tuple[str, str]:
    return write(facts, key, min_probability=least, short_max_words=short, detailed_max_words=detailed)


def test_four_kinds_of_people_do_not_fit_into_twelve_words() -> None:
    guesses: list[dict[str, Any]] = [{"stage": Guess("child", 1.0)}, {"stage": Guess("teenager", 1.0)}]
    guesses += [{"gender": Guess("female", 1.0)}, {"gender": Guess("male", 1.0)}]
    people = tuple(Person((0.0, 0.0, 0.0, 0.0), None, "left", "close-up", **guess) for guess in guesses)
    assert captions(Facts(640, 480, 4, people, "dim", "low", False), short=12)[0] == "Four people are in the picture."


@settings(max_examples=200, deadline=None)
@given(pictures(), st.integers(SMALLEST_LIMIT, 40), st.integers(SMALLEST_LIMIT, 120), st.text(max_size=8))
def test_limits_hold_and_captions_are_never_empty(facts: Facts, short: int, detailed: int, key: str) -> None:
    for text, most in zip(captions(facts, key, 0.3, short, detailed), (short, detailed), strict=True):
        assert 0 < word_count(text) <= most


@settings(max_examples=300, deadline=None)
@given(pictures(), st.text(max_size=8))
def test_captions_are_correct_english(facts: Facts, key: str) -> None:
    short, detailed = captions(facts, key, 0.2)
    assert short.count(".") == 1
    for text in (short, detailed):
        assert re.fullmatch(r"[A-Z].*\.", text)
        assert not re.search(r"  |,,| ,| \.|\.\.|\bNone\b|[_\[\]{}]", text), text
        assert not re.search(r"\b[Aa] [aeio]|\b[Aa]n [^aeiou ]", text), text
        assert not re.search(r"\b[Aa]n? (people|women|men|children)\b", text), text
        assert not re.search(r"\b(one|another) (people|women|men|children)\b", text), text
        assert not re.search(r"\b(a|an|the|and|in|with|wearing|is|are) ?[.,]", text), text
        assert not re.search(r"\b(\w+) \1\b", text), text
    assert all(part[0].isupper() for part in re.split(r"(?<=\.) ", detailed))


@given(pictures(), st.text(max_size=8))
def test_same_key_same_captions(facts: Facts, key: str) -> None:
    assert captions(facts, key) == captions(facts, key)


def one(**fields: object) -> Facts:
    person = Person(box=(0.0, 0.0, 100.0, 300.0), face=None, position="left", shot="full-length", **fields)  # type: ignore[arg-type]
    return Facts(640, 480, 1, (person,), "even", "medium", False)


@given(st.floats(0, 0.599))
def test_improbable_facts_are_not_written(probability: float) -> None:
    doubtful = one(
        gender=Guess("female", probability),
        age=Guess("30s", probability),
        expression=Guess("happy", probability),
        eyewear=Guess("sunglasses", probability),
        pose=Guess("standing", probability),
        garments=(Garment("upper", (Guess("red", probability),), Guess("suit", probability)),),
    )
    text = " ".join(captions(doubtful)).lower()
    assert not re.search(r"\b(woman|she|her|thirties|smil\w+|suit|sunglasses|stand\w*|red)\b", text)


def test_probable_facts_are_written_and_hedged() -> None:
    facts = one(
        gender=Guess("female", 0.9),
        age=Guess("30s", 0.8),
        stage=Guess("young adult", 0.5),
        expression=Guess("happy", 0.9),
        garments=(Garment("upper", (Guess("orange", 0.8),)),),
        pose=Guess("standing", 0.7),
    )
    short, detailed = captions(facts)
    assert re.fullmatch(r"A smiling woman (in|wearing) orange clothes stands on the left\.", short)
    assert re.search(r"(appears|looks|seems) to be a woman in her thirties\.", detailed)
    assert "She has a smile." in detailed
    assert re.search(r"She (wears|is dressed in) orange clothes, is standing and is seen at full length\.", detailed)


def test_two_alike_are_counted_and_two_unlike_are_told_apart() -> None:
    man = Person((0.0, 0.0, 9.0, 9.0), None, "left", "distant", gender=Guess("male", 0.9))
    other = Person((20.0, 0.0, 29.0, 9.0), None, "right", "distant", gender=Guess("male", 0.9))
    woman = Person((20.0, 0.0, 29.0, 9.0), None, "right", "distant", gender=Guess("female", 0.9))
    assert captions(Facts(64, 48, 2, (man, other), "even", "medium", False))[0].startswith("Two men are seen")
    short = captions(Facts(64, 48, 2, (woman, man), "even", "medium", False))[0]
    assert short.startswith("A man on the left and a woman on the right are seen")


@pytest.mark.parametrize(
    ("noun", "phrase"),
    [
        ("orange top", "an orange top"),
        ("uniform", "a uniform"),
        ("umbrella", "an umbrella"),
        ("older woman", "an older woman"),
    ],
)
def test_articles_follow_the_sound(noun: str, phrase: str) -> None:
    assert article(noun) == phrase


@pytest.mark.parametrize(
    ("count", "noun", "phrase"),
    [
        (1, "person", "a person"),
        (3, "person", "three people"),
        (2, "young woman", "two young women"),
        (2, "bus", "two buses"),
        (2, "knife", "two knives"),
        (13, "dog", "more than a dozen dogs"),
        (2, "broccoli", "some broccoli"),
        (2, "scissors", "two pairs of scissors"),
        (4, "teddy bear", "four teddy bears"),
        (2, "cup of coffee", "two cups of coffee"),
    ],
)
def test_counted_nouns(count: int, noun: str, phrase: str) -> None:
    assert counted(count, noun) == phrase


def test_plural_lists_and_sentences() -> None:
    assert plural("bench") == "benches"
    assert join(["a", "b", "c"]) == "a, b and c"
    assert join([]) == ""
    assert sentence("  a man , in red ,") == "A man, in red."
    assert sentence("") == ""


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["One two.", "Three.", "Four five six."])), max_size=9))
def test_within_keeps_order_and_drops_the_least_important_first(sentences: list[tuple[int, str]]) -> None:
    most = Random(len(sentences)).randint(0, 12)
    text = within(sentences, most)
    assert word_count(text) <= most
    words = [text for _, text in sentences]
    if word_count(" ".join(words)) <= most:
        assert text == " ".join(words)
