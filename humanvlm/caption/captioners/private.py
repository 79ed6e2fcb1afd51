"""Names, addresses, telephone numbers, e-mail and handles of people, taken out of texts that others wrote.

Names are told by rules over Faker's lists of given names and surnames in Latin letters; what they miss and what
they take wrongly is said in docs/safety.md. One pass over the words of a text.
"""

import html
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.resources import files
from typing import Any

import yaml

from humanvlm.caption.captioners.source import EMAIL, HANDLE, MOST_CHARACTERS, TAG, letters

LOCALES = (
    *(
        "en_US",
        "en_GB",
        "en_IN",
        "en_NZ",
        "de_DE",
        "de_AT",
        "fr_FR",
        "fr_CA",
        "es_ES",
        "es_MX",
        "it_IT",
        "pt_BR",
        "pt_PT",
    ),
    *(
        "nl_NL",
        "da_DK",
        "no_NO",
        "sv_SE",
        "fi_FI",
        "pl_PL",
        "cs_CZ",
        "sk_SK",
        "hr_HR",
        "sl_SI",
        "ro_RO",
        "hu_HU",
        "tr_TR",
    ),
)
WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]{2,}|-[^\W\d_]+)*")
LISTED = re.compile(r"[^\W\d_]{3,}")
NEAR = re.compile(r"\.? |-|\.")  # between the words of a name, initials among them
PARTICLES = {
    "van",
    "von",
    "der",
    "den",
    "de",
    "del",
    "della",
    "di",
    "da",
    "dos",
    "du",
    "la",
    "le",
    "bin",
    "ibn",
    "al",
    "el",
}
COURTESY = {
    "mr",
    "mrs",
    "ms",
    "mx",
    "dr",
    "prof",
    "professor",
    "sir",
    "dame",
    "senator",
    "congressman",
    "congresswoman",
}
# With what goes before it, a name is not said: a dog named Max is a dog.
CUES = {"named", "called", "nicknamed"}
CREDITS = re.compile(
    r"(?:photo(?:s|graph(?:s|ed|y)?)?|picture[ds]?|pics?|images?|shot|taken|credits?):? by", re.IGNORECASE
)
ARTICLES = {"a", "an", "the", "my", "his", "her", "our", "your", "their", "young", "old", "little", "beautiful"}
LONGEST = 3  # words after a given name that are part of it
UNTITLED = 0.15  # share of longer words without a capital from which capitals tell names
ROADS = (
    r"(?:street|st|road|rd|avenue|ave|boulevard|blvd|lane|ln|drive|court|ct|square|sq|place|terrace|crescent|parkway|pkwy"
    r"|highway|hwy|close|way)"
)
PATTERNS: Mapping[str, re.Pattern[str]] = {
    "email": EMAIL,
    "handle": HANDLE,
    # International; North American; with a leading zero in groups; after a word that says what it is.
    "phone": re.compile(
        r"(?<![\w+])(?:\+\d{1,3}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d{1,4}(?:[ .-]?\d{2,4}){1,4}"
        r"|(?:\+?1[ .-])?(?:\(\d{3}\) ?|\d{3}[.-])\d{3}[ .-]\d{4}"
        r"|0\d{2,4}[ /-]\d{3,4}(?:[ -]?\d{2,4}){1,2})(?![\w-])"
        r"|\b(?:tel|phone|telephone|mobile|fax|whatsapp|call|cell)[.:]{0,2} ?(?:us |me |now |at |on |no\.? ?){0,2}"
        r"\+?\(?\d[\d ().-]{5,18}\d\b",
        re.IGNORECASE,
    ),
    # A number and a road in English, German, French, Spanish, Italian; with a postcode after it.
    "address": re.compile(
        r"(?<![\w.,/-])\d{1,5}[a-zA-Z]?,? (?:(?:[NSEW]\.?|North|South|East|West) )?"
        r"(?:(?!(?:The|A|An|In|On|At|Of|And|With|Men|Women|People|Man|Woman|Kids|Cars?|Way)\b)"
        rf"(?:[A-Z][\w'’]{{1,20}}|\d{{1,3}}(?:st|nd|rd|th)) ){{1,3}}(?i:{ROADS})\b\.?"
        r"|\b[A-ZÄÖÜ][a-zäöüß]{2,24}(?:straße|strasse|str\.|weg|platz|allee|gasse) ?\d{1,4}[a-z]?\b"
        r"|(?<![\w.,/-])\d{1,4}(?: bis| ter)?,? (?i:rue|avenue|boulevard|chemin|impasse) (?:[\w'’]{1,20} ?){1,4}"
        r"|\b(?:Calle|Avenida|Avda\.|Via|Viale|Rua|Rue) (?:[\w'’]{1,20} ){1,4}?(?:n[º°.] ?)?\d{1,4}\b"
    ),
}
POSTCODE = re.compile(
    r",? ?(?:[A-Z][\w.]{2,20},? ){0,2}\b(?:[A-Z]{1,2}\d[A-Z\d]? \d[A-Z]{2}|[A-Z]{2} \d{5}(?:-\d{4})?|\d{5})\b"
)


@dataclass(frozen=True)
class Lexicon:
    """What is known of words, in lower case. given: names; names: these and surnames; words: given names that are
    ordinary words too. The others are private.yaml's."""

    given: frozenset[str]
    names: frozenset[str]
    words: frozenset[str]
    before: frozenset[str]
    after: frozenset[str]
    brands: frozenset[tuple[str, ...]]


def redact(text: str) -> tuple[str, Counter[str]]:
    """The text without what names or reaches a person, and how much of each kind was taken out.

    A name becomes ``a person``; the rest goes. A text without any stays as it is to the letter; of others markup and
    what has no width go too, so that neither hides a name.
    """
    clear = letters(TAG.sub(" ", html.unescape(text[:MOST_CHARACTERS])))
    found = Counter[str]()
    redacted = clear
    for kind, pattern in PATTERNS.items():
        if kind == "address" and (number := pattern.search(redacted)):
            redacted = redacted[: number.end()] + POSTCODE.sub("", redacted[number.end() :], count=1)
        redacted, count = pattern.subn(" ", redacted)
        found[kind] += count
    redacted, found["name"] = _without_names(redacted)
    found = +found
    return (re.sub(r" {2,}", " ", redacted).strip(), found) if found else (text, found)


def redact_row(row: Mapping[str, Any]) -> tuple[dict[str, Any], Counter[str]]:
    """A row with ``text`` and ``captions`` redacted, and how much was taken out."""
    total = Counter[str]()
    done: dict[str, str] = {}
    for text in [row.get("text"), *(row.get("captions") or ())]:
        if text and text not in done:
            done[text], found = redact(text)
            total.update(found)
    changed: dict[str, Any] = {"text": done.get(row.get("text") or "", row.get("text"))}
    if row.get("captions"):
        changed["captions"] = [done.get(text, text) for text in row["captions"]]
    return {**row, **changed}, total


def _without_names(text: str) -> tuple[str, int]:
    words = list(WORD.finditer(text))
    plain = not any(word[0] != word[0].lower() for word in words[1:])
    longer = [word[0] for word in words if len(word[0]) > 3]
    titled = len(words) > 3 and sum(word[0].islower() for word in longer) < UNTITLED * len(longer)
    parts, last, count, place = [], 0, 0, 0
    while place < len(words):
        start, stop, instead = _name_at(text, words, place, plain, titled)
        if stop > place:
            begin = words[start].start()
            parts += [text[last:begin], _placed(text, words, start, instead)]
            last, count, place = words[stop - 1].end(), count + 1, stop
        else:
            place += 1
    return "".join([*parts, text[last:]]), count


def _name_at(text: str, words: Sequence[re.Match[str]], place: int, plain: bool, titled: bool) -> tuple[int, int, str]:
    """(first word, the one after the last, what stands instead) of a name that begins here; two equal numbers: none.

    plain: no word but the first has a capital; titled: all longer ones have.
    """
    known = lexicon()
    word, low = words[place][0], words[place][0].casefold()
    nothing = (place, place, "")
    after = words[place + 1][0] if place + 1 < len(words) and _near(text, words, place) else ""
    if low in CUES and after[:1].isupper() and not titled:
        return place, _run(text, words, place + 1), ""
    if (
        low == "by"
        and after[:1].isupper()
        and CREDITS.fullmatch(text, words[max(place - 1, 0)].start(), words[place].end())
    ):
        return max(place - 1, 0), _run(text, words, place + 1), ""
    if low in COURTESY and after[:1].isupper() and (low, after.casefold()) not in known.brands:
        return place, _run(text, words, place + 1) if not titled else place + 2, "a person"
    if low not in known.given or (low, after.casefold()) in known.brands or after.casefold() in known.after:
        return nothing
    before = words[place - 1][0].casefold() if place and _near(text, words, place - 1) else ""
    if before in known.before and (before != "the" or titled or plain):
        return nothing
    surname = after.casefold() in known.names and after.casefold() not in known.words
    if plain and surname and low not in known.words:
        return place, place + 2, "a person"
    if not word[0].isupper() or before in ("a", "an"):  # an Elvis impersonator
        return nothing
    if titled or low in known.words:
        return (place, place + 2, "a person") if surname and after[0].isupper() else nothing
    return place, _run(text, words, place + 1), "a person"


def _run(text: str, words: Sequence[re.Match[str]], place: int) -> int:
    """The word after the last that goes on a name: those with a capital next to each other, with their particles."""
    stop, at = place, place
    while at < min(len(words), place + LONGEST) and _near(text, words, at - 1):
        if words[at][0][0].isupper():
            stop = at + 1
        elif words[at][0] not in PARTICLES:
            break
        at += 1
    return stop


def _near(text: str, words: Sequence[re.Match[str]], place: int) -> bool:
    """Whether nothing but a space, a hyphen or an initial's dot is between a word and the next."""
    between = text[words[place].end() : words[place + 1].start()]
    return bool(NEAR.fullmatch(between)) and ("." not in between or len(words[place][0]) < 4)


def _placed(text: str, words: Sequence[re.Match[str]], start: int, instead: str) -> str:
    """What stands instead of a name: without an article after one, with a capital where a sentence begins."""
    if not instead:
        return ""
    if start and words[start - 1][0].casefold() in ARTICLES and _near(text, words, start - 1):
        instead = instead.removeprefix("a ")
    before = text[: words[start].start()].rstrip(" \"'“(")[-1:]
    return instead[0].upper() + instead[1:] if not before or before in ".!?" else instead


@cache
def lexicon() -> Lexicon:
    """Faker's names and the words of private.yaml."""
    lists = yaml.safe_load(files("humanvlm.caption.captioners").joinpath("private.yaml").read_text(encoding="utf-8"))
    brands = frozenset(tuple(name.split()) for name in re.split(r",\s*", lists["brands"]) if name)
    sets = {name: frozenset(lists[name].split()) for name in ("words", "before", "after")}
    given = _names("first_name")
    return Lexicon(given, given | _names("last_name"), **sets, brands=brands)


def _names(kind: str) -> frozenset[str]:
    """Names of a kind in Faker's lists of all LOCALES; its lists are attributes such as ``first_names_female``."""
    found: set[str] = set()
    for locale in LOCALES:
        provider = import_module(f"faker.providers.person.{locale}").Provider
        for attribute in vars(provider):
            value = getattr(provider, attribute)
            if attribute.startswith(kind) and not callable(value) and not isinstance(value, property):
                found.update(name.casefold() for name in value if LISTED.fullmatch(name))
    return frozenset(found)
