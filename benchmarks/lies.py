"""Lies that can be told of a picture: each takes its facts and a true caption, and puts one fault into the words.

The wordings of lies.yaml are not those of the checks' tests.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from random import Random

import yaml

from humanvlm.caption.checks.colours import NEAR, family
from humanvlm.caption.facts.colour import NAMES
from humanvlm.caption.template.english import number
from humanvlm.data.facts import NONE, Facts, sure

LEAST = 0.6
NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
GENDERED = {"woman": "man", "man": "woman", "women": "men", "men": "women", "she": "he", "he": "she"}
GENDERED |= {"her": "his", "his": "her"}
Lie = Callable[[Facts, str, Random], "tuple[str, str] | None"]  # the text with it, and the lie; None: it cannot be told


@cache
def listed() -> Mapping[str, Sequence[str]]:
    text = Path(__file__).with_name("lies.yaml").read_text(encoding="utf-8")
    found: Mapping[str, Sequence[str]] = yaml.safe_load(text)
    return found


def beside(text: str, lie: str, random: Random) -> tuple[str, str]:
    """The lie before, behind, or between true sentences."""
    parts = re.split(r"(?<=[.!?])\s+(?=[A-Z])", text)
    at = random.randint(0, len(parts))
    return " ".join([*parts[:at], lie, *parts[at:]]), lie


def swapped(text: str, pattern: str, other: str, random: Random) -> tuple[str, str] | None:
    """One match of a pattern told otherwise, with the words around it as the lie."""
    matches = list(re.finditer(pattern, text))
    if not matches:
        return None
    match = random.choice(matches)
    new = other[0].upper() + other[1:] if match[0][0].isupper() else other
    start, end = max(match.start() - 12, 0), min(match.end() + 12, len(text))
    return text[: match.start()] + new + text[match.end() :], text[start : match.start()] + new + text[
        match.end() : end
    ]


def who(facts: Facts, random: Random) -> tuple[str, str]:
    """Somebody of the picture, with an article and without."""
    gender = sure(random.choice(facts.people).gender, LEAST) if facts.people else ""
    noun = {"female": "woman", "male": "man"}.get(gender, "person")
    return f"The {noun}", noun


def said(kind: str) -> Lie:
    """A sentence of lies.yaml beside the truth."""

    def lie(facts: Facts, text: str, random: Random) -> tuple[str, str] | None:
        subject, noun = who(facts, random)
        thing = random.choice([one for one in listed()["things"] if one not in text])
        words = random.choice(listed()[kind])
        told = words.format(who=subject, noun=noun, name=random.choice(listed()["names"]), thing=thing)
        told = re.sub(r"\b([Aa]) (?=[aeiou])", r"\1n ", told)
        return None if kind == "place" and facts.setting and facts.setting.value in told else beside(text, told, random)

    return lie


def wrapped(kind: str) -> Lie:
    """A whole reply of lies.yaml, with the true caption in it or without."""

    def lie(facts: Facts, text: str, random: Random) -> tuple[str, str]:
        form = random.choice(listed()[kind])
        if kind == "language" and random.random() < 0.5:
            return beside(text, form, random)
        parts = [part.strip() for line in form.replace("{{", "{").replace("}}", "}").split("{}") for part in [line]]
        return form.format(*[text] * 3), "\n".join(parts)

    return lie


def count(facts: Facts, text: str, random: Random) -> tuple[str, str] | None:
    wrong = random.choice([one for one in range(2, 9) if one != facts.people_count])
    here = rf"\b(?:{'|'.join(NUMBERS)})\b(?= (?:people|persons))"
    others = ("{} people are in the picture.", "A group of {} is shown.", "In all, {} people can be counted.")
    return swapped(text, here.replace("(?:", "(?i:", 1), number(wrong), random) or beside(
        text, random.choice(others).format(number(wrong)).replace(number(wrong), number(wrong)), random
    )


def far_colour(known: Sequence[str], random: Random) -> str:
    """A colour that cannot be taken for any of those."""
    own = {family(name) for name in known}
    far = [
        name
        for name in NAMES
        if family(name) == name and name not in own and not any(frozenset((name, one)) in NEAR for one in own)
    ]
    return random.choice(far) if far else ""


def colour(facts: Facts, text: str, random: Random) -> tuple[str, str] | None:
    """Of what is worn."""
    worn = [one.value for person in facts.people for garment in person.garments for one in garment.colours]
    wrong = far_colour(worn, random)
    if not worn or not wrong:
        return None
    names = "|".join(sorted(set(worn), key=len, reverse=True))
    return swapped(
        text, rf"\b(?:{names})(?= (?:shirt|suit|jacket|dress|coat|sweater|t-shirt|clothes|jersey))", wrong, random
    ) or beside(text, f"{who(facts, random)[0]} wears {random.choice((f'{wrong} clothes', f'a {wrong} top'))}.", random)


def background(facts: Facts, text: str, random: Random) -> tuple[str, str] | None:
    wrong = far_colour([one.value for one in facts.background], random)
    if not facts.background or not wrong:
        return None
    lie = random.choice((f"The background is {wrong}.", f"Behind, everything is {wrong}.", f"The backdrop is {wrong}."))
    return beside(text, lie, random)


def gender(facts: Facts, text: str, random: Random) -> tuple[str, str] | None:
    """Everybody's turned round, where all are known to be of one."""
    known = {sure(person.gender, LEAST) for person in facts.people}
    if len(known) != 1 or known == {""} or len(facts.people) < facts.people_count:
        return None
    if not re.search(r"\b(?:wo)?m[ae]n\b", text):
        return None
    return (
        turned := re.sub(
            r"\b\w+\b", lambda word: _cased(word[0], GENDERED.get(word[0].lower(), word[0].lower())), text
        ),
        next(word for word in re.findall(r"\b(?:[Ww]oman|[Mm]an|[Ww]omen|[Mm]en)\b.{12}", turned)),
    )


def _cased(word: str, other: str) -> str:
    if other == word.lower():
        return word
    return other[0].upper() + other[1:] if word[0].isupper() else other


def thing(facts: Facts, text: str, random: Random) -> tuple[str, str] | None:
    """Something that is not there, in place of something that is where one is named."""
    wrong = random.choice([one for one in listed()["things"] if one not in text])
    labels = "|".join(re.escape(one.label) for one in facts.objects)
    inside = swapped(text, rf"\b(?:{labels})\b", wrong, random) if labels else None
    return inside if inside and random.random() < 0.7 else said("thing")(facts, text, random)


def value(field: str, words: Mapping[str, str]) -> Lie:
    """Another value of a fact that everybody of the picture has alike, said of one of them. words: how each is said."""

    def lie(facts: Facts, text: str, random: Random) -> tuple[str, str] | None:
        known = {sure(getattr(person, field), LEAST) for person in facts.people}
        if "" in known or not known or len(facts.people) < facts.people_count:
            return None
        wrong = [name for name in words if name not in known]
        return beside(text, f"{who(facts, random)[0]} {words[random.choice(wrong)]}.", random) if wrong else None

    return lie


def garment(facts: Facts, text: str, random: Random) -> tuple[str, str] | None:
    kinds = {one.kind.value for person in facts.people for one in person.garments if one.kind}
    if not kinds:
        return None
    wrong = random.choice(("kimono", "apron", "tuxedo", "sari", "wetsuit", "poncho"))
    named = "|".join(sorted(kinds, key=len, reverse=True))
    return swapped(text, rf"\b(?:{named})\b", wrong, random)


def scene(facts: Facts, text: str, random: Random) -> tuple[str, str] | None:
    place = sure(facts.place, LEAST)
    if not place:
        return said("place")(facts, text, random)
    wrong = {"indoors": "outdoors", "outdoors": "indoors"}[place]
    lies = (f"The picture was taken {wrong}.", f"They are {wrong}.", f"It is an {wrong[:-1]} scene.")
    return swapped(text, rf"\b{place}\b", wrong, random) or beside(text, random.choice(lies), random)


def side(facts: Facts, text: str, random: Random) -> tuple[str, str] | None:
    if facts.people_count != 1 or facts.people[0].position not in ("left", "right"):
        return None
    wrong = {"left": "right", "right": "left"}[facts.people[0].position]
    return beside(text, f"{who(facts, random)[0]} is on the {wrong} of the picture.", random)


def light(facts: Facts, text: str, random: Random) -> tuple[str, str] | None:
    wrong = {"dim": "The light is bright.", "bright": "The scene is dimly lit."}
    if facts.light not in wrong:
        return beside(text, "It is a black-and-white photograph.", random) if not facts.monochrome else None
    return beside(text, wrong[facts.light], random)


def own_sheet(facts: Facts, text: str, random: Random) -> tuple[str, str]:
    """Lines of the fact sheet, or of what was asked, instead of a sentence."""
    from humanvlm.caption.captioners.prompts import load_prompt
    from humanvlm.caption.captioners.sheet import fact_sheet

    rules = [line.removeprefix("- ") for line in load_prompt("rules.txt").text.splitlines()[2:]]
    line = random.choice([*fact_sheet(facts, LEAST).splitlines(), *rules])
    return beside(text, line, random)


def cut_off(facts: Facts, text: str, random: Random) -> tuple[str, str]:
    end = random.choice(("The person wears a", "To the left there", "In addition, the", "She has long"))
    return f"{text} {end}", end


def repeated(facts: Facts, text: str, random: Random) -> tuple[str, str]:
    words = random.choice(
        ("and a person and a person and a person", "very very very very", "in the picture in the picture")
    )
    return beside(text, f"There is light {words}.", random)


WRAPPED = (
    *("refusal", "thought closed", "thought unclosed", "thought aloud", "language", "boilerplate", "broken json"),
    *("markdown", "template tokens"),
)
LIES: Mapping[str, Lie] = {
    "count": count,
    "colour": colour,
    "background colour": background,
    "gender": gender,
    "object": thing,
    "garment": garment,
    "hair": value("hair", {name: f"has {name} hair" for name in ("black", "brown", "blond", "grey", "red")}),
    "headwear": value(
        "headwear", {"hat": "wears a hat", "helmet": "has a helmet on", "headscarf": "wears a headscarf"}
    ),
    "eyewear": value("eyewear", {"glasses": "is wearing glasses", "sunglasses": "has sunglasses on"}),
    "beard": value("beard", {"beard": "has a full beard", NONE: "is clean-shaven", "moustache": "has a moustache"}),
    "expression": value("expression", {"happy": "is smiling", "sad": "is crying", "angry": "looks furious"}),
    "pose": value("pose", {"standing": "stands", "sitting": "is seated", "lying": "lies down", "kneeling": "kneels"}),
    "age": value("stage", {"child": "is a child", "older": "is elderly"}),
    "place": scene,
    "side": side,
    "light": light,
    "text": said("text"),
    "doing": said("doing"),
    "role": said("role"),
    "name": said("name"),
    **{kind: said(kind) for kind in ("ethnicity", "religion", "health", "sexuality", "politics")},
    **{kind: wrapped(kind) for kind in WRAPPED},
    "sheet or prompt": own_sheet,
    "cut off": cut_off,
    "repetition": repeated,
}  # fmt: skip
