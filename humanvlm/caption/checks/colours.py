"""Whether a colour that is told is one that was measured."""

from collections.abc import Sequence

from humanvlm.caption.checks.lexicon import word_lists
from humanvlm.caption.facts.colour import FAMILIES
from humanvlm.data.facts import Guess

Answer = tuple[str, bool]  # what supports it, or ''; whether a fact says otherwise
UNKNOWN: Answer = ("", False)

NEAR = frozenset(frozenset(pair.split("/")) for pair in word_lists()["near"])
HAIR_SHADES = {"dark": ("black", "brown"), "fair": ("blond", "grey")}
HAIR = {"white": "grey", "yellow": "blond", "beige": "blond", "orange": "red", "dark red": "red"}
LEAST_SHARE = 0.15  # of a region, for a colour of it


def family(colour: str) -> str:
    return FAMILIES.get(colour, colour)


def shares(claimed: str, colours: Sequence[Guess]) -> Answer:
    """A colour among those of a region; a shade is its family's, and to mix up two that are near is no lie."""
    own = [guess for guess in colours if guess.probability >= LEAST_SHARE]
    if claimed == "multi":
        return ("colour" if len({family(guess.value) for guess in own}) > 2 else ""), False
    for guess in own:
        if family(guess.value) == family(claimed):
            return guess.source or "colour", False
    far = all(frozenset((family(guess.value), family(claimed))) not in NEAR for guess in own)
    return "", bool(own) and far
