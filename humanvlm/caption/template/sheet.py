"""Facts as far as they may be written: above a threshold, in words, with a seeded choice between wordings."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from humanvlm.caption.facts.colour import FAMILIES
from humanvlm.caption.template.words import MERGED_NAMES, NOUNS, PRONOUNS, Pronouns
from humanvlm.data.facts import NONE, Facts, Guess, Person


class Clause(NamedTuple):
    """A predicate in the singular, in the plural, and as a free phrase: wears a hat, wear a hat, wearing a hat."""

    one: str
    many: str
    free: str


def being(phrase: str) -> Clause:
    """Is at the desk, are at the desk, at the desk."""
    return Clause(f"is {phrase}", f"are {phrase}", phrase)


def having(phrase: str) -> Clause:
    """Has a beard, have a beard, with a beard."""
    return Clause(f"has {phrase}", f"have {phrase}", f"with {phrase}")


def wearing(phrase: str) -> Clause:
    """Wears a hat, wear a hat, wearing a hat."""
    return Clause(f"wears {phrase}", f"wear {phrase}", f"wearing {phrase}")


@dataclass(frozen=True)
class Sheet:
    """A picture's facts, the least probability of what is written, and the choices. fine: with sizes and shades."""

    facts: Facts
    random: Random
    least: float
    fine: bool = False

    def sure(self, guess: Guess | None) -> str:
        """The guess's value when it is probable enough and something is there, else an empty string."""
        return guess.value if guess and guess.probability >= self.least and guess.value != NONE else ""

    def absent(self, guess: Guess | None) -> bool:
        """Whether it was looked for and is, probably enough, not there."""
        return guess is not None and guess.value == NONE and guess.probability >= self.least

    def pick(self, *phrases: str) -> str:
        return phrases[int(self.random.random() * len(phrases))]

    def one_of(self, clauses: Sequence[tuple[str, str, str]]) -> Clause:
        return Clause(*clauses[int(self.random.random() * len(clauses))])

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def noun(self, person: Person) -> str:
        """Woman, man, girl, boy, child, teenager or person, as far as probable."""
        stage, gender = self.sure(person.stage), self.sure(person.gender)
        return NOUNS.get((stage, gender)) or NOUNS.get(("", gender), "person")

    def pronouns(self, person: Person) -> Pronouns:
        return PRONOUNS.get(self.sure(person.gender), PRONOUNS[""])

    def colours(self, shares: Sequence[Guess]) -> str:
        """The colour that covers ``least`` of a region, or the two that do together; shades of one colour are one.

        Empty in a picture without colours, and when no one or two cover enough.
        """
        if not shares or self.facts.monochrome:
            return ""
        if shares[0].probability >= self.least:
            return shares[0].value
        if len(shares) > 1 and shares[0].probability + shares[1].probability >= self.least <= 1:
            first, second = shares[0].value, shares[1].value
            if shares[1].probability < 0.2:
                return ""
            family = FAMILIES.get(first, first)
            return family if family == FAMILIES.get(second, second) else f"{first} and {second}"
        return ""

    def shade(self, shares: Sequence[Guess]) -> str:
        """With some white: the second colour beside one that says enough alone; empty unless ``fine``."""
        if not self.fine or len(shares) < 2 or self.colours(shares) != shares[0].value or shares[1].probability < 0.15:
            return ""
        first, second = shares[0].value, shares[1].value
        return "" if FAMILIES.get(first, first) == FAMILIES.get(second, second) else f"with some {second}"

    def share_of(self, box: Sequence[float]) -> float:
        """The share of the picture that an xyxy px box covers."""
        return (box[2] - box[0]) * (box[3] - box[1]) / (self.facts.width * self.facts.height)

    def tinted(self, guess: Guess | None) -> str:
        """A colour that is one guess: of hair, of a hat."""
        return "" if self.facts.monochrome else self.sure(guess)


def called(label: str) -> str:
    """A detector's label as people say it."""
    return MERGED_NAMES.get(label, label)


EXTENTS = (
    (0.75, "most of the picture"),
    (0.55, "more than half of the picture"),
    (0.45, "about half of the picture"),
    (0.29, "about a third of the picture"),
    (0.21, "about a quarter of the picture"),
    (0.08, "a small part of the picture"),
    (0.0, "only a tiny part of the picture"),
)


def extent(share: float) -> str:
    """How much of the picture a box takes up, in words; empty when it is not known."""
    return next(words for least, words in EXTENTS if share >= least) if share > 0 else ""
