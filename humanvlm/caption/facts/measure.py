"""From a picture and its detections to Facts. Pure: the same pixels and boxes give the same facts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from humanvlm.caption.facts import attributes, pose, relations, scene, text
from humanvlm.caption.facts.attributes import Picture
from humanvlm.caption.facts.clothing import clothing_colours
from humanvlm.caption.facts.labels import best_guess
from humanvlm.data.detections import Box, area, box_of, clip, iou
from humanvlm.data.facts import Facts, Garment, Guess, Person

DESCRIBED = 4  # people described one by one; the others are only counted
DRESSED = 1  # people whose garment and eyewear are asked of the label network, which takes longest
LEAST_FACE = 28  # px; smaller faces carry no attributes
FRONTAL = 0.36  # a nose farther from the middle between the eyes, in eye distances, is a face turned away
TOLD_APART = (13, 60)  # apparent ages at which the gender classifier is believed
SAME = 0.42  # a faceless body that overlaps one with a face this much (IoU) is the same person, detected twice
STAGES = {"child": (0, 13), "teenager": (13, 20), "young adult": (20, 36), "middle-aged": (36, 60), "older": (60, 81)}


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
) -> Facts:
    """Facts of one upright uint8 RGB picture [height, width, 3].

    faces, people, objects: rows of the human_scenes columns (``box`` xyxy px, ``score``, six ``points`` x, y px for
    faces, ``label`` for objects). texts: the index's own on this picture, cleaned.
    """
    height, width = rgb.shape[:2]
    found = pair(faces, people, width, height)
    frames = [one.frame(width, height) for one in found]
    joints = [attributes.keypoints(rgb, frame) for frame in frames[:DESCRIBED]]
    persons = tuple(
        _person(rgb, one, points, [other for other in frames if other != frame], dressed=number < DRESSED)
        for number, (one, frame, points) in enumerate(zip(found[:DESCRIBED], frames, joints, strict=False))
    )
    evidence = scene.label_evidence(rgb, frames)
    objects = scene.relabelled(objects, evidence)
    stances = relations.stances(persons, joints)
    related = relations.relate(stances, objects)
    lying_about = [thing for thing in objects if relations.wearer(thing, stances) is None]
    things, setting = scene.surroundings(rgb, lying_about, frames, evidence, texts)
    light, contrast, monochrome = scene.light_of(rgb)
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
        place=scene.place(objects, evidence),
        setting=setting,
        background=scene.behind(rgb, frames),
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


def _person(rgb: Picture, one: Found, points: pose.Points, others: Sequence[Box], dressed: bool) -> Person:
    height, width = rgb.shape[:2]
    frame, face = one.frame(width, height), one.face_box
    anchor = face or frame
    look = _look(rgb, one.face)
    x0, y0, x1, y1 = (round(value) for value in frame)
    body = rgb[y0:y1, x0:x1]
    head = _head(rgb, face) if dressed and face else None
    head_labels = attributes.label_probabilities(head) if head is not None else None
    dress = dressed and min(body.shape[:2]) >= 48
    colours = clothing_colours(rgb, frame, face, points, others)
    kind = best_guess("garments", attributes.label_probabilities(body)) if dress else None
    return Person(
        box=_rounded(frame),
        face=_rounded(face) if face else None,
        position=scene.third((anchor[0] + anchor[2]) / 2, width),
        shot=_shot(frame, face, points, height),
        facing=look.facing,
        gender=look.gender,
        age=look.age,
        stage=look.stage,
        expression=look.expression,
        garments=(Garment("upper", colours, kind),) if colours or kind else (),
        eyewear=best_guess("eyewear", head_labels) if head_labels is not None else None,
        pose=pose.posture(points),
        arms=pose.raised_arms(points),
    )


@dataclass(frozen=True)
class Look:
    """What a face shows; None where it cannot be told."""

    facing: Guess | None = None
    gender: Guess | None = None
    age: Guess | None = None
    stage: Guess | None = None
    expression: Guess | None = None


def _look(rgb: Picture, face: Mapping[str, Any] | None) -> Look:
    """Apparent attributes of a face that is large enough and turned to the camera; of others only where they face."""
    if face is None:
        return Look()
    turn = _turn(face["points"])
    if turn is None:
        return Look()
    facing = "camera" if abs(turn) < FRONTAL else "right" if turn > 0 else "left"
    facing_guess = Guess(facing, round(min(float(face["score"]), 1.0), 3))
    x0, y0, x1, y1 = face["box"]
    if facing != "camera" or min(x1 - x0, y1 - y0) < LEAST_FACE:
        return Look(facing_guess)
    female = attributes.female_probability(rgb, face["points"])
    ages = attributes.age_probabilities(rgb, face["points"])
    expressions = attributes.expression_probabilities(rgb, face["points"])
    if female is None or ages is None or expressions is None:
        return Look(facing_guess)
    decades = {f"{year}s": float(ages[year : year + 10].sum()) for year in range(20, 80, 10)}
    stages = {name: float(ages[first:last].sum()) for name, (first, last) in STAGES.items()}
    feelings = dict(zip(attributes.EXPRESSIONS, expressions.tolist(), strict=True))
    return Look(facing_guess, _gender(female, ages), _best(decades), _best(stages), _best(feelings))


def _gender(female: float, ages: npt.NDArray[np.float32]) -> Guess:
    """Apparent gender. Faces of children and of the old are told apart much worse (Guo et al. 2009, "Is gender
    recognition affected by age?"): the classifier is believed only as far as the face appears to be of another age.
    """
    believed = float(ages[TOLD_APART[0] : TOLD_APART[1]].sum())
    probability = 0.5 + abs(female - 0.5) * min(believed, 1.0)
    return Guess("female" if female >= 0.5 else "male", round(probability, 3))


def _turn(points: Sequence[float]) -> float | None:
    """Where the nose is between the eyes: 0 in the middle, 0.5 at the person's left eye; None when not known."""
    if len(points) < 8 or not np.isfinite(points[:6]).all():
        return None
    right, left, nose = np.asarray(points[:6], dtype=np.float64).reshape(3, 2)
    axis = left - right
    length = float(axis @ axis)
    if length < 1:
        return None
    return float((nose - right) @ axis) / length - 0.5


def _head(rgb: Picture, face: Box) -> Picture | None:
    """Head and shoulders around a face, or None when it is too small to ask about."""
    x0, y0, x1, y1 = face
    side = y1 - y0
    if side < 40:
        return None
    centre = (x0 + x1) / 2
    around = centre - 1.1 * side, y0 - 0.9 * side, centre + 1.1 * side, y1 + 0.4 * side
    left, top, right, bottom = clip(around, rgb.shape[1], rgb.shape[0], least=1)
    return rgb[round(top) : round(bottom), round(left) : round(right)]


def _shot(frame: Box, face: Box | None, points: pose.Points, height: int) -> str:
    """How much of the person is in the picture, by the share that the face has of the visible body."""
    body = frame[3] - frame[1]
    if face is not None:
        share = (face[3] - face[1]) / max(body, 1)
        if share > 0.36 or face[3] - face[1] > 0.36 * height:
            return "close-up"
        if share > 0.16:
            return "half-length"
    elif (points[list(pose.ANKLES), 2] < pose.LEAST).all():
        return "partial"
    return "full-length" if body >= 0.4 * height else "distant"


def _best(probabilities: Mapping[str, float]) -> Guess:
    value = max(probabilities, key=probabilities.__getitem__)
    return Guess(value, round(min(probabilities[value], 1.0), 3))


def _rounded(box: Box) -> tuple[float, ...]:
    return tuple(round(value, 1) for value in box)
