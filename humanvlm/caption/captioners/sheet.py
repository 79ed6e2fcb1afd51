"""Facts as compact plain words for a model to write from. Words of others are quoted as data, and none of them steers.

Text that was read in a picture, or that the web says of it, is anybody's: a line of it may be worded as an instruction,
or hold the marks with which a chat template ends a turn. So it stands on lines of its own that begin with ``>``,
without any mark, cut short; and a text that talks to whoever reads it is left out.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence

from humanvlm.data.facts import NONE, Facts, Garment, Guess, Person, Thing

CERTAIN, PROBABLE = 0.9, 0.75  # probabilities from which a fact is said without a hedge, and with "probably"
LEAST_SHARE = 0.2  # of a region that a colour covers, to be named
MOST_TEXTS, MOST_CHARACTERS = 3, 200  # that are quoted, and of each
MARKS = re.compile(r"[<>{}\[\]|`◁▷#*\\]+")
STEERING = re.compile(
    r"\b(?:ignore|disregard|forget|override|bypass)\b.{0,40}\b(?:instruction|prompt|rule|above|previous|prior|earlier|"
    r"everything|facts?|before)"
    r"|\b(?:system|developer|assistant|user)\s*(?:prompt|message|:)"
    r"|\b(?:you are|you're) (?:now|an?) |\bact as\b|\bpretend\b|\bnew (?:instructions?|task|rules?)\b|\bjailbreak"
    r"|\b(?:as an ai|language model|chatgpt|claude|llama)\b"
    r"|\b(?:respond|reply|answer|output|say|write|print|repeat|describe|caption|return)\b.{0,20}\b(?:only|with|exactly|"
    r"instead|that|this|the following|the words?|as)\b"
    r"|\bdo not (?:describe|mention|follow|write|caption)\b",
    re.IGNORECASE | re.DOTALL,
)
FEATURES = (
    ("facing", "facing {}"),
    ("head", "head {}"),
    ("gender", "apparent gender: {}"),
    ("age", "apparent age: {}"),
    ("stage", "apparent stage of life: {}"),
    ("expression", "expression: {}"),
    ("mouth", "mouth {}"),
    ("eyes", "eyes {}"),
    ("hair", "hair: {}"),
    ("hair_length", "hair length: {}"),
    ("headwear", "on the head: {}"),
    ("headwear_colour", "its colour: {}"),
    ("eyewear", "on the eyes: {}"),
    ("beard", "beard: {}"),
    ("pose", "{}"),
    ("arms", "{}"),
    ("activity", "{}"),
)


def fact_sheet(facts: Facts, least: float, texts: Sequence[str] = ()) -> str:
    """A line each for the picture, every person, objects, relations, surroundings, and quoted words.

    least: guesses below that probability are left out. texts: of the index on the picture.
    """
    lines = [
        f"people: {facts.people_count}",
        *(_person(number, person, least) for number, person in enumerate(facts.people, 1)),
        _line("objects", [_thing(thing) for thing in facts.objects if thing.probability >= least]),
        _line("relations", _relations(facts, least)),
        _line("place", _said([facts.place, facts.setting], least)),
        "black-and-white picture" if facts.monochrome else _line("background colours", _colours(facts.background)),
        f"light: {facts.light}, contrast: {facts.contrast}",
        _quoted(
            "words that are legible in the picture", [guess.value for guess in facts.text if guess.probability >= least]
        ),
        _quoted("words of the web about it", texts),
    ]
    return "\n".join(line for line in lines if line)


def quote(text: str) -> str:
    """A text of others as one short line without marks; '' for one that talks to whoever reads it."""
    plain = unicodedata.normalize("NFKC", text)
    plain = "".join(" " if unicodedata.category(letter)[0] in "CZ" else letter for letter in plain)
    plain = " ".join(MARKS.sub(" ", plain).split())
    return "" if STEERING.search(plain) else plain[:MOST_CHARACTERS]


def _quoted(name: str, texts: Iterable[str]) -> str:
    kept = [line for text in texts if (line := quote(text))][:MOST_TEXTS]
    return "\n".join([f"{name}:", *(f"> {line}" for line in kept)]) if kept else ""


def _line(name: str, parts: Sequence[str]) -> str:
    return f"{name}: {'; '.join(parts)}" if parts else ""


def _hedged(guess: Guess) -> str:
    if guess.probability >= CERTAIN:
        return guess.value
    return f"{'probably' if guess.probability >= PROBABLE else 'perhaps'} {guess.value}"


def _said(guesses: Iterable[Guess | None], least: float) -> list[str]:
    return [_hedged(guess) for guess in guesses if guess and guess.probability >= least and guess.value != NONE]


def _person(number: int, person: Person, least: float) -> str:
    parts = [f"{person.position} of the picture", person.shot]
    for name, words in FEATURES:
        parts += [words.format(value) for value in _said([getattr(person, name)], least)]
    parts += [text for garment in person.garments if (text := _garment(garment, least))]
    if worn := _said(person.accessories, least):
        parts.append(f"with {', '.join(worn)}")
    if other := _said(person.attributes, least):
        parts.append(f"also {', '.join(value.replace('_', ' ').lower() for value in other)}")
    return f"person {number}: {'; '.join(parts)}"


def _garment(garment: Garment, least: float) -> str:
    region = {"upper": "upper body", "lower": "lower body", "whole": "whole body"}.get(garment.region, garment.region)
    parts = [*_said([garment.length], least), *_colours(garment.colours), *_said([garment.kind], least)]
    return f"on the {region}: {' '.join(parts)}" if parts else ""


def _colours(shares: Sequence[Guess]) -> list[str]:
    named = [share.value for share in shares[:2] if share.probability >= LEAST_SHARE]
    return [" and ".join(named)] if named else []


def _thing(thing: Thing) -> str:
    hedged = _hedged(Guess(thing.label, thing.probability))
    return f"{thing.count} {hedged}" + (f" ({thing.position})" if thing.position else "")


def _relations(facts: Facts, least: float) -> list[str]:
    found = []
    for relation in facts.relations:
        if relation.probability >= least and relation.person < len(facts.people):
            other = relation.label or (f"person {relation.other + 1}" if relation.other is not None else "")
            if other:
                found.append(
                    f"person {relation.person + 1} {_hedged(Guess(relation.predicate, relation.probability))} {other}"
                )
    return found
