"""Whether a picture may show a minor, and whether its texts make that unsafe. Both are judged so that doubt counts."""

import re
from collections.abc import Iterable
from functools import cache
from importlib.resources import files

import yaml

ADULT = 18  # years
NUMBERS = (
    *("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen"),
)
YEARS = "|".join((r"\d{1,2}", *NUMBERS))
# An age as texts say it: 12 years old, a twelve-year-old, aged 12, 12yo, 12歳.
AGE = re.compile(
    rf"\b(?:(?P<old>{YEARS})[\s-]{{0,2}}(?:years?|yrs?|yr)[\s-]{{0,2}}old|age[d:]?\s{{1,2}}(?P<aged>\d{{1,2}})"
    r"|(?P<yo>\d{1,2})\s?(?:y/?o)\b|(?P<cjk>\d{1,2})\s?[歳岁才세살])",
    re.IGNORECASE,
)


def minor_named(texts: Iterable[str]) -> str:
    """The first words of the texts that name a minor; '' without."""
    for text in texts:
        if found := words("minor").search(text):
            return found[0]
        for age in AGE.finditer(text):
            if _years(next(filter(None, age.groups()))) < ADULT:
                return age[0]
    return ""


def adult_named(texts: Iterable[str]) -> bool:
    return any(words("adult").search(text) for text in texts)


def unsafe_named(texts: Iterable[str]) -> str:
    """The first word of the texts for revealing clothes, nudity or sex; '' without."""
    return next((found[0] for text in texts if (found := words("unsafe").search(text))), "")


def _years(number: str) -> int:
    return int(number) if number.isdecimal() else NUMBERS.index(number.lower()) + 1


@cache
def words(kind: str) -> re.Pattern[str]:
    """What finds the words of a kind in minors.yaml: whole ones, or those of scripts without spaces anywhere."""
    lists = yaml.safe_load(files("humanvlm.curate").joinpath("minors.yaml").read_text(encoding="utf-8"))
    whole = [re.escape(word.strip()) for line in lists[kind] for word in line.split(",")]
    anywhere = "".join(f"|{re.escape(word)}" for word in lists.get(f"{kind}_anywhere", ()))
    return re.compile(rf"(?<!\w)(?:{'|'.join(whole)})(?:e?s)?(?!\w){anywhere}", re.IGNORECASE)
