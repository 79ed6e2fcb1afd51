"""Names of persons, and what nobody can see of one: origin, belief, health, whom one loves."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import yaml

from humanvlm.caption.checks.form import around
from humanvlm.caption.checks.lexicon import NOUNS, is_known, lexicon
from humanvlm.caption.checks.nouns import nouns
from humanvlm.caption.checks.tokens import Token, parts
from humanvlm.caption.checks.verdict import Cut

_TITLES = frozenset(
    ["mr", "mrs", "ms", "miss", "dr", "prof", "sir", "madam", "lord", "president", "senator", "captain"]
)
_TITLES |= frozenset(["queen", "king", "prince", "princess", "pope", "judge", "general", "chancellor", "minister"])
_NAMED = frozenset(["named", "called", "actor", "actress", "singer", "politician", "footballer", "celebrity"])

_SURNAME = re.compile(r"(?:O['’]|Mc|Mac)[A-Z][a-z]+")
_FROM = re.compile(r"\b(?:is|are|be|comes?|came|hails?)\s+(?:originally\s+)?from\s+(?:the\s+)?[A-Z][a-z]+")
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


def name_cuts(words: Sequence[Token], spans: Sequence[tuple[int, int]]) -> Iterator[Cut]:
    """Sentences that name a person: by a first name, a title, or words in a row that only names begin so."""
    starts = {start for start, _ in spans}
    last = -1
    for place, word in enumerate(words):
        if place <= last or not _is_capitalised(word):
            continue
        last = place
        while last + 1 < len(words) and _is_capitalised(words[last + 1]):
            last += 1
        before = [one.lower for one in words[max(place - 2, 0) : place] if one.text != "."]
        following = words[last + 1] if last + 1 < len(words) else None
        if _is_name(words[place : last + 1], before[-1:], following, word.start in starts):
            yield Cut(*around(spans, word.start, words[last].end), "name")


def _is_name(run: Sequence[Token], before: Sequence[str], following: Token | None, opens: bool) -> bool:
    """Whether words with capitals in a row name somebody; opens: the first has its capital from the sentence."""
    lower = [word.lower.removesuffix("'s").removesuffix("’s") for word in run]
    if any(_SURNAME.match(word.text) for word in run):
        return True
    lower = _without_places(lower)
    if not lower:
        return False
    if not opens and before and before[0] in _TITLES | _NAMED:
        return lower[0] not in _capitalised()
    if opens and is_known(lower[0]) and lower[0] not in _first_names():
        lower, opens = lower[1:], False
    unknown = [word for word in lower if word not in _capitalised() and not is_known(word)]
    first = [word for word in lower if word in _first_names() and not _is_grammar(word)]
    attributive = following is not None and _is_noun(following.lower)
    if opens and len(lower) == 1:
        return bool(first) and (
            _looks_said_of(following) or bool(unknown and not attributive) or lower[0] != run[0].lower
        )
    if len(first) == 1 == len(lower) and not unknown:
        return False  # grace, may, rose
    if first and (unknown or len(first) > 1):
        return True
    return bool(unknown) and not attributive and (len(lower) > 1 or not opens)


def _is_capitalised(word: Token) -> bool:
    text = word.text
    return text[0].isupper() and len(text) > 2 and (text[1].islower() or bool(_SURNAME.match(text)))


def _without_places(lower: list[str]) -> list[str]:
    """The words without those that together are a place or a thing: New York, Jack Russell Terrier."""
    for size in (3, 2):
        for start in range(len(lower) - size + 1):
            if " ".join(lower[start : start + size]) in _capitalised():
                return _without_places(lower[:start] + lower[start + size :])
    return lower


def _is_grammar(word: str) -> bool:
    return word in lexicon().words or word in lexicon().grammar


def _is_noun(word: str) -> bool:
    term = lexicon().words.get(word)
    return term.kind in NOUNS if term else bool(nouns().base(word)) and word not in lexicon().grammar


def _looks_said_of(following: Token | None) -> bool:
    """Whether something follows that people do, as after a name that opens a sentence."""
    term = lexicon().words.get(following.lower) if following else None
    return term is not None and term.kind in _DOING


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
        rf"\b{told}[\s-]+(?:[a-z-]{{1,40}}\s+){{0,2}}(?:{group['people']})\b",
        rf"\b{says}{hedges}\s+{told}(?:\b(?!\s*-?\s*[a-z])|[\s-]+{followers}\b)",
        rf"\b{told}[\s-]+{origins}\b",
        rf"\b{says}\s+(?:[a-z]+\s+(?:and|but)\s+){told}\b(?!\s*-?\s*[a-z])",
        rf"\b(?:{group['plain']})\b",
        rf"\ban?\s+(?:{group['believers']})\b(?:(?!\s+[a-z])|\s+(?:{followers}|is|in|on|[a-z]+(?:ing|ed|[^s\W]s)\b))",
        rf"\b(?:devout|pious|strict|practi[sc]ing)\s+{told}\b",
    )
    own = rf"(?:\s+(?:(?!\w{{1,40}}ed\b)[a-z-]{{1,40}}\s+)?(?:{group['people']})|[\s-]+(?:{shown}|skin(?:ned)?))"
    skin = rf"\b(?:{group['skins']}){own}\b"
    names = [term for name in ("groups", "traits", "plain", "believers") for term in terms[name]]
    skins = frozenset(term.split()[0] for term in terms["skins"])
    spelt = [re.split(r"[\s-]", re.sub(r"\(.*\)", "", name.lower())) for name in names]
    telling = {max((word for word in one if word not in skins), key=len) for one in spelt}
    return _Sensitive(
        frozenset(telling),
        tuple(re.compile(pattern, re.IGNORECASE) for pattern in patterns),
        skins,
        re.compile(skin, re.IGNORECASE),
    )


def sensitive_cuts(text: str, words: Sequence[Token], spans: Sequence[tuple[int, int]]) -> Iterator[Cut]:
    """Sentences that state somebody's ethnicity, religion, health or sexuality."""
    known = _sensitive()
    lower = parts(words)
    patterns = () if lower.isdisjoint(known.words) else known.patterns
    for match in _FROM.finditer(text) if "from" in lower else ():
        yield Cut(*around(spans, *match.span()), "sensitive")
    for pattern in patterns:
        for match in pattern.finditer(text):
            yield Cut(*around(spans, *match.span()), "sensitive")
    for word in words if not lower.isdisjoint(known.skins) else ():
        skin = word.lower.partition("-")[0] in known.skins and known.skin.match(text, word.start)
        if skin:
            yield Cut(*around(spans, *skin.span()), "sensitive")
