"""Ages told in years: a woman of forty, aged thirty-five, a boy of ten."""

import re
from collections.abc import Sequence

from humanvlm.caption.checks.lexicon import Item
from humanvlm.caption.checks.tokens import Token

_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_TEENS = (
    *("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_ONES = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
YEARS = {word: years for years, word in enumerate((*_ONES, *_TEENS), 1)}
YEARS |= {word: 20 + 10 * place for place, word in enumerate(_TENS)}
_BEFORE = frozenset(["aged", "age", "ages"])
_ONE = frozenset(["man", "woman", "boy", "girl", "child", "person", "lady", "gentleman", "adult", "male", "female"])
_AFTER = re.compile(r"years?-olds?|year-old")
OLDEST, YOUNGEST_TEEN = 110, 13


def age_of(words: Sequence[Token], item: Item, first: int) -> str:
    """The decade of the age that a number is, ``child`` below the teens; '' where it is no age.

    It is one after "aged", after a person and "of", and before "years old".
    """
    lower = words[item.first].lower
    years = _years(lower.removesuffix("-year-old"))
    if years is None:
        return ""
    before = [word.lower for word in words[max(item.first - 2, first) : item.first]]
    after = [word.lower for word in words[item.last : item.last + 3]]
    told = bool(before) and (before[-1] in _BEFORE or (before[-1] == "of" and before[0] in _ONE))
    told = told or after[:2] in (["years", "old"], ["year", "old"], ["years", "of"])
    told = told or bool(_AFTER.fullmatch("".join(after[:1]))) or (after[:1] == ["-"] and "year-old" in after[1:2])
    return _decade(years) if told or lower.endswith("-year-old") else ""


def _years(lower: str) -> int | None:
    if lower.isdecimal():
        return int(lower) if int(lower) <= OLDEST else None
    tens, _, ones = lower.partition("-")
    years = YEARS.get(tens)
    return years + YEARS[ones] if years and ones in YEARS else None if ones else years


def _decade(years: int) -> str:
    return "child" if years < YOUNGEST_TEEN else f"{years // 10 * 10}s"
