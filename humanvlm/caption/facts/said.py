"""What a text of the index names of the scene, and how far it is believed.

A text is a claim, not a measurement: a noun counts by how it stands in the text and by whether the label network sees
anything like it (Bayes' rule on odds).
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
import numpy.typing as npt
import yaml

from humanvlm.caption.facts.labels import numbers_of, vocabulary

WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*|\d+|[^\w\s]")
MOST_WORDS = 200  # of one text; what comes after is not read
RANK = 20  # a label among so many likeliest ones agrees with a noun that it stands for
LOCATED, MENTIONED = 0.85, 0.6  # how often what a text says to be somewhere, or only names, is in the picture: assumed
AGREES_IF_TRUE, AGREES_IF_FALSE = 0.73, 0.14  # a label agrees: measured with captions of 224 photographs, of others
PREPOSITION = re.compile(
    "in|on|at|by|near|behind|beside|under|inside|outside|along|through|across|against|around|over|into|onto|before|of"
)
CONNECTIVE = re.compile("and|or|with|while|as|to|for|from|is|are|was|who|that|which|during|next")
NEGATION = re.compile("no|not|without|never")


@dataclass(frozen=True)
class Noun:
    """A noun that is known: how a caption says it as a place, or that it is a thing; and the labels that agree.

    surface: what colour and texture may tell of it (``surface.surfaces``). where: indoors, outdoors or empty.
    """

    name: str
    say: str
    labels: tuple[int, ...]
    thing: bool
    surface: str = ""
    where: str = ""


@dataclass(frozen=True)
class Said:
    """A noun in a text. located: it stands after a preposition of place. before: ``in front of`` it."""

    noun: Noun
    located: bool
    before: bool = False


@cache
def lexicon() -> dict[tuple[str, ...], Noun]:
    """Nouns by the words they are written with, one to three of them, in lower case."""
    found: dict[tuple[str, ...], Noun] = {}
    for word, labels in vocabulary()["objects"].items():
        noun = Noun(word, f"in front of {'an' if word[0] in 'aeiou' else 'a'} {word}", tuple(labels.tolist()), True)
        found[tuple(word.lower().split())] = noun
    text = files("humanvlm.caption.facts").joinpath("said.yaml").read_text(encoding="utf-8")
    for word, entry in yaml.safe_load(text).items():
        agreeing = tuple(numbers_of(entry["agrees"]))
        noun = Noun(word, entry["say"], agreeing, False, entry.get("surface", ""), entry.get("where", ""))
        for written in (word, *entry.get("also", ())):
            found[tuple(written.split())] = noun
    return found


def named(texts: Iterable[str]) -> list[Said]:
    """The known nouns that texts name, in their order, each once, at its most telling place."""
    found: dict[str, Said] = {}
    for text in texts:
        for said in _in_text([word.lower() for word in WORD.findall(text)[:MOST_WORDS]]):
            known = found.get(said.noun.name)
            if known is None or (said.located, said.before) > (known.located, known.before):
                found[said.noun.name] = said
    return list(found.values())


def _in_text(words: Sequence[str]) -> Iterable[Said]:
    place = 0
    while place < len(words):
        for length in (3, 2, 1):
            noun = _noun(tuple(words[place : place + length]))
            if (
                noun
                and _ends(words, place + length)
                and not any(map(NEGATION.fullmatch, words[max(place - 3, 0) : place]))
            ):
                yield _placed(noun, words[max(place - 5, 0) : place])
                place += length - 1
                break
        place += 1


def _noun(words: tuple[str, ...]) -> Noun | None:
    known = lexicon()
    *first, last = words or ("",)
    for ending in (last, last.removesuffix("s"), last.removesuffix("es")):
        if (noun := known.get((*first, ending))) is not None:
            return noun
    return None


def _ends(words: Sequence[str], place: int) -> bool:
    """Whether a noun that ends before ``place`` is whole: a dog's leash and a mountain bike are other things."""
    if place >= len(words):
        return True
    after = words[place]
    if PREPOSITION.fullmatch(after) or CONNECTIVE.fullmatch(after):
        return True
    return after.endswith(("ing", "ed")) or (not after[0].isalnum() and after not in "'’-&/")


def _placed(noun: Noun, left: Sequence[str]) -> Said:
    """How the noun stands after up to five words."""
    for back, word in enumerate(reversed(left)):
        if not word[0].isalpha():
            break
        if word == "of":
            if tuple(left[-back - 3 : len(left) - back]) == ("in", "front", "of"):
                return Said(noun, located=True, before=True)
            break
        if PREPOSITION.fullmatch(word):
            return Said(noun, located=True, before=word in ("before", "outside"))
    return Said(noun, located=False)


def belief(said: Said, probabilities: npt.NDArray[np.float32], seen: bool = False) -> float:
    """Probability that what is said is in the picture. probabilities: [1000] of ImageNet's labels; seen: something
    else that was measured agrees.
    """
    prior = LOCATED if said.located else MENTIONED
    top = np.argsort(-probabilities)[:RANK]
    agrees = seen or bool(np.isin(top, said.noun.labels).any())
    likelihood = AGREES_IF_TRUE / AGREES_IF_FALSE if agrees else (1 - AGREES_IF_TRUE) / (1 - AGREES_IF_FALSE)
    odds = prior / (1 - prior) * likelihood
    return round(odds / (1 + odds), 3)


def phrase(said: Said) -> str:
    """The noun as a place, a phrase that follows "is"."""
    return (
        f"in front of {'an' if said.noun.name[0] in 'aeiou' else 'a'} {said.noun.name}"
        if said.before
        else said.noun.say
    )
