"""From a picture and its detections to Facts. Pure: the same pixels and boxes give the same facts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from humanvlm.caption.facts import attributes, celeba, relations, scene, text
from humanvlm.caption.facts.attributes import Picture
from humanvlm.caption.facts.colour import averaged, exposed
from humanvlm.caption.facts.person import describe
from humanvlm.data.detections import Box, area, box_of, clip, iou
from humanvlm.data.facts import Facts

DESCRIBED = 4  # people described one by one; the others are only counted
DRESSED = 2  # people whose head is asked of the label network, which takes longest; clothes of the first alone
SAME = 0.42  # a faceless body that overlaps one with a face this much (IoU) is the same person, detected twice


@dataclass(frozen=True)
class Found:
    """A person as detected: the body's box, the face's row, or both; xyxy px inside the picture."""

    body: Box | None
    face: Mapping[str, Any] | None

    @property
    def face_box(self) -> Box | None:
        return box_of(self.face["box"]) if self.face else None

    def frame(self, width: int, height: int) -> Box:
        """The body's box, or one around the face as large as a body usually is, within the picture."""
        if self.body:
            return clip(self.body, width, height, least=1)
        x0, y0, x1, y1 = box_of((self.face or {})["box"])
        side = max(x1 - x0, y1 - y0)
        centre = (x0 + x1) / 2
        return clip((centre - 1.5 * side, y0 - 0.4 * side, centre + 1.5 * side, y1 + 6 * side), width, height, least=1)


def measure(
    rgb: Picture,
    faces: Sequence[Mapping[str, Any]],
    people: Sequence[Mapping[str, Any]],
    objects: Sequence[Mapping[str, Any]],
    texts: Sequence[str] = (),
    attribute_classifier: str = "",
) -> Facts:
    """Facts of one upright uint8 RGB picture [height, width, 3].

    faces, people, objects: rows of the human_scenes columns (``box`` xyxy px, ``score``, six ``points`` x, y px for
    faces, ``label`` for objects). texts: the index's own on this picture, cleaned. attribute_classifier: as
    ``celeba.classifier`` takes it, or empty. Raises UserError when there is no such classifier.
    """
    height, width = rgb.shape[:2]
    small = averaged(rgb)
    light, contrast, monochrome = scene.light_of(small)
    lit = exposed(rgb)
    if lit is not rgb:
        rgb, small = lit, averaged(lit)
    found = pair(faces, people, width, height)
    frames = [one.frame(width, height) for one in found]
    joints = [attributes.keypoints(rgb, frame) for frame in frames[:DESCRIBED]]
    classifier = celeba.classifier(attribute_classifier) if attribute_classifier else None
    described = []
    for number, (one, frame, points) in enumerate(zip(found[:DESCRIBED], frames, joints, strict=False)):
        others = [other for other in frames if other != frame]
        described.append(describe(rgb, frame, one.face, points, others, number < DRESSED, number == 0, classifier))
    persons = tuple(person for person, _ in described)
    covered = [body.cover(width, height) for _, body in described]
    evidence = scene.label_evidence(rgb, frames)
    objects = scene.relabelled(objects, evidence)
    stances = relations.stances(persons, joints)
    related = relations.relate(stances, objects)
    lying_about = [thing for thing in objects if relations.wearer(thing, stances) is None]
    things, setting = scene.surroundings(rgb, small, lying_about, frames, evidence, texts)
    return Facts(
        width=width,
        height=height,
        people_count=len(found),
        people=relations.with_things(persons, stances, objects, related),
        light=light,
        contrast=contrast,
        monochrome=monochrome,
        objects=things,
        relations=related,
        place=scene.place(objects, evidence, setting),
        setting=setting,
        background=scene.behind(rgb, small, covered, frames[DESCRIBED:]),
        text=text.legible(rgb),
    )


def pair(
    faces: Sequence[Mapping[str, Any]], people: Sequence[Mapping[str, Any]], width: int, height: int
) -> list[Found]:
    """Give each face to the smallest body box that has it in its upper half; most prominent first, then left first."""
    bodies = [box_of(person["box"]) for person in sorted(people, key=lambda person: -person["score"])]
    free = dict(enumerate(bodies))
    found = []
    for face in sorted(faces, key=lambda face: -area(box_of(face["box"]))):
        x0, y0, x1, y1 = box_of(face["box"])
        x, y = (x0 + x1) / 2, (y0 + y1) / 2
        around = [
            number
            for number, body in free.items()
            if body[0] <= x <= body[2] and body[1] - 0.1 * (y1 - y0) <= y <= body[1] + 0.6 * (body[3] - body[1])
        ]
        chosen = min(around, key=lambda number: (area(bodies[number]), number), default=None)
        found.append(Found(free.pop(chosen) if chosen is not None else None, face))
    seen = [one.body for one in found if one.body]
    found += [Found(body, None) for body in free.values() if all(iou(body, other) < SAME for other in seen)]
    return sorted(found, key=lambda one: (-round(area(one.frame(width, height))), one.frame(width, height)))
