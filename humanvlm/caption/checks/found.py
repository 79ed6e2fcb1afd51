"""What a caption was found to claim, before it is held against anything."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Reference:
    """Whom a clause is about: a gender and a third of the picture, each empty where not said; several: they.

    every: what is said is said of each of them.
    """

    gender: str = ""
    position: str = ""
    several: bool = False
    every: bool = False


NOBODY = Reference(position="nowhere")


@dataclass(frozen=True)
class Found:
    """A claim at [start, end). about: of what it is said (a garment's region, an object, background); who: of whom.

    count: of objects, as in the lexicon: 2, 3+. negated: it is said not to be so.
    """

    start: int
    end: int
    kind: str
    value: str
    about: str = ""
    who: Reference = Reference()
    count: str = ""
    negated: bool = False
