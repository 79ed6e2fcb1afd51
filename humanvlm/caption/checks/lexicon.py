"""Words and phrases that claim something, by what they claim."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

import yaml

from humanvlm.caption.checks.nouns import nouns
from humanvlm.caption.checks.tokens import Token, tokens
from humanvlm.caption.template.english import plural

# Kinds whose words are nouns: their plurals are the same claim.
NOUNS = frozenset(
    ["person", "hair", "garment", "eyewear", "headwear", "beard", "accessory", "scenery", "thing", "neutral"]
)
GRAMMAR = (
    "determiners",
    "copula",
    "wearing",
    "function",
    "other",
    "partial",
    "adjectives",
)  # lists of words that are no nouns
NUMBERS = {str(count) for count in range(13)}


@dataclass(frozen=True, slots=True)
class Term:
    """What a phrase says. kind: a section of lexicon.yaml, ``noun`` of WordNet; several: it is a plural."""

    kind: str
    value: str
    several: bool = False


@dataclass(frozen=True, slots=True)
class Item:
    """A term at [first, last) of the tokens."""

    first: int
    last: int
    term: Term


Phrase = tuple[tuple[str, ...], Term]


@dataclass(frozen=True)
class Lexicon:
    """words: of one word -> its term. phrases: first two words -> phrases, longest first. grammar: of lists.yaml."""

    words: Mapping[str, Term]
    phrases: Mapping[tuple[str, str], Sequence[Phrase]]
    grammar: frozenset[str]


@cache
def lexicon() -> Lexicon:
    """The file lexicon.yaml; of two meanings of the same words the first in it."""
    path = files("humanvlm.caption.checks").joinpath("words/lexicon.yaml")
    sections: Mapping[str, Mapping[str, Any]] = yaml.safe_load(path.read_text(encoding="utf-8"))
    found: dict[tuple[str, ...], Term] = {}
    for kind, values in sections.items():
        for value, listed in values.items():
            for phrase in str(listed).split(","):
                name = phrase.strip() if kind in ("scenery", "neutral") else str(value)
                found.setdefault(_words(phrase), Term(kind, name))
                if kind in NOUNS:
                    found.setdefault(_words(plural(phrase.strip())), Term(kind, name, several=True))
    phrases: dict[tuple[str, str], list[Phrase]] = {}
    for words, term in found.items():
        if len(words) > 1:
            phrases.setdefault((words[0], words[1]), []).append((words, term))
    ordered = {pair: sorted(entries, key=lambda entry: -len(entry[0])) for pair, entries in phrases.items()}
    grammar = frozenset[str]().union(*(words for name, words in word_lists().items() if name in GRAMMAR))
    return Lexicon({words[0]: term for words, term in found.items() if len(words) == 1}, ordered, grammar)


@cache
def word_lists() -> Mapping[str, frozenset[str]]:
    """The lists of lists.yaml by name."""
    path = files("humanvlm.caption.checks").joinpath("words/lists.yaml")
    return {name: frozenset(words.split()) for name, words in yaml.safe_load(path.read_text(encoding="utf-8")).items()}


def _words(phrase: str) -> tuple[str, ...]:
    return tuple(token.lower for token in tokens(phrase))


def items(words: Sequence[Token], first: int, last: int) -> list[Item]:
    """The terms of a sentence [first, last) of the tokens, and each other token as a term of kind ``other``."""
    lower = [word.lower for word in words[first:last]]
    found: list[Item] = []
    place = 0
    while place < len(lower):
        size, term = _match(lower, place)
        if term.kind == "activity" and found and found[-1].term.kind == "number" and lower[place].endswith("s"):
            term = Term("thing", noun.value, several=True) if (noun := _noun(lower[place])) else term  # two swings
        found.append(Item(first + place, first + place + size, term))
        place += size
    return found


def _match(lower: Sequence[str], place: int) -> tuple[int, Term]:
    """The longest term at a place, and its number of words."""
    known, table = lexicon(), nouns()
    if place + 1 < len(lower):
        pair = lower[place], lower[place + 1]
        for phrase, term in known.phrases.get(pair, ()):
            if tuple(lower[place : place + len(phrase)]) == phrase:
                return len(phrase), term
        colour = pair[0] in known.words and known.words[pair[0]].kind == "colour"  # a brown cup is a mushroom too
        for size in (3, 2) if pair[0] in table.first and not colour else ():
            name = lower[place : place + size]
            if len(name) == size and name[-1] not in known.words and (noun := _noun(" ".join(name))):
                return size, noun
    word = lower[place]
    return 1, known.words.get(word) or (None if word in known.grammar else _noun(word)) or _other(word)


@lru_cache(maxsize=65_536)
def _noun(name: str) -> Term | None:
    """WordNet's noun of this name; people's nouns of several words are adjectives and nouns to a caption."""
    base = nouns().base(name)
    if not base and _is_compound(name):
        return Term("thing", name)
    if not base or len(name) < 2 or (" " in name and nouns().kind(base) == "person"):
        return None
    return Term("noun", base, base != name or name.endswith("s"))


def _is_compound(word: str) -> bool:
    """Whether a word that is not listed is written of two nouns: cornfield."""
    if not word.isalpha() or word.endswith(("ing", "ed", "ly", "ship")):
        return False
    cuts = ((word[:cut], word[cut:]) for cut in range(4, len(word) - 3))
    return any(first in nouns().words and _names_a_thing(last) for first, last in cuts)


def _names_a_thing(word: str) -> bool:
    term, base = lexicon().words.get(word), nouns().base(word)
    return term.kind in ("scenery", "thing") if term else bool(base) and nouns().kind(base) != "person"


@lru_cache(maxsize=65_536)
def _other(lower: str) -> Term:
    if lower.isdigit():
        return Term("number", lower if lower in NUMBERS else "13+")
    tens, _, ones = lower.partition("-")  # twenty-one
    if ones and all((term := lexicon().words.get(part)) and term.kind == "number" for part in (tens, ones)):
        return Term("number", "13+")
    return Term("other", lower)


def is_known(word: str) -> bool:
    """Whether the lexicon or WordNet's nouns have a word in lower case."""
    return word in lexicon().words or bool(nouns().base(word))
