"""What a word is by the words around it."""

from collections.abc import Sequence
from dataclasses import replace

from humanvlm.caption.checks.clauses import Clause
from humanvlm.caption.checks.lexicon import Item, Term, word_lists
from humanvlm.caption.checks.nouns import nouns
from humanvlm.caption.checks.tokens import Token

LISTS = word_lists()
INDEFINITE, DETERMINERS = LISTS["indefinite"], LISTS["determiners"]
WORN = frozenset(["eyewear", "headwear", "beard", "accessory"])
STANDALONE = WORN | frozenset(
    ["expression", "head", "mouth", "eyes", "pose", "arms", "facing", "shot", "place", "light"]
)
STANDALONE |= frozenset(["contrast", "monochrome", "bare", "sleeves", "activity"])
NOMINAL = frozenset(["neutral", "noun", "thing", "scenery", "garment", "headwear", "accessory", "hair"])
_OF_PLACES = frozenset(["in", "at", "from", "near"])


def is_noun(item: Item, clause: Clause, previous: Term, following: Term) -> bool:
    """Whether one of WordNet's nouns is used as one: the last of its phrase, and not a verb."""
    if following.kind in NOMINAL or following.kind == "colour" or following.value == "-":
        return False  # the first of two nouns, or an adjective: a lush green field
    if previous.value in ("that", "which", "who"):
        return False  # a hat that shades his eyes
    value = item.term.value
    nominal = previous.kind in NOMINAL | WORN or previous.kind in ("person", "position", "colour", "light")
    if nominal and item.term.several and following.value in DETERMINERS | LISTS["quantifiers"]:
        return False  # grey covers the background
    if nouns().kind(value) == "person":
        return clause.indefinite or clause.before in DETERMINERS
    if value in nouns().verbal:
        return clause.before in DETERMINERS and not clause.head
    return not (item.term.several and clause.head and nominal and not clause.copula)  # a dog runs


def is_of_picture(row: Sequence[Item], place: int) -> bool:
    """Whether a side is the picture's: on the left of the photograph."""
    after = [item.term for item in row[place + 1 : place + 3]]
    return bool(after) and any(term.kind == "neutral" and term.value in LISTS["pictures"] for term in after[:2])


def opens(words: Sequence[Token], row: Sequence[Item], first: int) -> bool:
    """Whether a sentence begins with its subject: not with where somebody is."""
    return row[0].term.kind in NOMINAL | {"number", "colour"} or words[first].lower in DETERMINERS


def at_least(words: Sequence[Token], item: Item, first: int) -> Item:
    """The number as its words before make it: at least three, more than two."""
    value = item.term.value
    before = " ".join(word.lower for word in words[max(item.first - 2, first) : item.first])
    if not value.isdigit() or before not in ("at least", "more than"):
        return item
    return replace(item, term=Term("number", f"{int(value) + (before == 'more than')}+"))


def is_fruit(words: Sequence[Token], item: Item, following: Term) -> bool:
    """Whether an orange is meant: a noun phrase that ends with it."""
    before = words[item.first - 1].lower if item.first else ""
    ends = following.kind not in NOMINAL | STANDALONE | {"colour", "person"} and following.value not in (
        "and",
        ",",
        "-",
    )
    return ends and (before in INDEFINITE or words[item.first].lower == "oranges")


def is_doing(lower: str, clause: Clause) -> bool:
    """Whether a verb says what somebody does: is sewing. Some say no more than that somebody is there."""
    of_thing = clause.head_kind in ("object", "neutral", "garment", "hair")
    return clause.copula and not of_thing and lower.endswith("ing") and lower not in LISTS["idle"]


def is_place_name(before: Token, word: Token) -> bool:
    """Whether a word that nobody knows is the name of a place: in Paris."""
    return before.lower in _OF_PLACES and word.text[0].isupper() and word.text[1:].islower()
