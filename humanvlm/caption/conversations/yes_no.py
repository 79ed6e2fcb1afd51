"""Questions with a yes or a no: of every fact one that is true of it, or one that it contradicts.

A no is said only where the fact that would make it a yes was looked for and is another: never because nothing is known.
"""

from collections.abc import Iterator

from humanvlm.caption.conversations.references import refer
from humanvlm.caption.conversations.scene import Scene, Turn
from humanvlm.caption.template.english import article
from humanvlm.data.facts import NONE, Person
from humanvlm.data.prompts import YES_NO

# Colours that people call by each other's name, or that light and shadow make of each other.
NEAR = {
    "black": "grey blue brown",
    "grey": "black white blue beige",
    "white": "grey beige",
    "red": "pink orange brown purple",
    "pink": "red purple orange beige",
    "orange": "red yellow brown pink beige",
    "brown": "red orange beige black yellow",
    "beige": "brown white yellow pink grey orange",
    "yellow": "orange beige green brown",
    "green": "yellow blue",
    "blue": "purple green grey black",
    "purple": "blue pink red",
}
# What may be asked of a person who is, or has, the key, and is a no.
OTHER_POSES = {
    "standing": ("sitting", "lying"),
    "walking": ("sitting", "lying"),
    "sitting": ("standing", "lying"),
    "lying": ("standing", "sitting"),
    "kneeling": ("lying",),
    "crouching": ("lying",),
}
OTHER_HAIR = {
    "black": ("blond", "red"),
    "brown": ("grey",),
    "blond": ("black",),
    "grey": ("black", "red"),
    "red": ("black",),
}


def statements(scene: Scene) -> Iterator[Turn]:
    """About every person, where one can be pointed at, and the whole picture."""
    for person in scene.facts.people:
        for key, question, answer, avoid in _of_person(scene, person):
            if who := refer(scene, person, avoid):
                yield _turn(question.format(who=who), answer, key)
    facts = scene.facts
    if place := scene.sure(facts.place):
        asked = scene.pick("indoors", "outdoors")
        yield _turn(f"Was the picture taken {asked}?", place == asked, asked)
    if facts.people_count:
        yield _turn("Is there more than one person in the picture?", facts.people_count > 1, "several")
    yield _turn("Is the picture in black and white?", facts.monochrome, "monochrome")


def _turn(question: str, answer: bool, key: str) -> Turn:
    return Turn("yes_no", YES_NO.format(question=question), "yes" if answer else "no", key)


def _of_person(scene: Scene, person: Person) -> Iterator[tuple[str, str, bool, str]]:
    """(key, question, answer, what the expression must not say)."""
    gender, stage = scene.sure(person.gender), scene.sure(person.stage)
    if gender and stage not in ("child", "teenager"):
        asked = scene.pick("female", "male")
        noun = {"female": "woman", "male": "man"}[asked]
        yield noun, f"Does {{who}} appear to be a {noun}?", gender == asked, "noun"
    if stage:
        yield "elderly", "Does {who} appear to be elderly?", stage == "older", "noun"
        yield "child", "Does {who} appear to be a child?", stage == "child", "noun"
    if (expression := scene.sure(person.expression)) in ("happy", "neutral"):
        yield "smiling", "Is {who} smiling?", expression == "happy", "smile"
    if eyewear := scene.sure(person.eyewear):
        kind = eyewear if eyewear != NONE else scene.pick("glasses", "sunglasses")
        yield kind, f"Is {{who}} wearing {kind}?", eyewear != NONE, "eyewear"
    if headwear := scene.sure(person.headwear):
        kind = "hat" if headwear == NONE else headwear
        yield "hat", f"Is {{who}} wearing {article(kind)}?", headwear != NONE, "headwear"
    if beard := scene.sure(person.beard):
        kind = "beard" if beard == NONE else beard
        yield "beard", f"Does {{who}} have {article(kind)}?", beard != NONE, "beard"
    if pose := scene.sure(person.pose):
        yield "pose", f"Is {{who}} {pose}?", True, "pose"
        if others := OTHER_POSES.get(pose):
            yield "pose", f"Is {{who}} {scene.pick(*others)}?", False, "pose"
    if (hair := scene.sure(person.hair)) and not scene.facts.monochrome:
        yield "hair", f"Does {{who}} have {hair} hair?", True, "hair"
        if others := OTHER_HAIR.get(hair):
            yield "hair", f"Does {{who}} have {scene.pick(*others)} hair?", False, "hair"
    yield from _colours(scene, person)


def _colours(scene: Scene, person: Person) -> Iterator[tuple[str, str, bool, str]]:
    """A colour that covers most of a garment, and one that no garment has anything like, all of them being known."""
    question = "Is {{who}} wearing {} clothes?"
    worn = [scene.colours(garment) for garment in person.garments]
    if single := [colour for colour in worn if colour and " and " not in colour]:
        yield "colour", question.format(scene.pick(*single)), True, "colour"
    if scene.dressed(person):
        seen = scene.families(person)
        absent = [colour for colour, near in NEAR.items() if not seen & {colour, *near.split()}]
        if absent:
            yield "colour", question.format(scene.pick(*absent)), False, "colour"
