"""Expressions that point at one person of the picture and fit no other (Mao et al. 2016, REG).

An expression is used only when every other person is known to differ in something it says. What is unknown of another
person may fit, and people who are only counted may fit anything.
"""

from collections.abc import Iterator
from itertools import combinations

from humanvlm.caption.conversations.scene import Scene
from humanvlm.caption.facts.colour import FAMILIES
from humanvlm.caption.template.english import article
from humanvlm.data.facts import NONE, Person

SIDES = {"left": "on the left", "centre": "in the middle", "right": "on the right"}
APART = 0.08  # of the picture's width, by which the middle of the outermost person is farther out than the next
LARGER = 1.3  # times another's share of the picture
MOST_QUALIFIERS = 2


def references(scene: Scene, person: Person, avoid: frozenset[str] = frozenset()) -> list[str]:
    """Phrases that fit this person of the picture only, the shortest first; none when there is no such phrase.

    avoid: what they must not say, of noun, side, colour, eyewear, headwear, smile, pose: what is asked, say.
    """
    known = scene.phrases.get((id(person), avoid))
    if known is None:
        known = scene.phrases[id(person), avoid] = _phrases(scene, person, avoid)
    return known


def refer(scene: Scene, person: Person, *avoid: str) -> str:
    """One of the shorter phrases, chosen by the seed; empty when none fits this person only."""
    return scene.random.choice(found[:4]) if (found := references(scene, person, frozenset(avoid))) else ""


def _phrases(scene: Scene, person: Person, avoid: frozenset[str]) -> list[str]:
    noun = "person" if "noun" in avoid else scene.noun(person)
    if not scene.everybody:
        others = [one.size for one in scene.facts.people if one is not person]
        largest = person.size > LARGER * max(others, default=0) and person is scene.facts.people[0]
        return [f"the {noun} who takes up most of the picture"] if largest else []
    qualifiers = [(slot, words) for slot, words in _qualifiers(scene, person) if slot not in avoid]
    found = [
        " ".join([f"the {noun}", *(words for _, words in chosen)])
        for size in range(MOST_QUALIFIERS + 1)
        for chosen in combinations(qualifiers, size)
        if _fits_only(scene, person, {slot for slot, _ in chosen} | ({"noun"} if noun != "person" else set()))
    ]
    return found or (
        [f"the {noun} {outermost}"] if (outermost := _outermost(scene, person)) and "side" not in avoid else []
    )


def _qualifiers(scene: Scene, person: Person) -> Iterator[tuple[str, str]]:
    """(slot, words) in the order in which they are said."""
    if scene.sure(person.pose):
        yield "pose", scene.sure(person.pose)
    if colour := scene.colours(person.garment("upper") or person.garment("whole")):
        yield "colour", f"in {colour}"
    if (eyewear := scene.sure(person.eyewear)) not in ("", NONE):
        yield "eyewear", f"with {eyewear}"
    if (headwear := scene.sure(person.headwear)) not in ("", NONE):
        yield "headwear", f"wearing {article(headwear)}"
    if scene.sure(person.expression) == "happy":
        yield "smile", "who is smiling"
    yield "side", SIDES[person.position]


def _fits_only(scene: Scene, person: Person, slots: set[str]) -> bool:
    return all(
        any(_differs(scene, slot, person, other) for slot in slots)
        for other in scene.facts.people
        if other is not person
    )


def _differs(scene: Scene, slot: str, person: Person, other: Person) -> bool:
    """Whether what is said of the person is known to be otherwise with the other."""
    match slot:
        case "noun":
            genders = scene.sure(person.gender), scene.sure(other.gender)
            return "" not in genders and genders[0] != genders[1]
        case "side":
            return person.position != other.position
        case "colour":
            said = scene.colours(person.garment("upper") or person.garment("whole")).split(" and ")
            theirs = scene.families(other)
            return scene.dressed(other) and not {FAMILIES.get(colour, colour) for colour in said} & theirs
        case "eyewear":
            return scene.sure(other.eyewear) == NONE
        case "headwear":
            return scene.sure(other.headwear) == NONE
        case "smile":
            return scene.sure(other.expression) == "neutral"
        case "pose":
            poses = scene.sure(person.pose), scene.sure(other.pose)
            return "" not in poses and poses[0] != poses[1]
    raise ValueError(f"no such slot: {slot}")


def _outermost(scene: Scene, person: Person) -> str:
    """Farthest to the left or right, when the next person is clearly nearer to the middle."""
    middle = (person.box[0] + person.box[2]) / 2
    others = [(one.box[0] + one.box[2]) / 2 for one in scene.facts.people if one is not person]
    apart = APART * scene.facts.width
    if all(middle < other - apart for other in others):
        return "farthest to the left"
    return "farthest to the right" if all(middle > other + apart for other in others) else ""
