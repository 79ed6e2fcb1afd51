"""The Snowball English stemmer ("Porter 2"; snowballstem.org/algorithms/english), in the version that METEOR 1.5 ships.

Regions: R1 begins after the first consonant that follows a vowel, R2 is R1's R1. Most suffixes go only inside of them.
"""

import re
from functools import cache

_EXCEPTIONS = {
    "skis": "ski", "skies": "sky", "dying": "die", "lying": "lie", "tying": "tie",
    "idly": "idl", "gently": "gentl", "ugly": "ugli", "early": "earli", "only": "onli", "singly": "singl",
    **{word: word for word in ("sky", "news", "howe", "atlas", "cosmos", "bias", "andes")},
}  # fmt: skip
_KEPT = frozenset(["inning", "outing", "canning", "herring", "earring", "proceed", "exceed", "succeed"])
_VOWEL, _CONSONANT = "[aeiouy]", "[^aeiouy]"
_REGION = re.compile(f"{_VOWEL}{_CONSONANT}")
_FIRST_REGION = re.compile(f"gener|commun|arsen|.*?{_VOWEL}{_CONSONANT}", re.DOTALL)
_WEAK_Y = re.compile(f"({_VOWEL})y")  # a consonant, written Y
_SHORT = re.compile(f"(?:{_CONSONANT}{_VOWEL}[^aeiouywxY]|^{_VOWEL}{_CONSONANT})$")
_ANY_VOWEL = re.compile(_VOWEL)
_POSSESSIVE = re.compile("('s'|'s|')$")
_FINAL_Y = re.compile(f"(?<=.{_CONSONANT})[yY]$", re.DOTALL)
_DOUBLE = re.compile("(?:bb|dd|ff|gg|mm|nn|pp|rr|tt)$")


def _suffixes(text: str) -> dict[str, str]:
    """``a,b:c d:`` is {a: c, b: c, d: nothing}."""
    groups = [group.split(":") for group in text.split()]
    return {suffix: target for suffixes, target in groups for suffix in suffixes.split(",")}


_PARTICIPLES = _suffixes("eed,eedly,ed,edly,ing,ingly:")
_STEP_2 = _suffixes(
    "tional:tion enci:ence anci:ance abli:able entli:ent izer,ization:ize ational,ation,ator:ate alism,aliti,alli:al "
    "fulness,fulli:ful ousli,ousness:ous iveness,iviti:ive biliti,bli:ble ogi:og lessli:less li:"
)
_STEP_3 = _suffixes("tional:tion ational:ate alize:al icate,iciti,ical:ic ful,ness: ative:")
_STEP_4 = _suffixes("al,ance,ence,er,ic,able,ible,ant,ement,ment,ent,ism,ate,iti,ous,ive,ize,ion:")


@cache
def stem(word: str) -> str:
    """The stem of a lower-case word."""
    if word in _EXCEPTIONS:
        return _EXCEPTIONS[word]
    if len(word) < 3:
        return word
    word = word.removeprefix("'")
    if "y" in word:
        word = _WEAK_Y.sub(r"\1Y", "Y" + word[1:] if word[0] == "y" else word)
    first, second = _regions(word)
    word = _plural(word)
    if word not in _KEPT:
        word = _participle(word, first)
        word = _FINAL_Y.sub("i", word)
        word = _replace(word, _STEP_2, first, second)
        word = _replace(word, _STEP_3, first, second)
        word = _replace(word, _STEP_4, second, second)
        word = _final(word, first, second)
    return word.replace("Y", "y")


def _regions(word: str) -> tuple[int, int]:
    """Where R1 and R2 begin."""
    start = _FIRST_REGION.match(word)
    first = start.end() if start else len(word)
    following = _REGION.search(word, first)
    return first, following.end() if following else len(word)


def _longest(word: str, suffixes: dict[str, str]) -> str | None:
    for size in range(min(7, len(word)), 0, -1):
        if word[-size:] in suffixes:
            return word[-size:]
    return None


def _plural(word: str) -> str:
    word = _POSSESSIVE.sub("", word)
    if word.endswith("sses"):
        return word[:-2]
    if word.endswith(("ied", "ies")):
        return word[:-2] if len(word) > 4 else word[:-1]
    if word.endswith("s") and not word.endswith(("us", "ss")) and _ANY_VOWEL.search(word[:-2]):
        return word[:-1]
    return word


def _participle(word: str, first: int) -> str:
    suffix = _longest(word, _PARTICIPLES)
    if suffix is None:
        return word
    base = word[: -len(suffix)]
    if suffix in ("eed", "eedly"):
        return base + "ee" if len(base) >= first else word
    if not _ANY_VOWEL.search(base):
        return word
    if base.endswith(("at", "bl", "iz")):
        return base + "e"
    if _DOUBLE.search(base):
        return base[:-1]
    return base + "e" if len(base) == first and _SHORT.search(base) else base


def _replace(word: str, suffixes: dict[str, str], region: int, second: int) -> str:
    suffix = _longest(word, suffixes)
    if suffix is None or len(word) - len(suffix) < region:
        return word
    base = word[: -len(suffix)]
    allowed = {"ogi": "l", "li": "cdeghkmnrt", "ion": "st"}.get(suffix)
    if (allowed and not base.endswith(tuple(allowed))) or (suffix == "ative" and len(base) < second):
        return word
    return base + suffixes[suffix]


def _final(word: str, first: int, second: int) -> str:
    base = word[:-1]
    if word.endswith("e"):
        return base if len(base) >= second or (len(base) >= first and not _SHORT.search(base)) else word
    return base if word.endswith("ll") and len(base) >= second else word
