"""What people would write about a scene, from its truth: alt-texts, captions, questions, expressions, attributes.

All people are described by what is seen, never by who they are.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from humanvlm.synthetic.sources import backgrounds, people

Truth = Mapping[str, Any]
NUMBERS = ("no", "one", "two")
LIGHT_WORDS = {
    "normal": "A photo",
    "dim": "A dark photo",
    "bright": "A bright photo",
    "warm": "A photo in warm light",
    "overcast": "A pale photo",
}
SIDES = {"left": "on the left", "right": "on the right", "center": "in the middle"}
GERMAN_COLORS = {"red": "roter", "green": "grüner", "blue": "blauer", "white": "weißer", "orange": "oranger"}


@dataclass(frozen=True)
class Question:
    """A question and what people answer, the agreed answer first."""

    question: str
    answers: tuple[str, ...]


@dataclass(frozen=True)
class Attribute:
    """A yes/no question about an apparent attribute."""

    attribute: str
    question: str
    answer: bool


def article(words: str) -> str:
    return f"{'an' if words[0] in 'aeio' else 'a'} {words}"


def joined(words: Sequence[str]) -> str:
    """a / a and b / a, b and c."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def noun(person: Truth) -> str:
    return "elderly woman" if person["age"] >= 60 else "woman"


def clothes(person: Truth) -> str:
    return f"{person['clothing_color']} {person['clothing']}"


def extras(person: Truth) -> list[str]:
    return [word for key, word in (("glasses", "glasses"), ("hat", "a hat")) if person[key]]


def face(person: Truth) -> str:
    return "smiling" if person["smiling"] else "with a serious face"


def captions(truth: Truth) -> list[str]:
    """Five captions of different styles: where, wearing, looks, count, and light."""
    shown, background = truth["people"], backgrounds()[truth["background"]]
    where = joined(
        [f"{article(noun(p))} in {p['clothing_color']} clothing {SIDES[p['side']]}, {face(p)}," for p in shown]
    )
    wearing = joined([f"{article(noun(p))} wearing {joined([article(clothes(p)), *extras(p)])}" for p in shown])
    looks = joined([f"{article(noun(p))} with {joined([p['hair'] + ' hair', *extras(p)])}" for p in shown])
    count = f"{NUMBERS[len(shown)]} {'person' if len(shown) == 1 else 'people'}"
    colors = joined([f"{SIDES[p['side']]} in {p['clothing_color']}" for p in shown])
    verb = "stands" if len(shown) == 1 else "stand"
    return [
        _sentence(f"{where.rstrip(',')} {background.place}"),
        _sentence(f"{wearing} {verb} {background.place}"),
        _sentence(f"portrait of {looks}, with {background.words} behind {'her' if len(shown) == 1 else 'them'}"),
        _sentence(f"there {'is' if len(shown) == 1 else 'are'} {count} in the picture, {colors}"),
        _sentence(
            f"{LIGHT_WORDS[truth['light']]} of {joined([article(noun(p)) for p in shown])} and {background.words}"
        ),
    ]


def detailed(truth: Truth) -> str:
    """Two sentences for each person and one for the background."""
    sentences = []
    for person in truth["people"]:
        sentences.append(f"{article(noun(person))} appears {SIDES[person['side']]} of the picture, {face(person)}")
        extra = f" and {joined(extras(person))}" if extras(person) else ""
        sentences.append(f"she has {person['hair']} hair and wears {article(clothes(person))}{extra}")
    sentences.append(f"the background shows {backgrounds()[truth['background']].words}")
    return " ".join(map(_sentence, sentences))


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."


def alt_text(truth: Truth, rng: random.Random, number: int) -> str | None:
    """An alt-text as the web has them: most say something, many are noise, some are missing."""
    person = rng.choice(truth["people"])
    background = backgrounds()[truth["background"]]
    age = rng.choice(("woman", "lady", noun(person)))
    german = GERMAN_COLORS.get(person["clothing_color"])
    useful = [
        f"{age} in {article(clothes(person))} {background.place}",
        f"Portrait of {article(age)}, {background.words}",
        f"{'Smiling ' if person['smiling'] else ''}{age} - {background.answers[0]}",
        f"{len(truth['people'])} people {background.place}" if len(truth["people"]) > 1 else f"{age} portrait",
        f"Frau in {german} Jacke" if german else f"{age} wearing {person['clothing_color']}",
    ]
    noise = [
        f"IMG_{1000 + number}.JPG",
        f"{clothes(person)} | free shipping | BUY NOW",
        f"photo {number} of 2,310",
        f"stock image: {age}, {background.answers[0]}, {person['clothing_color']}, royalty free",
        "",
        None,
    ]
    return rng.choice(useful) if rng.random() < 0.75 else rng.choice(noise)


def plain_alt_text(background: str, rng: random.Random) -> str:
    """An alt-text of a picture without people."""
    words = backgrounds()[background].words
    return rng.choice((words, f"Photo of {words}", f"{words} wallpaper", f"{words} - high resolution"))


def reference(person: Truth, truth: Truth) -> str:
    """How to point at one person without ambiguity: "the woman", or "the woman on the left" of two."""
    return "the woman" if len(truth["people"]) == 1 else f"the woman {SIDES[person['side']]}"


def expressions(person: Truth, truth: Truth) -> list[str]:
    """Phrases that fit this person of the picture only."""
    others = [other for other in truth["people"] if other is not person]
    phrases = [f"the {noun(person)} {SIDES[person['side']]}"]
    if all(other["clothing_color"] != person["clothing_color"] for other in others):
        phrases += [
            f"the woman in {person['clothing_color']}",
            f"the person wearing {article(clothes(person))}",
        ]
    if all(other["smiling"] != person["smiling"] for other in others):
        phrases.append("the smiling woman" if person["smiling"] else "the woman who is not smiling")
    if person["hat"] and not any(other["hat"] for other in others):
        phrases.append("the woman wearing a hat")
    if person["glasses"] and not any(other["glasses"] for other in others):
        phrases.append("the person with glasses")
    return phrases


def questions(truth: Truth) -> list[Question]:
    """Questions with a short answer that the picture tells."""
    background = backgrounds()[truth["background"]]
    shown = truth["people"]
    hats, glasses = sum(p["hat"] for p in shown), sum(p["glasses"] for p in shown)
    found = [
        Question("How many people are in the picture?", (str(len(shown)), NUMBERS[len(shown)])),
        Question("What is behind the " + ("woman?" if len(shown) == 1 else "people?"), tuple(background.answers)),
        Question("Is anyone wearing a hat?", ("yes" if hats else "no",)),
        Question("Is anyone wearing glasses?", ("yes" if glasses else "no",)),
    ]
    for person in shown:
        who = reference(person, truth)
        found.append(Question(f"What color are the clothes of {who}?", (person["clothing_color"],)))
        found.append(Question(f"What is {who} wearing?", (clothes(person), person["clothing"])))
        if len(shown) == 1:
            side = person["side"]
            places = ("middle", "center") if side == "center" else (side, f"{side} side")
            found.append(Question("Which part of the picture is the woman in?", places))
    return found


def attributes(truth: Truth, rng: random.Random) -> list[Attribute]:
    """Yes/no questions about each person; the colour question comes once with yes and once with no."""
    found = []
    for person in truth["people"]:
        who = reference(person, truth)
        wrong = rng.choice(sorted({c for p in people().values() for c in p.colors} - {person["clothing_color"]}))
        found += [
            Attribute("smiling", f"Is {who} smiling?", person["smiling"]),
            Attribute("eyeglasses", f"Is {who} wearing eyeglasses?", person["glasses"]),
            Attribute("wearing_hat", f"Is {who} wearing a hat?", person["hat"]),
            Attribute("elderly", f"Does {who} appear to be elderly?", person["age"] >= 60),
            Attribute("clothing_color", f"Is {who} wearing {person['clothing_color']} clothes?", True),
            Attribute("clothing_color", f"Is {who} wearing {wrong} clothes?", False),
        ]
    return found
