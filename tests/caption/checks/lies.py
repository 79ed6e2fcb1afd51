"""Fact sheets made from a seed, true captions of them in many wordings, and lies of every kind told about them."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random

import yaml

from humanvlm.caption.template.english import article, counted, join, number, plural
from humanvlm.data.facts import NONE, Facts, Garment, Guess, Person, Thing

COLOURS = ("black", "white", "red", "green", "blue", "yellow", "pink", "brown", "purple", "orange", "grey")
FAR = {
    "black": "yellow", "white": "red", "red": "green", "green": "pink", "blue": "yellow", "yellow": "purple",
    "pink": "green", "brown": "blue", "purple": "yellow", "orange": "blue", "grey": "red",
}  # fmt: skip
UPPER = ("shirt", "jacket", "sweater", "suit", "dress", "t-shirt", "coat")
THINGS = ("dog", "bicycle", "car", "umbrella", "chair", "horse", "boat", "bench", "guitar", "cup", "laptop", "bus")
HEDGES = ("", "appears to be ", "seems to be ")
SETTINGS = ("on a street", "in a park", "on a beach", "in front of a palace", "in a kitchen", "by a lake")
TEXTS: Mapping[str, Sequence[str]] = yaml.safe_load(Path(__file__).with_name("lies.yaml").read_text(encoding="utf-8"))
ECHO = "Write one short caption of at most seventy words in plain English from the facts about the picture given below."
PLACES = {"left": "on the left", "centre": "in the middle", "right": "on the right"}


def sheet(seed: int) -> Facts:
    """A fact sheet of one to three people, everybody described."""
    random = Random(seed)
    count = random.choice((1, 1, 2, 2, 3))
    places = random.sample(("left", "centre", "right"), count)
    people = tuple(_person(random, place, index) for index, place in enumerate(sorted(places)))
    things = random.sample(THINGS, random.randint(0, 2))
    return Facts(
        width=600,
        height=400,
        people_count=count,
        people=people,
        light=random.choice(("dim", "bright", "even")),
        contrast="medium",
        monochrome=False,
        objects=tuple(Thing(name, random.randint(1, 3), "left", 0.9, "ssd") for name in things),
        setting=Guess(random.choice(SETTINGS), 0.8, "imagenet"),
        background=(Guess(random.choice(COLOURS), 0.8, "colour"),),
    )


def _person(random: Random, place: str, index: int) -> Person:
    gender = random.choice(("female", "male"))
    colour = Guess(random.choice(COLOURS), 0.9, "colour")
    return Person(
        box=(200.0 * index, 50, 200.0 * index + 150, 400),
        face=(200.0 * index + 50, 60, 200.0 * index + 90, 110),
        position=place,
        shot="half-length",
        gender=Guess(gender, 0.9, "gender"),
        stage=Guess(random.choice(("young adult", "middle-aged", "older")), 0.9, "age"),
        expression=Guess(random.choice(("happy", "neutral")), 0.9, "expression"),
        hair=Guess(random.choice(("black", "brown", "blond", "grey")), 0.9, "colour"),
        headwear=Guess(random.choice((NONE, NONE, "hat", "cap")), 0.9, "imagenet"),
        eyewear=Guess(random.choice((NONE, NONE, "glasses", "sunglasses")), 0.9, "imagenet"),
        beard=Guess(random.choice((NONE, "beard")) if gender == "male" else NONE, 0.9, "colour"),
        garments=(Garment("upper", (colour,), Guess(random.choice(UPPER), 0.9, "imagenet")),),
        pose=Guess(random.choice(("standing", "sitting")), 0.9, "geometry"),
    )  # fmt: skip


def noun(person: Person) -> str:
    return {"female": "woman", "male": "man"}[person.gender.value if person.gender else ""]


def true_caption(facts: Facts, random: Random) -> str:
    """One to five sentences that say what the sheet says, in words of their own."""
    said = [random.choice((_opening, _group))(facts, random)]
    for person in facts.people:
        said += random.sample([_dressed(person, random), _looks(person, random), _stands(person, random)], 2)
    said += random.sample(_around(facts, random), 2)
    return " ".join(text for text in said if text)


def _opening(facts: Facts, random: Random) -> str:
    words = "person" if facts.people_count == 1 else "people"
    shows = random.choice(("The photograph shows", "There are" if facts.people_count > 1 else "We see"))
    return f"{shows} {number(facts.people_count)} {words}."


def _group(facts: Facts, random: Random) -> str:
    who = join([article(noun(person)) for person in facts.people])
    verb = "is" if facts.people_count == 1 else "are"
    setting = facts.setting.value if facts.setting else "here"
    return f"{who[0].upper()}{who[1:]} {verb} {random.choice(('pictured', 'shown', 'seen'))} {setting}."


def _named(person: Person) -> str:
    return f"The {noun(person)} {PLACES[person.position]}"


def _dressed(person: Person, random: Random) -> str:
    garment = person.garments[0]
    kind = garment.kind.value if garment.kind else "clothes"
    wears = random.choice(("wears", "is wearing", "is dressed in"))
    return f"{_named(person)} {wears} {article(f'{garment.colours[0].value} {kind}')}."


def _looks(person: Person, random: Random) -> str:
    parts = [f"has {person.hair.value} hair"] if person.hair and random.random() < 0.7 else []
    for guess in (person.headwear, person.eyewear):
        if guess and guess.value != NONE:
            parts.append(f"wears {guess.value if guess.value.endswith('s') else article(guess.value)}")
    if person.beard and person.beard.value != NONE:
        parts.append("has a beard")
    if person.expression and person.expression.value == "happy":
        parts.append(random.choice(("is smiling", "has a smile", "looks happy")))
    return f"{_named(person)} {join(parts)}." if parts else ""


def _stands(person: Person, random: Random) -> str:
    age = {"young adult": "young", "middle-aged": "middle-aged", "older": "older"}[
        person.stage.value if person.stage else ""
    ]
    pose = person.pose.value if person.pose else ""
    return f"{_named(person)} {random.choice(HEDGES) or 'is '}{age} and is {pose}."


def _around(facts: Facts, random: Random) -> list[str]:
    things = [counted(thing.count, thing.label) for thing in facts.objects]
    seen = f"{join(things)} can be seen nearby." if things else ""
    return [
        f"The background is {random.choice(('mostly', 'mainly', 'largely'))} {facts.background[0].value}.",
        f"{seen[:1].upper()}{seen[1:]}",
        f"The light is {facts.light}.",
    ]


def _beside(text: str, lie: str, random: Random) -> str:
    """The lie before, after, or instead of the truth."""
    return random.choice((f"{lie} {text}", f"{text} {lie}", lie))


Lie = Callable[[Facts, str, Random], str]


def _people(facts: Facts, text: str, random: Random) -> str:
    wrong = random.choice([count for count in range(1, 9) if count != facts.people_count])
    who = "person" if wrong == 1 else "people"
    return _beside(text, f"{number(wrong).capitalize()} {who} {'is' if wrong == 1 else 'are'} in the picture.", random)


def _crowd(facts: Facts, text: str, random: Random) -> str:
    return _beside(
        text,
        random.choice(("A crowd of people gathers here.", "Dozens of people are there.", "A crowd fills the scene.")),
        random,
    )


def _swapped(facts: Facts, text: str, random: Random) -> str:
    person = random.choice(facts.people)
    other = {"woman": "man", "man": "woman"}[noun(person)]
    alone = all(noun(one) == noun(person) for one in facts.people)
    return _beside(
        text,
        f"{article(other).capitalize()} is looking on."
        if alone
        else f"The {other} {PLACES[person.position]} is looking on.",
        random,
    )


def _garment_colour(facts: Facts, text: str, random: Random) -> str:
    person = random.choice(facts.people)
    garment = person.garments[0]
    kind = garment.kind.value if garment.kind else "clothes"
    return _beside(text, f"{_named(person)} wears {article(f'{FAR[garment.colours[0].value]} {kind}')}.", random)


def _hair_colour(facts: Facts, text: str, random: Random) -> str:
    person = random.choice(facts.people)
    wrong = random.choice(
        [c for c in ("black", "brown", "blond", "red", "grey") if not person.hair or c != person.hair.value]
    )
    return _beside(
        text,
        random.choice((f"{_named(person)} has {wrong} hair.", f"{_named(person)} has long {wrong} hair.")),
        random,
    )


def _background_colour(facts: Facts, text: str, random: Random) -> str:
    wrong = FAR[facts.background[0].value]
    return _beside(
        text,
        random.choice((f"The background is mostly {wrong}.", f"They are seen against {article(wrong)} background.")),
        random,
    )


def _object(facts: Facts, text: str, random: Random) -> str:
    thing = random.choice(TEXTS["invented"])
    sentences = (
        f"{article(thing).capitalize()} stands nearby.", f"In the background there is {article(thing)}.",
        f"Two {plural(thing)} can be seen.", f"One of them holds {article(thing)}.",
    )  # fmt: skip
    inside = f"{text[:-1]}, with {article(thing)} nearby."
    return random.choice((inside, _beside(text, random.choice(sentences), random)))


def _object_count(facts: Facts, text: str, random: Random) -> str:
    if not facts.objects:
        return _object(facts, text, random)
    thing = random.choice(facts.objects)
    wrong = random.choice([count for count in range(2, 8) if count != thing.count])
    return _beside(text, f"{number(wrong).capitalize()} {plural(thing.label)} are nearby.", random)


def _garment(facts: Facts, text: str, random: Random) -> str:
    person = random.choice(facts.people)
    worn = person.garments[0].kind
    wrong = random.choice([kind for kind in (*UPPER, "skirt", "kimono", "apron") if not worn or kind != worn.value])
    return _beside(text, f"{_named(person)} is wearing {article(wrong)}.", random)


def _worn(facts: Facts, text: str, random: Random) -> str:
    person = random.choice(facts.people)
    wrong = [
        words
        for guess, words in (
            (person.headwear, "wears a helmet"),
            (person.eyewear, "wears goggles"),
            (person.beard, "has a moustache"),
            (person.headwear if person.headwear and person.headwear.value == NONE else None, "wears a hat"),
        )
        if guess
    ]
    return _beside(text, f"{_named(person)} {random.choice(wrong)}.", random)


def _name(facts: Facts, text: str, random: Random) -> str:
    person, name = random.choice(facts.people), random.choice(TEXTS["names"])
    lie = random.choice(
        (
            f"{name} is {PLACES[person.position]}.",
            f"The {noun(person)} is {name}.",
            f"{article(noun(person)).capitalize()} named {name} is here.",
        )
    )
    return _beside(text, lie, random)


def _sensitive(kind: str) -> Lie:
    def lie(facts: Facts, text: str, random: Random) -> str:
        person = random.choice(facts.people)
        return _beside(text, random.choice(TEXTS[kind]).format(who=_named(person), noun=noun(person)), random)

    return lie


def _instead(kind: str) -> Lie:
    return lambda facts, text, random: _beside(text, random.choice(TEXTS[kind]), random)


def _around_caption(kind: str) -> Lie:
    return lambda facts, text, random: random.choice(TEXTS[kind]).format(text)


def _repetition(facts: Facts, text: str, random: Random) -> str:
    first = text.split(". ")[0].rstrip(".")
    return random.choice((f"{text} {text}", f"{text[:-1]} and a dog and a dog and a dog.", f"{text} {first}."))


def _too_long(facts: Facts, text: str, random: Random) -> str:
    return " ".join([text, *(true_caption(facts, Random(seed)) for seed in range(30))])


def _cut_off(facts: Facts, text: str, random: Random) -> str:
    return f"{text} {random.choice(('The person wears a', 'In the background there is', 'On the left,', 'She is'))}"


def _json(facts: Facts, text: str, random: Random) -> str:
    whole = json.dumps({"caption": text, "people": facts.people_count})
    return random.choice(
        (whole, whole[:-1], f"```json\n{whole}\n```", f'"caption": "{text}"', json.dumps([text]), f'{text}"}}')
    )


def _markdown(facts: Facts, text: str, random: Random) -> str:
    return random.choice(
        (
            f"**{text}**",
            f"# Caption\n{text}",
            f"- {text}\n- {text}",
            f"| caption |\n|---|\n| {text} |",
            f"`{text}`",
            f"1. {text}",
            f"*{text}*",
        )
    )


KINDS: Mapping[str, Lie] = {
    "people": _people,
    "crowd": _crowd,
    "gender": _swapped,
    "garment colour": _garment_colour,
    "hair colour": _hair_colour,
    "background colour": _background_colour,
    "object": _object,
    "object count": _object_count,
    "garment": _garment,
    "hat, glasses, beard": _worn,
    "name": _name,
    **{kind: _sensitive(kind) for kind in ("ethnicity", "religion", "health", "sexuality")},
    **{kind: _around_caption(kind) for kind in ("thought", "boilerplate")},
    **{kind: _instead(kind) for kind in ("refusal", "language")},
    "JSON": _json,
    "markdown": _markdown,
    "echo": lambda facts, text, random: _beside(text, ECHO, random),
    "repetition": _repetition,
    "too long": _too_long,
    "cut off": _cut_off,
}  # fmt: skip
