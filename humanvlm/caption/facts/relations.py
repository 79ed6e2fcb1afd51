"""How people stand to things and to each other, by the geometry of boxes and joints; what they do with them, and what
they wear or carry. Conservative: where boxes do not tell, nothing is said.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from humanvlm.caption.facts.pose import ANKLES, HIPS, LEAST, WRISTS, Points
from humanvlm.data.detections import Box, area, box_of, overlap
from humanvlm.data.facts import Guess, Person, Relation

GEOMETRY = "geometry"
MOUNTS = ("bicycle", "motorcycle", "horse", "elephant")
BOARDS = ("skateboard", "surfboard", "snowboard")
SEATS = ("bench", "chair", "couch", "bed")
WORN = ("tie", "backpack", "handbag")
HELD = (
    *("umbrella", "cell phone", "bottle", "cup", "wine glass", "tennis racket", "baseball bat", "frisbee", "book"),
    *("remote", "banana", "apple", "sandwich", "hot dog", "donut", "cake", "toothbrush", "hair drier", "scissors"),
    *("knife", "fork", "spoon", "teddy bear", "suitcase", "sports ball", "surfboard", "skateboard", "snowboard"),
)
FRONTS = ("dining table", "laptop", "cake", "pizza", "keyboard", "sink", "oven")  # people are behind these
STANDING_THINGS = (  # what somebody can stand beside
    *("bicycle", "motorcycle", "car", "bus", "train", "truck", "boat", "airplane", "horse", "cow", "sheep", "dog"),
    *("elephant", "zebra", "giraffe", "fire hydrant", "stop sign", "parking meter", "traffic light", "bench"),
    *("refrigerator", "potted plant", "tv", "couch", "chair", "bed", "suitcase"),
)
ACTIVITIES = {
    ("riding", "surfboard"): "surfing",
    ("riding", "snowboard"): "snowboarding",
    ("riding", "skis"): "skiing",
    ("holding", "tennis racket"): "playing tennis",
    ("holding", "baseball bat"): "playing baseball",
    ("holding", "sports ball"): "holding a ball",
}


@dataclass(frozen=True)
class Stance:
    """One person's box, joints (scores of 0 where none was seen) and whether the pose is a sitting one."""

    box: Box
    points: Points
    pose: str = ""

    @property
    def width(self) -> float:
        return self.box[2] - self.box[0]

    @property
    def height(self) -> float:
        return self.box[3] - self.box[1]


def relate(people: Sequence[Stance], objects: Sequence[Mapping[str, Any]]) -> tuple[Relation, ...]:
    """Relations of each person to detected things, the surest of each thing, and to the next person on the right.

    objects: rows with ``label``, ``score`` and ``box`` (xyxy px).
    """
    found: list[Relation] = []
    for number, stance in enumerate(people):
        best: dict[str, Relation] = {}
        for thing in objects:
            related = _to_thing(stance, str(thing["label"]), box_of(thing["box"]))
            if related is None:
                continue
            predicate, sureness = related
            probability = round(sureness * float(thing["score"]) ** 0.5, 3)
            relation = Relation(number, predicate, probability, str(thing["label"]), source=GEOMETRY)
            if relation.label not in best or best[relation.label].probability < probability:
                best[relation.label] = relation
        found += best.values()
    return (*found, *_beside_each_other(people))


def wearer(thing: Mapping[str, Any], people: Sequence[Stance]) -> int | None:
    """Who wears a detected tie, backpack or handbag: the person whose box it is in most, 60% of it at least."""
    box = box_of(thing["box"])
    if thing["label"] not in WORN:
        return None
    inside = [_inside(box, one.box) if area(box) < 0.5 * area(one.box) else 0.0 for one in people]
    most = max(range(len(people)), key=lambda number: (inside[number], -number), default=None)
    return most if most is not None and inside[most] >= 0.6 else None


def with_things(
    people: Sequence[Person],
    stances: Sequence[Stance],
    objects: Sequence[Mapping[str, Any]],
    related: Sequence[Relation],
) -> tuple[Person, ...]:
    """The people with what they wear (``accessories``) and do (``activity``)."""
    worn: list[dict[str, Guess]] = [{} for _ in people]
    for thing in objects:
        if (number := wearer(thing, stances)) is not None:
            guess = Guess(str(thing["label"]), round(float(thing["score"]) ** 0.5, 3))
            known = worn[number].setdefault(guess.value, guess)
            worn[number][guess.value] = max(known, guess, key=lambda one: one.probability)
    return tuple(
        replace(
            person,
            accessories=(*person.accessories, *(guess for name, guess in sorted(worn[number].items()))),
            activity=person.activity or activity(number, person.pose, related),
        )
        for number, person in enumerate(people)
    )


def activity(number: int, pose: Guess | None, relations: Sequence[Relation]) -> Guess | None:
    """What a person does with a thing, a phrase that follows "is": riding before holding, sitting on and beside."""
    rank = ("riding", "holding", "on", "beside")
    mine = [one for one in relations if one.person == number and one.label and one.predicate in rank]
    for relation in sorted(mine, key=lambda one: (rank.index(one.predicate), -one.probability, one.label)):
        phrase = _phrase(relation, pose.value if pose else "")
        if phrase:
            return Guess(phrase, relation.probability, GEOMETRY)
    return None


def _phrase(relation: Relation, pose: str) -> str:
    known = ACTIVITIES.get((relation.predicate, relation.label))
    if known:
        return known
    thing = f"{'an' if relation.label[0] in 'aeiou' else 'a'} {relation.label}"
    if relation.predicate in ("riding", "holding"):
        return f"{relation.predicate} {thing}"
    if relation.predicate == "on":
        return f"{'lying' if relation.label == 'bed' and pose == 'lying' else 'sitting'} on {thing}"
    return f"standing beside {thing}" if pose == "standing" else ""


def _to_thing(stance: Stance, label: str, box: Box) -> tuple[str, float] | None:
    """(predicate, how sure the geometry is of it), or None."""
    if label in WORN or label == "person":
        return None
    if label in MOUNTS and _rides(stance, box):
        return "riding", 0.95
    if label in BOARDS and _stands_on(stance, box):
        return "riding", 0.75  # much of what lies flat at somebody's feet is taken for a board
    if label == "skis" and _under_feet(stance, box):
        return "riding", 0.9
    if label in HELD and _holds(stance, box):
        return "holding", 0.9
    if label in SEATS and _sits_on(stance, box):
        return "on", 0.9 if stance.pose in ("sitting", "lying") else 0.75
    if label in FRONTS and _in_front(stance, box):
        return "behind", 0.85
    if label in STANDING_THINGS:
        if _covers(stance, box):
            return "in front of", 0.85
        if _next_to(stance, box):
            return "beside", 0.85
    return None


def _rides(stance: Stance, box: Box) -> bool:
    """The person's middle is over the mount, hips above its middle, head above its top, feet not below its wheels."""
    x0, y0, x1, y1 = box
    left, top, right, bottom = stance.box
    middle, height = (left + right) / 2, y1 - y0
    hips = stance.points[list(HIPS)]
    hips = hips[hips[:, 2] >= LEAST]
    seat = float(hips[:, 1].mean()) if len(hips) else (top + bottom) / 2
    return bool(
        x0 <= middle <= x1
        and top < y0 - 0.1 * height
        and y0 - 0.35 * height <= seat <= y0 + 0.55 * height
        and y0 + 0.3 * height <= bottom <= y1 + 0.1 * height
        and overlap(stance.box, box) >= 0.2 * min(area(stance.box), area(box))
    )


def _stands_on(stance: Stance, box: Box) -> bool:
    """A board that lies flat below the person's feet."""
    x0, y0, x1, y1 = box
    return y1 - y0 < 0.5 * stance.height and x1 - x0 >= 1.2 * (y1 - y0) and _under_feet(stance, box)


def _under_feet(stance: Stance, box: Box) -> bool:
    """The box is about the lowest fifth of the person, or the ankles that are seen are in it."""
    x0, y0, x1, y1 = box
    left, top, right, bottom = stance.box
    margin = 0.08 * stance.height
    ankles = stance.points[list(ANKLES)]
    ankles = ankles[ankles[:, 2] >= LEAST]
    if len(ankles):
        x, y = ankles[:, 0].mean(), ankles[:, 1].mean()
        return bool(x0 - margin <= x <= x1 + margin and y0 - margin <= y <= y1 + margin)
    return bool(
        min(x1, right) - max(x0, left) > 0.5 * stance.width
        and top + 0.7 * stance.height < (y0 + y1) / 2 < bottom + margin
    )


def _holds(stance: Stance, box: Box) -> bool:
    """A wrist that is seen is at the thing, which is smaller than the person."""
    if area(box) > area(stance.box):
        return False
    x0, y0, x1, y1 = box
    reach = 0.06 * stance.height
    return any(
        score >= LEAST and x0 - reach <= x <= x1 + reach and y0 - reach <= y <= y1 + reach
        for x, y, score in stance.points[list(WRISTS)]
    )


def _sits_on(stance: Stance, box: Box) -> bool:
    """The hips that are seen are within the seat, in a pose that is not standing."""
    hips = stance.points[list(HIPS)]
    hips = hips[hips[:, 2] >= LEAST]
    if not len(hips) or stance.pose == "standing":
        return False
    x, y = hips[:, 0].mean(), hips[:, 1].mean()
    x0, y0, x1, y1 = box
    inside = x0 <= x <= x1 and y0 <= y <= y1
    return bool(inside and (stance.pose in ("sitting", "lying") or stance.height < 1.3 * (y1 - y0)))


def _in_front(stance: Stance, box: Box) -> bool:
    """The thing covers the lower part of the person, whose head is above it."""
    x0, y0, x1, y1 = box
    left, top, right, bottom = stance.box
    across = min(x1, right) - max(x0, left)
    return bool(
        across > 0.6 * min(stance.width, x1 - x0) and top < y0 - 0.2 * stance.height and y0 < bottom + 2 and y1 > bottom
    )


def _covers(stance: Stance, box: Box) -> bool:
    """The person covers a part of the thing, and stands nearer: lower in the picture."""
    if area(box) < 0.3 * area(stance.box) or _inside(box, stance.box) > 0.9:
        return False
    shared = overlap(stance.box, box)
    nearer = stance.box[3] - box[3] > 0.08 * (box[3] - box[1])
    return bool(shared > 0.35 * min(area(stance.box), area(box)) and nearer)


def _next_to(stance: Stance, box: Box) -> bool:
    """Side by side: near, hardly overlapping, on about the same ground, and of comparable size."""
    x0, y0, x1, y1 = box
    left, _, right, bottom = stance.box
    gap = max(x0 - right, left - x1)
    return bool(
        -0.3 * stance.width <= gap <= 0.5 * stance.width
        and abs(y1 - bottom) < 0.2 * stance.height
        and y1 - y0 > 0.25 * stance.height
    )


def _beside_each_other(people: Sequence[Stance]) -> list[Relation]:
    """Each person left of the next one, where both are about as large and clearly apart."""
    order = sorted(range(len(people)), key=lambda number: (people[number].box[0] + people[number].box[2], number))
    found = []
    for one, other in pairwise(order):
        a, b = people[one], people[other]
        apart = (b.box[0] + b.box[2] - a.box[0] - a.box[2]) / 2
        if apart > 0.5 * max(a.width, b.width) and 0.4 < a.height / max(b.height, 1) < 2.5:
            found.append(Relation(one, "left of", 0.95, other=other, source=GEOMETRY))
    return found


def _inside(box: Box, other: Box) -> float:
    """The share of a box that is within another."""
    return overlap(box, other) / max(area(box), 1e-6)


def stances(people: Sequence[Person], points: Sequence[Points]) -> list[Stance]:
    """The described people with their joints, [17, 3] x px, y px, score."""
    return [
        Stance(box_of(person.box), np.asarray(joints, dtype=np.float32), person.pose.value if person.pose else "")
        for person, joints in zip(people, points, strict=False)
    ]
