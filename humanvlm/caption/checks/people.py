"""Names of persons, and what nobody can see of one: origin, belief, health, whom one loves."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import yaml

from humanvlm.caption.checks.form import around
from humanvlm.caption.checks.lexicon import is_known, lexicon
from humanvlm.caption.checks.tokens import Token
from humanvlm.caption.checks.verdict import Cut

_TITLES = frozenset(
    ["mr", "mrs", "ms", "miss", "dr", "prof", "sir", "madam", "lord", "president", "senator", "captain"]
)
_TITLES |= frozenset(["queen", "king", "prince", "princess", "pope", "judge", "general", "chancellor", "minister"])
_NAMED = frozenset(["named", "called", "actor", "actress", "singer", "politician", "footballer", "celebrity"])

_DOING = frozenset(["activity", "pose", "expression", "facing"])


@cache
def _first_names() -> frozenset[str]:
    text = files("humanvlm.caption.checks").joinpath("words/first_names.txt").read_text(encoding="utf-8")
    return frozenset(line for line in text.split() if not line.startswith("#"))


@cache
def _capitalised() -> frozenset[str]:
    """Words that are written with a capital and name nobody: months, makers, places, languages."""
    text = files("humanvlm.caption.checks").joinpath("words/capitalised.txt").read_text(encoding="utf-8")
    return frozenset(line.lower() for line in text.splitlines() if line and not line.startswith("#"))


def name_cuts(
    words: Sequence[Token], spans: Sequence[tuple[int, int]], quoted: Sequence[tuple[int, int]] = ()
) -> Iterator[Cut]:
    """Sentences that name a person: by a first name, a title, or two words in a row that only names begin so."""
    starts = {start for start, _ in spans}
    for place, word in enumerate(words):
        if not _is_capitalised(word) or any(start <= word.start < end for start, end in quoted):
            continue
        following = words[place + 1] if place + 1 < len(words) else None
        before = words[place - 1].lower if place else ""
        if before == "." and place > 1:
            before = words[place - 2].lower
        if _is_name(word, following, before, word.start in starts):
            yield Cut(*around(spans, word.start, word.end), "name")


def _is_name(word: Token, following: Token | None, before: str, opens: bool) -> bool:
    lower = word.lower.removesuffix("'s").removesuffix("’s")
    if not opens and before in _TITLES | _NAMED:
        return lower not in _capitalised()
    common = is_known(lower) or lower in _capitalised()
    another = following is not None and _is_capitalised(following) and following.lower not in _capitalised()
    if another and following is not None:
        another = not is_known(following.lower) or lower in _first_names()
    if lower in _first_names() and lower not in lexicon().words:
        return another or not (common or opens) or (opens and _looks_said_of(following, common))
    if opens:
        return another and not common
    return not common and (another or not _looks_attributive(following))


def _is_capitalised(word: Token) -> bool:
    return word.text[0].isupper() and word.text[1:2].islower() and len(word.text) > 2


def _looks_said_of(following: Token | None, common: bool) -> bool:
    """Whether something follows that people do, as after a name that opens a sentence; common: it is a word too."""
    term = lexicon().words.get(following.lower) if following else None
    does = term is not None and term.kind in _DOING
    return does or (not common and (following is None or following.lower.endswith(("s", "ing", "ed", ","))))


def _looks_attributive(following: Token | None) -> bool:
    """A word in capitals before a noun is a make or a place: a Nike shirt."""
    return following is not None and is_known(following.lower)


@dataclass(frozen=True)
class _Sensitive:
    """patterns: of statements, asked where one of ``words`` is, the longest of each; skin: of ``skins``."""

    words: frozenset[str]
    patterns: tuple[re.Pattern[str], ...]
    skins: frozenset[str]
    skin: re.Pattern[str]


@cache
def _sensitive() -> _Sensitive:
    path = files("humanvlm.caption.checks").joinpath("words/sensitive.yaml")
    listed: Mapping[str, str] = yaml.safe_load(path.read_text(encoding="utf-8"))
    terms = {name: [one.strip() for one in text.split(",")] for name, text in listed.items()}
    group = {name: "|".join(one.replace(" ", r"[\s-]+") for one in ones) for name, ones in terms.items()}
    told = rf"(?:{group['groups']}|{group['traits']})"
    says = r"(?:is|are|was|were|be|being|looks?|appears?|seems?|identif(?:y|ies))"
    hedges = r"(?:\s+(?:to\s+be|as|an?|of|from|visibly|clearly|probably|possibly|likely|perhaps|very))*"
    shown = r"(?:descent|origin|ancestry|heritage|ethnicity|appearance|features|complexion|race|faith)"
    origins = rf"(?:{shown}|looking)"
    followers = r"(?:by|and|or|but|who|with)"
    patterns = (
        rf"\b{told}[\s-]+(?:[a-z-]+\s+){{0,2}}(?:{group['people']})\b",
        rf"\b{says}{hedges}\s+{told}(?:\b(?!\s*-?\s*[a-z])|[\s-]+{followers}\b)",
        rf"\b{told}[\s-]+{origins}\b",
        rf"\b(?:{group['plain']})\b",
        rf"\ban?\s+(?:{group['believers']})\b(?!\s+[a-z])",
    )
    own = rf"(?:\s+(?:(?!\w+ed\b)[a-z-]+\s+)?(?:{group['people']})|[\s-]+(?:{shown}|skin(?:ned)?))"
    skin = rf"\b(?:{group['skins']}){own}\b"
    names = [term for name in ("groups", "traits", "plain", "believers") for term in terms[name]]
    telling = {max(re.split(r"[\s-]|[(|)?:]", term.lower()), key=len) for term in names}
    return _Sensitive(
        frozenset(telling),
        tuple(re.compile(pattern, re.IGNORECASE) for pattern in patterns),
        frozenset(term.split()[0] for term in terms["skins"]),
        re.compile(skin, re.IGNORECASE),
    )


def sensitive_cuts(text: str, words: Sequence[Token], spans: Sequence[tuple[int, int]]) -> Iterator[Cut]:
    """Sentences that state somebody's ethnicity, religion, health or sexuality."""
    known = _sensitive()
    lower = {part for word in words for part in (word.lower, *word.lower.split("-"))}
    patterns = () if lower.isdisjoint(known.words) else known.patterns
    for pattern in patterns if lower.isdisjoint(known.skins) else (*patterns, known.skin):
        for match in pattern.finditer(text):
            yield Cut(*around(spans, *match.span()), "sensitive")
