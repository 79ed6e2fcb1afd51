"""Random facts, and what a sentence says of them, read independently of how it was written."""

import re
from random import Random

from hypothesis import strategies as st

from humanvlm.caption.conversations.scene import Scene
from humanvlm.caption.facts.colour import FAMILIES
from humanvlm.data.facts import NONE, Facts, Garment, Guess, Person, Thing

LEAST = 0.6
COLOURS = ("black", "white", "grey", "red", "dark red", "orange", "green", "blue", "light blue")
LABELS = ("dog", "horse", "bicycle", "car", "kite", "umbrella", "laptop", "pizza", "chair", "tie")
SHADE = "|".join(sorted(COLOURS, key=len, reverse=True))
EXPRESSION = re.compile(
    r"the (?P<noun>woman|man|girl|boy|child|person)(?: (?P<pose>standing|sitting|lying|walking))?"
    rf"(?: in (?P<colour>(?:{SHADE})(?: and (?:{SHADE}))?))?"
    r"(?: with (?P<eyewear>glasses|sunglasses))?(?: wearing an? (?P<headwear>hat|cap|helmet))?"
    r"(?P<smile> who is smiling)?(?: (?:on the (?P<side>left|right)|(?P<middle>in the middle)))?"
    r"(?: farthest to the (?P<end>left|right))?(?P<most> who takes up most of the picture)?"
)


def guess(values: tuple[str, ...]) -> st.SearchStrategy[Guess | None]:
    return st.none() | st.builds(Guess, st.sampled_from(values), st.sampled_from([0.3, 0.59, 0.6, 0.95]))


@st.composite
def shares(draw: st.DrawFn) -> tuple[Guess, ...]:
    names = draw(st.lists(st.sampled_from(COLOURS), max_size=2, unique=True))
    parts = draw(st.sampled_from([(0.8, 0.2), (0.5, 0.4)]))
    return tuple(Guess(name, share) for name, share in zip(names, parts, strict=False))


@st.composite
def people(draw: st.DrawFn) -> Person:
    x, y = draw(st.integers(0, 350)), draw(st.integers(0, 150))
    box = (float(x), float(y), float(x + draw(st.integers(20, 150))), float(y + draw(st.integers(40, 150))))
    middle = (box[0] + box[2]) / 2
    regions = draw(st.sampled_from([(), ("upper",), ("upper", "lower"), ("whole",)]))
    kinds = {"upper": ("suit", "jersey"), "lower": ("skirt", "jeans"), "whole": ("gown", "dress")}
    return Person(
        box,
        (box[0] + 5, box[1] + 2, box[0] + 15, box[1] + 12),
        "left" if middle < 180 else "right" if middle > 320 else "centre",
        draw(st.sampled_from(["close-up", "half-length", "full-length", "partial"])),
        size=(box[2] - box[0]) * (box[3] - box[1]) / 150000,
        facing=draw(guess(("camera", "left", "away"))),
        gender=draw(guess(("female", "male"))),
        age=draw(guess(("20s", "60s"))),
        stage=draw(guess(("child", "teenager", "young adult", "older"))),
        expression=draw(guess(("happy", "neutral", "sad"))),
        hair=draw(guess(("black", "blond", "grey"))),
        hair_length=draw(guess(("bald", "long"))),
        headwear=draw(guess((NONE, "hat", "cap", "helmet"))),
        headwear_colour=draw(guess(("red", "blue"))),
        eyewear=draw(guess((NONE, "glasses", "sunglasses"))),
        beard=draw(guess((NONE, "beard", "moustache"))),
        garments=tuple(Garment(region, draw(shares()), draw(guess(kinds[region]))) for region in regions),
        accessories=tuple(filter(None, [draw(guess(("tie", "backpack")))])),
        pose=draw(guess(("standing", "sitting", "lying", "walking"))),
        activity=draw(guess(("riding a horse", "holding an umbrella"))),
    )


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    known = tuple(draw(st.lists(people(), max_size=4)))
    facts = Facts(
        *(500, 300),
        len(known) + draw(st.sampled_from([0, 0, 0, 1, 30])),
        known,
        draw(st.sampled_from(["dim", "even", "bright"])),
        "medium",
        draw(st.sampled_from([False, False, True])),
        objects=draw(things()),
        place=draw(guess(("indoors", "outdoors"))),
        setting=draw(guess(("in front of a palace", "on a beach"))),
        background=draw(shares()),
        text=tuple(filter(None, [draw(guess(("STOP", "Car hire")))])),
    )
    boxed = frozenset(place for place in range(len(known)) if draw(st.booleans()))
    points = {place: point_out(known[place]) for place in boxed}
    return Scene(facts, LEAST, Random(draw(st.integers(0, 9))), boxed, points, draw(st.sampled_from([(), ("car",)])))


def point_out(person: Person) -> dict[str, tuple[float, float]]:
    x, y = person.box[:2]
    return {"nose": (x + 9, y + 5), "left eye": (x + 12, y + 3)}


@st.composite
def things(draw: st.DrawFn) -> tuple[Thing, ...]:
    labels = draw(st.lists(st.sampled_from(LABELS), max_size=4, unique=True))
    boxes = st.none() | st.just((5.0, 5.0, 90.0, 80.0))
    numbers, surely = st.integers(1, 3), st.sampled_from([0.2, 0.7])
    return tuple(Thing(label, draw(numbers), "left", draw(surely), "", draw(boxes)) for label in labels)


def value(one: Guess | None) -> str:
    """What is known; empty: unknown."""
    return one.value if one and one.probability >= LEAST else ""


def family(colour: str) -> str:
    return FAMILIES.get(colour, colour)


def may_be(phrase: str, person: Person, facts: Facts) -> bool:
    """Whether nothing that is known of the person contradicts the phrase."""
    found = EXPRESSION.fullmatch(phrase)
    assert found, phrase
    said = found.groupdict()
    if said["most"]:
        return person.size >= max(one.size for one in facts.people) / 1.3
    sexes = {"woman": "female", "girl": "female", "man": "male", "boy": "male"}
    sex = sexes.get(said["noun"], "")
    if sex and value(person.gender) not in ("", sex):
        return False
    if said["pose"] and value(person.pose) not in ("", said["pose"]):
        return False
    if said["colour"]:
        worn = {family(one.value) for garment in person.garments for one in garment.colours}
        regions = {garment.region for garment in person.garments if garment.colours}
        whole = regions >= {"upper", "lower"} or "whole" in regions
        whole = whole or ("upper" in regions and person.shot in ("close-up", "half-length"))
        if whole and not {family(colour) for colour in said["colour"].split(" and ")} & worn:
            return False
    if said["eyewear"] and value(person.eyewear) == NONE:
        return False
    if said["headwear"] and value(person.headwear) == NONE:
        return False
    if said["smile"] and value(person.expression) == "neutral":
        return False
    side = "centre" if said["middle"] else said["side"]
    if side and side != person.position:
        return False
    middles = [(one.box[0] + one.box[2]) / 2 for one in facts.people]
    mine = (person.box[0] + person.box[2]) / 2
    return not said["end"] or mine == (min if said["end"] == "left" else max)(middles)


def meant(phrase: str, facts: Facts) -> Person:
    """The one person that a phrase fits."""
    fitting = [person for person in facts.people if may_be(phrase, person, facts)]
    assert len(fitting) == 1, (phrase, fitting)
    assert len(facts.people) == facts.people_count or "takes up most" in phrase
    return fitting[0]
