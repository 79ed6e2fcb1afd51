"""Facts: what was measured in a picture, each with its probability. Plain data that goes to JSON and back."""

import json
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Guess:
    """An estimate and its probability, 0..1. For colours: the share of the region that has it."""

    value: str
    probability: float


@dataclass(frozen=True)
class Person:
    """One person. Boxes are xyxy pixels; what was not measured (no face, no keypoints) is None or empty."""

    box: tuple[float, ...]
    face: tuple[float, ...] | None
    position: str  # left, centre or right third of the picture
    shot: str  # close-up, half-length, full-length, distant; partial: no face and no feet
    facing: Guess | None = None  # camera, or the picture's left or right
    gender: Guess | None = None  # apparent: female, male
    age: Guess | None = None  # apparent: a decade, such as 20s
    stage: Guess | None = None  # apparent: child, teenager, young adult, middle-aged, older
    expression: Guess | None = None
    clothing: tuple[Guess, ...] = ()  # colours of the torso, largest share first
    garment: Guess | None = None
    eyewear: Guess | None = None
    pose: Guess | None = None  # standing, sitting, lying
    arms: Guess | None = None  # one arm raised, both arms raised


@dataclass(frozen=True)
class Thing:
    """Objects of one kind: how many, where the surest one is, and its probability."""

    label: str
    count: int
    position: str
    probability: float


@dataclass(frozen=True)
class Facts:
    """Everything measured in one picture. ``people`` are the most prominent ones; ``people_count`` counts all."""

    width: int
    height: int
    people_count: int
    people: tuple[Person, ...]
    light: str  # dim, bright or even
    contrast: str  # low, medium or high
    monochrome: bool
    objects: tuple[Thing, ...] = ()
    setting: Guess | None = None
    background: tuple[Guess, ...] = ()

    def to_json(self) -> str:
        """Compact JSON with keys in the order of the fields."""
        return json.dumps(asdict(self), ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def facts_from_json(text: str) -> Facts:
    """The inverse of ``Facts.to_json``. Raises ValueError, KeyError or TypeError when the text is something else."""
    value = json.loads(text)
    people = tuple(_person(person) for person in value.pop("people"))
    objects = tuple(Thing(**thing) for thing in value.pop("objects"))
    background = tuple(Guess(**guess) for guess in value.pop("background"))
    setting = value.pop("setting")
    return Facts(
        **value, people=people, objects=objects, background=background, setting=Guess(**setting) if setting else None
    )


def _person(value: dict[str, Any]) -> Person:
    fields = dict(value)
    for name, field in value.items():
        if isinstance(field, dict):
            fields[name] = Guess(**field)
    fields["box"] = tuple(value["box"])
    fields["face"] = tuple(value["face"]) if value["face"] is not None else None
    fields["clothing"] = tuple(Guess(**guess) for guess in value["clothing"])
    return Person(**fields)
