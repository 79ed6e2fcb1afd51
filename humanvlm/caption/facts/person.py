"""What is measured of one person: the face's apparent attributes, the head, the garments, the pose."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from humanvlm.caption.facts import attributes, pose
from humanvlm.caption.facts.attributes import Picture
from humanvlm.caption.facts.celeba import Classifier
from humanvlm.caption.facts.crops import Body, Head, body_of, head_of
from humanvlm.caption.facts.garments import garments_of
from humanvlm.caption.facts.head import LEAST_HEAD, Looks, looks_of
from humanvlm.caption.facts.labels import best_guess
from humanvlm.caption.facts.scene import third
from humanvlm.data.detections import Box
from humanvlm.data.facts import Guess, Person

LEAST_FACE = 28  # px; smaller faces carry no attributes
LEAST_BODY = 48  # px; of smaller ones the label network is not asked
FRONTAL = 0.36  # a nose farther from the middle between the eyes, in eye distances, is a face turned away
TOLD_APART = (13, 60)  # apparent ages at which the gender classifier is believed
STAGES = {"child": (0, 13), "teenager": (13, 20), "young adult": (20, 36), "middle-aged": (36, 60), "older": (60, 81)}
LABELLED_HEAD = (
    slice(10, 170),
    slice(48, 208),
)  # rows, columns of the head crop that the label network sees: no clothes


def describe(
    rgb: Picture,
    frame: Box,
    face: Mapping[str, Any] | None,
    joints: pose.Points,
    others: Sequence[Box],
    dressed: bool,
    largest: bool,
    classifier: Classifier | None = None,
) -> tuple[Person, Body]:
    """A person and the crop of the body that it was measured in.

    frame: the body's xyxy px box. face: the row of its face, if one was found. joints: [17, 3] keypoints. others:
    boxes of the other people. dressed, largest: whether the label network, which takes longest, is asked about the
    head, and about the clothes, of which a close-up shows no more than a collar.
    classifier: of further attributes of faces that are large and frontal enough for the others.
    """
    height, width = rgb.shape[:2]
    box = (
        None
        if face is None
        else (float(face["box"][0]), float(face["box"][1]), float(face["box"][2]), float(face["box"][3]))
    )
    anchor = box or frame
    look, head = Look(), None
    if face is not None:
        source = attributes.padded(rgb)
        look, head = _look(source, face), head_of(source, face["points"])
    body = body_of(rgb, frame, joints, others)
    kind = None
    shot = _shot(frame, box, joints, height)
    if largest and shot != "close-up" and min(frame[2] - frame[0], frame[3] - frame[1]) >= LEAST_BODY:
        x0, y0, x1, y1 = (round(value) for value in frame)
        kind = best_guess("garments", attributes.label_probabilities(rgb[y0:y1, x0:x1]))
    looks = _looks(head, look) if dressed and head and head.eye_distance >= LEAST_HEAD else Looks()
    person = Person(
        box=_rounded(frame),
        face=_rounded(box) if box else None,
        position=third((anchor[0] + anchor[2]) / 2, width),
        shot=shot,
        size=round((frame[2] - frame[0]) * (frame[3] - frame[1]) / (width * height), 3),
        facing=look.facing if face else pose.turned_away(joints),
        head=looks.head,
        gender=look.gender,
        age=look.age,
        stage=look.stage,
        expression=look.expression,
        mouth=looks.mouth,
        eyes=looks.eyes,
        hair=looks.hair,
        hair_length=looks.hair_length,
        headwear=looks.headwear,
        headwear_colour=looks.headwear_colour,
        eyewear=looks.eyewear,
        beard=looks.beard,
        garments=garments_of(body, body.here(box) if box else None, head.skin if head else None, kind),
        pose=pose.posture(joints),
        arms=pose.raised_arms(joints),
    )
    if classifier is not None and face is not None and look.gender is not None:
        person = replace(person, attributes=classifier(rgb, face["points"]))
    return person, body


def _looks(head: Head, look: "Look") -> Looks:
    labels = attributes.label_probabilities(np.ascontiguousarray(head.rgb[LABELLED_HEAD]))
    adult = look.stage is not None and look.stage.value not in ("child", "teenager")
    male = look.gender is not None and look.gender.value == "male"
    return looks_of(head, labels, bearded=look.gender.probability if look.gender and adult and male else 0.0)


@dataclass(frozen=True)
class Look:
    """What a face shows; None where it cannot be told."""

    facing: Guess | None = None
    gender: Guess | None = None
    age: Guess | None = None
    stage: Guess | None = None
    expression: Guess | None = None


def _look(rgb: Picture, face: Mapping[str, Any]) -> Look:
    """Apparent attributes of a face that is large enough and turned to the camera; of others only where they face."""
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
