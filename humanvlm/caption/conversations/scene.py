"""What conversations are made from: the facts that are sure enough, and what else a row knows of its picture."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from random import Random
from typing import Any, Literal

from humanvlm.caption.facts.colour import FAMILIES
from humanvlm.caption.template.sheet import Sheet
from humanvlm.data.detections import box_of, iou
from humanvlm.data.facts import Facts, Garment, Guess, Person, sure

Kind = Literal["caption", "vqa", "count", "rec", "reg", "table", "keypoints", "yes_no", "object", "unanswerable"]
FACE_POINTS = (
    "right eye",
    "left eye",
    "nose",
    "",
    "right ear",
    "left ear",
)  # of a face's row; the mouth is none of COCO's
DETECTED = 0.9  # IoU of a person's box with a detected one; below it was made up around a face
SIDES = {"left": "left", "centre": "middle", "right": "right"}


@dataclass(frozen=True)
class Turn:
    """A question and its answer. key: of questions with a yes or a no, what is asked, to balance the answers by."""

    kind: Kind
    question: str
    answer: str
    key: str = ""


@dataclass(frozen=True)
class Scene:
    """Facts with a threshold and a seeded choice of wordings.

    boxed: places in ``facts.people`` of people whose box was detected. points: of those, x and y in px by COCO's name.
    objects: labels of all detected objects, at any probability. texts: what the index says. phrases: found so far.
    """

    facts: Facts
    least: float
    random: Random
    boxed: frozenset[int] = frozenset()
    points: Mapping[int, Mapping[str, tuple[float, float]]] = field(default_factory=dict)
    objects: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    phrases: dict[tuple[int, frozenset[str]], list[str]] = field(default_factory=dict, compare=False, repr=False)

    def sure(self, guess: Guess | None) -> str:
        """The guess's value when it is probable enough, else an empty string: unknown."""
        return sure(guess, self.least)

    def pick(self, *wordings: str) -> str:
        return self.random.choice(wordings)

    @cached_property
    def everybody(self) -> bool:
        """Whether all people are described: of the others nothing is known that could tell them apart."""
        return self.facts.people_count == len(self.facts.people)

    def shades(self, shares: Sequence[Guess]) -> str:
        """Orange; black and white; empty when unknown, or when the picture has no colours."""
        return Sheet(self.facts, self.random, self.least).colours(shares)

    def colours(self, garment: Garment | None) -> str:
        return self.shades(garment.colours) if garment else ""

    def families(self, person: Person) -> frozenset[str]:
        """Colours of which anything at all was seen on the person's clothes."""
        return frozenset(FAMILIES.get(one.value, one.value) for worn in person.garments for one in worn.colours)

    def dressed(self, person: Person) -> bool:
        """Whether the colours of all clothes in view are known."""
        seen = {garment.region for garment in person.garments if self.colours(garment)}
        return "whole" in seen or ("upper" in seen and ("lower" in seen or person.shot in ("close-up", "half-length")))

    def noun(self, person: Person) -> str:
        """Woman, man, girl, boy, child or person, as far as is sure."""
        gender, young = self.sure(person.gender), self.sure(person.stage) in ("child", "teenager")
        if young:
            return {"female": "girl", "male": "boy"}.get(
                gender, "child" if self.sure(person.stage) == "child" else "person"
            )
        return {"female": "woman", "male": "man"}.get(gender, "person")


def scene_of(row: Mapping[str, Any], facts: Facts, least: float, seed: int) -> Scene:
    """The scene of a row of human_caption: of ``id``, ``people``, ``faces``, ``objects``, ``captions`` and ``text``."""
    random = Random(f"{seed}:{row['id']}:conversation")
    bodies = [box_of(person["box"]) for person in row["people"] or ()]
    boxed = frozenset(
        place
        for place, person in enumerate(facts.people)
        if any(iou(box_of(person.box), body) >= DETECTED for body in bodies)
    )
    labels = tuple(sorted({thing["label"] for thing in row["objects"] or ()}))
    texts = (*(row["captions"] or ()), row["text"] or "")
    points = {place: dict(_points(facts.people[place], row["faces"] or ())) for place in sorted(boxed)}
    return Scene(facts, least, random, boxed, points, labels, texts)


def _points(person: Person, faces: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, tuple[float, float]]]:
    """The points of the person's face that lie within the person's box."""
    if person.face is None:
        return
    x0, y0, x1, y1 = person.box
    for face in faces:
        if iou(box_of(person.face), box_of(face["box"])) < DETECTED:
            continue
        points = face.get("points") or ()
        for name, x, y in zip(FACE_POINTS, points[::2], points[1::2], strict=False):
            if name and x0 <= x <= x1 and y0 <= y <= y1:  # NaN is nowhere
                yield name, (float(x), float(y))
        return
