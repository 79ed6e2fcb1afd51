"""Facts: what was measured in a picture, each with its probability and what measured it. Plain data that goes to JSON
and back.

What was not looked for, or not seen well enough to tell, is None or empty: unknown. What was looked for and is not
there is a guess with the value ``NONE``.
"""

import json
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import TypeAdapter

NONE = "none"  # looked for, and absent: no hat, no glasses, no beard


@dataclass(frozen=True)
class Guess:
    """An estimate and its probability, 0..1. For colours: the share of the region that has it.

    source: what says so: an entry of models.yaml, ``geometry`` (of boxes and points), ``colour``, ``text`` (the index).
    """

    value: str
    probability: float
    source: str = ""


def sure(guess: Guess | None, least: float) -> str:
    """The guess's value when it is probable enough to be used, else an empty string."""
    return guess.value if guess and guess.probability >= least else ""


@dataclass(frozen=True)
class Garment:
    """What is worn on one part of the body, by its colours within the person's mask, largest share first."""

    region: str  # upper, lower, whole (dress, gown, overalls), feet
    colours: tuple[Guess, ...] = ()
    kind: Guess | None = None  # suit, skirt, jeans
    length: Guess | None = None  # upper: sleeveless, short-sleeved, long-sleeved; lower: short, long


@dataclass(frozen=True)
class Person:
    """One person. Boxes are xyxy pixels; left and right are the picture's."""

    box: tuple[float, ...]
    face: tuple[float, ...] | None
    position: str  # left, centre or right third of the picture
    shot: str  # close-up, half-length, full-length, distant; partial: no face and no feet
    size: float = 0.0  # share of the picture that the box covers
    facing: Guess | None = None  # camera, left, right, away
    head: Guess | None = None  # tilted left, tilted right, raised, lowered, upright
    gender: Guess | None = None  # apparent: female, male
    age: Guess | None = None  # apparent: a decade, such as 20s
    stage: Guess | None = None  # apparent: child, teenager, young adult, middle-aged, older
    expression: Guess | None = None
    mouth: Guess | None = None  # open, closed
    eyes: Guess | None = None  # open, closed
    hair: Guess | None = None  # black, brown, blond, grey, red, dyed; a colour only where hair was seen
    hair_length: Guess | None = None  # bald, short, long
    headwear: Guess | None = None  # hat, cap, helmet, headscarf, ...; NONE
    headwear_colour: Guess | None = None
    eyewear: Guess | None = None  # glasses, sunglasses; NONE
    beard: Guess | None = None  # beard, moustache; NONE
    garments: tuple[Garment, ...] = ()
    accessories: tuple[Guess, ...] = ()  # tie, backpack, handbag, necklace
    pose: Guess | None = None  # standing, sitting, lying, kneeling, crouching, walking
    arms: Guess | None = None  # one arm raised, both arms raised, arms crossed
    activity: Guess | None = None  # a phrase that follows "is": riding a bicycle, holding an umbrella
    attributes: tuple[Guess, ...] = ()  # of a classifier of CelebA's 40, by their names there, where one is configured

    def garment(self, region: str) -> Garment | None:
        """The garment of a region, if one was seen."""
        for garment in self.garments:
            if garment.region == region:
                return garment
        return None


@dataclass(frozen=True)
class Thing:
    """Objects of one kind: how many, where the surest one is, and its probability. box: None where only named."""

    label: str
    count: int
    position: str
    probability: float
    source: str = ""
    box: tuple[float, ...] | None = None
    colour: Guess | None = None  # of the surest one


@dataclass(frozen=True)
class Relation:
    """How a person (by its place in ``Facts.people``) stands to an object's label, or to another person.

    predicate: left of, right of, behind, in front of, on, under, beside, riding, holding.
    """

    person: int
    predicate: str
    probability: float
    label: str = ""
    other: int | None = None
    source: str = ""


@dataclass(frozen=True)
class Facts:
    """Everything measured in one picture. ``people`` are the most prominent ones; ``people_count`` counts all."""

    width: int
    height: int
    people_count: int
    people: tuple[Person, ...]
    light: str  # dim, bright or even
    contrast: str  # low, medium or high
    monochrome: bool
    objects: tuple[Thing, ...] = ()
    relations: tuple[Relation, ...] = ()
    place: Guess | None = None  # indoors, outdoors
    setting: Guess | None = None  # a phrase that follows "is": in front of a palace, on a beach
    background: tuple[Guess, ...] = ()  # colours behind the people, largest share first
    text: tuple[Guess, ...] = ()  # legible words, as they are written

    def to_json(self) -> str:
        """Compact JSON with keys in the order of the fields."""
        return json.dumps(asdict(self), ensure_ascii=False, separators=(",", ":"), allow_nan=False)


@cache
def _reader() -> "TypeAdapter[Facts]":
    from pydantic import TypeAdapter

    return TypeAdapter(Facts)


def facts_from_json(text: str) -> Facts:
    """The inverse of ``Facts.to_json``; fields that a text lacks have their defaults. Raises ValueError for another."""
    return _reader().validate_json(text)
