"""Holding claims against the fact sheet and the index's texts: supported, contradicted, or neither."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.resources import files

import yaml

from humanvlm.caption.checks.colours import HAIR, HAIR_SHADES, UNKNOWN, Answer, family, shares
from humanvlm.caption.checks.evidence import TEXT, Evidence, candidates, claims_of, kind_of, noun_known
from humanvlm.caption.checks.found import Found
from humanvlm.caption.checks.lexicon import word_lists
from humanvlm.caption.checks.verdict import Claim
from humanvlm.data.facts import NONE, Garment, Guess, Person

STAGES = ("child", "teenager", "young adult", "middle-aged", "older")
OPPOSITE = {"left of": "right of", "right of": "left of", "behind": "in front of", "in front of": "behind"}
OPPOSITE |= {"on": "under", "under": "on"}
UPRIGHT = frozenset(["standing", "walking", "leaning", "bending"])


def support(found: Found, known: Evidence) -> Claim:
    """The claim with what supports it, and whether a fact contradicts it."""
    by, contradicted = _RULES[found.kind](found, known)
    if not by:
        by, contradicted = _attributed(found, known) or by, contradicted
    if found.negated:
        denied = "facts" if contradicted else ""
        return Claim(found.start, found.end, found.kind, found.value, denied, bool(by))
    if not by and found.kind != "count" and (found.kind, found.value) in known.said:
        by, contradicted = TEXT, False
    return Claim(found.start, found.end, found.kind, found.value, by, contradicted and not by)


@cache
def _celeba() -> Mapping[str, tuple[str, str]]:
    """CelebA's attributes and what they support: kind and value of a claim."""
    path = files("humanvlm.caption.checks").joinpath("words/celeba.yaml")
    listed: Mapping[str, str] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {name: (kind, value) for name, (kind, value) in ((one, text.split(" ")) for one, text in listed.items())}


def _attributed(found: Found, known: Evidence) -> str:
    """What says so of a classifier of CelebA's attributes."""
    hair = found.kind == "colour" and found.about == "hair"
    claim = ("hair", HAIR.get(found.value, family(found.value))) if hair else (found.kind, found.value)
    for person in candidates(found.who, known):
        for guess in person.attributes:
            if known.sure(guess) and _celeba().get(guess.value) == claim:
                return guess.source or "facts"
    return ""


def _told(
    found: Found, known: Evidence, guess_of: Callable[[Person], Guess | None], same: Callable[[str, str], bool]
) -> Answer:
    """Supported when one of the people meant has it, contradicted when all of them surely have another."""
    people = candidates(found.who, known)
    guesses = [known.sure(guess_of(person)) for person in people]
    if found.who.every and guesses:
        wrong = any(guess and not same(guess.value, found.value) for guess in guesses)
        return ("facts" if all(guesses) and not wrong else ""), wrong
    for guess in guesses:
        if guess and same(guess.value, found.value):
            return guess.source or "facts", False
    return "", bool(guesses) and known.whole and all(guesses)


def _equal(first: str, second: str) -> bool:
    return first == second


def _count(found: Found, known: Evidence) -> Answer:
    facts, value = known.facts, found.value
    if not facts.people_count:
        return UNKNOWN
    counted, exact = facts.people_count, True
    if found.about:  # two women: as many as are known to be, or at most as many as may be
        genders = [known.sure(person.gender) for person in facts.people]
        sure = sum(bool(gender and gender.value == found.about) for gender in genders)
        others = sum(bool(gender and gender.value != found.about) for gender in genders)
        if fits(value, sure):
            return "facts", False
        counted, exact = facts.people_count - others, all(genders) and known.whole
        if not exact and not value.endswith("+"):
            return "", int(value) > counted
    return ("facts", False) if fits(value, counted) else ("", True)


def fits(claimed: str, counted: int) -> bool:
    """Whether a number of the lexicon (2, 3+) is that of things counted."""
    return counted >= int(claimed[:-1]) if claimed.endswith("+") else counted == int(claimed)


def _gender(found: Found, known: Evidence) -> Answer:
    guesses = [known.sure(person.gender) for person in known.facts.people]
    if found.who.every and any(guess and guess.value != found.value for guess in guesses):
        return "", True
    for guess in guesses:
        if guess and guess.value == found.value:
            return guess.source or "facts", False
    return "", bool(guesses) and known.whole and all(guesses)


def _age(found: Found, known: Evidence) -> Answer:
    """A decade is one, a stage of life one; young are all that are not middle-aged yet. One step apart is no lie."""
    decade = found.value[-1:] == "s" and found.value[:2].isdigit()
    apart = []
    for person in candidates(found.who, known):
        guess = known.sure(person.age if decade else person.stage)
        distance = _apart(found.value, guess.value, decade) if guess else -1
        if guess and distance == 0:
            return guess.source or "facts", False
        apart.append(distance)
    return "", known.whole and bool(apart) and min(apart) > 1


def _apart(claimed: str, own: str, decade: bool) -> int:
    """Steps between two ages; -1 where they cannot be compared."""
    if decade:
        return abs(int(own.rstrip("s")) - int(claimed.rstrip("s"))) // 10
    if own not in STAGES:
        return -1
    if claimed == "young":
        return max(STAGES.index(own) - STAGES.index("young adult"), 0) * 2
    return abs(STAGES.index(own) - STAGES.index(claimed))


def _colour(found: Found, known: Evidence) -> Answer:
    if found.about == "background":
        return shares(found.value, known.facts.background)
    if found.about == "hair":
        value = HAIR.get(found.value, family(found.value))
        return _told(found, known, lambda person: person.hair, lambda own, _: own == value)
    if found.about == "headwear":
        return _answers([shares(found.value, [p.headwear_colour]) for p in known.facts.people if p.headwear_colour])
    if found.about.startswith("garment "):
        people = candidates(found.who, known)
        answers = [shares(found.value, _worn(person, found.about.removeprefix("garment "))) for person in people]
        by, contradicted = _answers(answers)
        return by, contradicted and known.whole
    things = [thing.colour for thing in known.facts.objects if thing.colour and kind_of(found.about, thing.label)]
    if found.about and things:
        return _answers([shares(found.value, [colour]) for colour in things])
    if not found.about:
        worn = [garment.colours for person in known.facts.people for garment in person.garments]
        return _answers([(shares(found.value, colours)[0], False) for colours in (*worn, known.facts.background)])
    return UNKNOWN


def _answers(answers: Sequence[Answer]) -> Answer:
    """Of several people meant: one is enough to support, all are needed to contradict."""
    by = next((by for by, _ in answers if by), "")
    return by, not by and bool(answers) and all(contradicted for _, contradicted in answers)


def _worn(person: Person, region: str) -> list[Guess]:
    return [guess for garment in _garments(person, region) for guess in garment.colours]


def _garments(person: Person, region: str) -> list[Garment]:
    wider = {"any": ("upper", "lower", "whole", "feet"), "whole": ("whole", "upper", "lower")}
    return [garment for garment in person.garments if garment.region in wider.get(region, (region, "whole"))]


def _garment(found: Found, known: Evidence) -> Answer:
    for person in candidates(found.who, known):
        for garment in person.garments:
            kind = known.sure(garment.kind)
            if kind and kind_of(found.value, kind.value):
                return kind.source or "facts", False
    return UNKNOWN


def _worn_thing(attribute: Callable[[Person], Guess | None]) -> Callable[[Found, Evidence], Answer]:
    def rule(found: Found, known: Evidence) -> Answer:
        def same(own: str, claimed: str) -> bool:
            return own == claimed or (own != NONE and kind_of(claimed, own))

        by, contradicted = _told(found, known, attribute, same)
        if found.who.every and contradicted:
            return "", True
        guesses = [known.sure(attribute(person)) for person in candidates(found.who, known)]
        absent = bool(guesses) and all(guess and guess.value == NONE for guess in guesses)
        return by, contradicted and (absent or found.value == NONE)

    return rule


def _accessory(found: Found, known: Evidence) -> Answer:
    for person in candidates(found.who, known):
        for guess in person.accessories:
            if known.sure(guess) and kind_of(found.value, guess.value):
                return guess.source or "facts", False
    return _object(found, known)


def _hair(found: Found, known: Evidence) -> Answer:
    if found.value in ("bald", "long", "short"):
        return _told(found, known, lambda person: person.hair_length, _equal)
    shades = HAIR_SHADES.get(found.value, (found.value,))
    return _told(found, known, lambda person: person.hair, lambda own, _: own in shades)


def _pose(found: Found, known: Evidence) -> Answer:
    """Standing, walking and leaning are near: measured as one and told as another, they are no contradiction."""
    by, contradicted = _told(found, known, lambda person: person.pose, _equal)
    for person in candidates(found.who, known) if not by else ():
        doing = known.sure(person.activity)
        if doing and any((claim.kind, claim.value) == ("pose", found.value) for claim in claims_of(doing.value)):
            return doing.source or "facts", False
    upright = [person.pose is not None and person.pose.value in UPRIGHT for person in candidates(found.who, known)]
    return by, contradicted and not (found.value in UPRIGHT and all(upright))


def _activity(found: Found, known: Evidence) -> Answer:
    for person in candidates(found.who, known):
        guess = known.sure(person.activity)
        told = {(claim.kind, claim.value) for claim in claims_of(guess.value)} if guess else set()
        if guess and (("activity", found.value) in told or found.value in guess.value.split()):
            return guess.source or "facts", False
    if found.value == "holding" and any(person.accessories for person in candidates(found.who, known)):
        return "facts", False  # a bag is carried; what else is held is a claim of its own
    for relation in known.facts.relations:
        if relation.predicate == found.value and relation.probability >= known.least:
            return relation.source or "geometry", False
    return UNKNOWN


def _object(found: Found, known: Evidence) -> Answer:
    by = noun_known(found.value, known)
    if not by and known.facts.text and found.value.replace(" ", "-") in word_lists()["written"]:
        return known.facts.text[0].source or TEXT, False
    if by and by != TEXT and found.count:
        counts = [thing.count for thing in known.facts.objects if kind_of(found.value, thing.label)]
        if counts and not fits(found.count, sum(counts)):
            return "", True
    return by, found.count == "0" and False


def _place(found: Found, known: Evidence) -> Answer:
    if found.value not in ("indoors", "outdoors"):
        return (TEXT, False) if found.value in known.text.split() else _object(found, known)
    place = known.sure(known.facts.place)
    if place:
        return (place.source or "facts", False) if place.value == found.value else ("", True)
    return UNKNOWN


def _role(found: Found, known: Evidence) -> Answer:
    """Skier, cyclist: of a text, or by the thing that makes one."""
    return noun_known(found.value, known), False


def _position(found: Found, known: Evidence) -> Answer:
    positions = [thing.position for thing in known.facts.objects if kind_of(found.about, thing.label)]
    positions += [person.position for person in candidates(found.who, known)]
    if found.value in positions:
        return "geometry", False
    return "", bool(positions) and known.whole


def _relation(found: Found, known: Evidence) -> Answer:
    if found.about == "person":
        return _beside(found, known)
    stated = [one for one in known.facts.relations if one.label and kind_of(found.about, one.label)]
    for relation in stated:
        if relation.predicate == found.value:
            return relation.source or "geometry", False
    if any(relation.predicate == OPPOSITE.get(found.value) for relation in stated):
        return "", True
    setting = known.sure(known.facts.setting)
    if setting and found.about in setting.value:
        return setting.source or "facts", False
    return noun_known(found.about, known), False


def _beside(found: Found, known: Evidence) -> Answer:
    """How somebody stands to another person: as was measured, or by the boxes for left and right."""
    facts = known.facts
    for relation in facts.relations:
        if relation.other is not None and relation.predicate == found.value:
            return relation.source or "geometry", False
    if found.value not in ("left of", "right of"):
        return ("geometry" if facts.people_count > 1 else ""), False
    middles = [person.box[0] + person.box[2] for person in facts.people]
    own = [person.box[0] + person.box[2] for person in candidates(found.who, known)]
    right = any(
        (middle < other) == (found.value == "left of") for middle in own for other in middles if other != middle
    )
    return ("geometry", False) if right else ("", known.whole and bool(own))


def _shot(found: Found, known: Evidence) -> Answer:
    shots = [person.shot for person in candidates(found.who, known)]
    return ("geometry", False) if found.value in shots else UNKNOWN


def _text(found: Found, known: Evidence) -> Answer:
    wanted = _letters(found.value)
    for guess in known.facts.text:
        if wanted and wanted in _letters(guess.value):
            return guess.source or "text", False
    if wanted and wanted in _letters(" ".join(guess.value for guess in known.facts.text)):
        return "text", False
    return (TEXT, False) if found.value.lower() in known.text else UNKNOWN


def _letters(text: str) -> str:
    return "".join(letter for letter in text.lower() if letter.isalnum())


def _light(found: Found, known: Evidence) -> Answer:
    if found.value == "night":
        return UNKNOWN
    if found.value == known.facts.light:
        return "colour", False
    return "", {found.value, known.facts.light} == {"dim", "bright"}


def _contrast(found: Found, known: Evidence) -> Answer:
    return ("colour", False) if found.value == known.facts.contrast else ("", known.facts.contrast != "medium")


def _monochrome(found: Found, known: Evidence) -> Answer:
    return ("colour", False) if known.facts.monochrome else ("", True)


def _guess(attribute: Callable[[Person], Guess | None]) -> Callable[[Found, Evidence], Answer]:
    return lambda found, known: _told(found, known, attribute, _equal)


def _length(found: Found, known: Evidence) -> Answer:
    def length(person: Person) -> Guess | None:
        return next((garment.length for garment in _garments(person, found.about) if garment.length), None)

    return _told(found, known, length, lambda own, claimed: own.startswith(claimed))


def _sleeves(found: Found, known: Evidence) -> Answer:
    def length(person: Person) -> Guess | None:
        garment = person.garment("upper") or person.garment("whole")
        return garment.length if garment else None

    return _told(found, known, length, _equal)


_RULES: Mapping[str, Callable[[Found, Evidence], Answer]] = {
    "count": _count,
    "gender": _gender,
    "age": _age,
    "colour": _colour,
    "garment": _garment,
    "eyewear": _worn_thing(lambda person: person.eyewear),
    "headwear": _worn_thing(lambda person: person.headwear),
    "beard": _worn_thing(lambda person: person.beard),
    "accessory": _accessory,
    "hair": _hair,
    "expression": _guess(lambda person: person.expression),
    "head": _guess(lambda person: person.head),
    "length": _length,
    "mouth": _guess(lambda person: person.mouth),
    "eyes": _guess(lambda person: person.eyes),
    "pose": _pose,
    "arms": _guess(lambda person: person.arms),
    "activity": _activity,
    "facing": _guess(lambda person: person.facing),
    "shot": _shot,
    "position": _position,
    "relation": _relation,
    "object": _object,
    "place": _place,
    "role": _role,
    "light": _light,
    "contrast": _contrast,
    "monochrome": _monochrome,
    "sleeves": _sleeves,
    "being": lambda found, known: ("", True),
    "bare": lambda found, known: UNKNOWN,
    "text": _text,
}
