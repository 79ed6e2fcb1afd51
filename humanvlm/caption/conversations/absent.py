"""Objects that are there and objects that are not, as POPE asks (Li et al. 2023, arXiv 2305.10355).

Absent ones are drawn three ways: at random, of those that are frequent in the artifact (popular), and of those that are
often seen beside what is in the picture (adversarial). Asked for is only what nothing supports at any probability: no
detector, no label, no text; nor anything that is easily taken for it.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import combinations
from typing import Any

from humanvlm.caption.conversations.scene import Scene, Turn
from humanvlm.caption.template.english import article, plural
from humanvlm.data.prompts import YES_NO

WAYS = ("random", "popular", "adversarial")
# What detectors seldom overlook when it is there; smaller things are often there unseen. Those of a line are confused.
LOOK_ALIKE = (
    "dog cat bear sheep cow horse zebra giraffe elephant camel llama rabbit",
    "bird kite airplane parachute",
    "bicycle motorcycle motor_scooter tricycle",
    "car truck bus taxi jeep convertible sports_car school_bus fire_engine train tram locomotive tractor",
    "surfboard skis snowboard skateboard boat",
    "umbrella tent",
    "pizza cake",
    "toilet bathtub sink",
    "laptop tv",
    "guitar violin cello accordion piano",
)
FAMILIES = {
    name.replace("_", " "): frozenset(line.replace("_", " ") for line in names.split())
    for names in LOOK_ALIKE
    for name in names.split()
}
ALSO = {
    "bicycle": "bike cyclist biker",
    "motorcycle": "motorbike bike biker",
    "motor scooter": "scooter moped",
    "airplane": "plane aircraft jet",
    "boat": "ship canoe kayak ferry yacht",
    "tv": "television screen monitor",
    "laptop": "computer notebook",
    "dog": "puppy hound terrier retriever",
    "cat": "kitten",
    "horse": "pony rider",
    "cow": "cattle bull calf",
    "sheep": "lamb",
    "bird": "duck pigeon parrot gull chicken",
    "car": "vehicle automobile",
    "skis": "skiing skier",
    "snowboard": "snowboarder snowboarding",
    "surfboard": "surfer surfing",
    "skateboard": "skater skateboarder",
    "umbrella": "parasol",
}

Observed = Mapping[str, Mapping[str, int]]  # of a picture or a shard, what ``Seen`` is of an artifact


@dataclass(frozen=True)
class Seen:
    """Over an artifact: pictures with each label, with each two together, and yes and no by key of question."""

    labels: Mapping[str, int] = field(default_factory=dict)
    together: Mapping[str, int] = field(default_factory=dict)  # "car|dog", in alphabetical order
    answers: Mapping[str, int] = field(default_factory=dict)  # "hat yes"

    @classmethod
    def sum(cls, parts: Iterable[Observed]) -> "Seen":
        """Of what ``observed`` says of several pictures or shards, in any order."""
        totals: dict[str, Counter[str]] = {name: Counter() for name in ("labels", "together", "answers")}
        for part in parts:
            for name, total in totals.items():
                total.update(part[name])
        return cls(**{name: dict(sorted(total.items())) for name, total in totals.items()})

    def asked(self, turn: Turn) -> float:
        """The share of such questions that are asked, so that yes and no are as frequent in the artifact."""
        yes, no = (self.answers.get(f"{turn.key} {answer}", 0) for answer in ("yes", "no"))
        this, other = (yes, no) if turn.answer == "yes" else (no, yes)
        return min(1.0, other / this) if this else 1.0


def observed(scene: Scene, turns: Iterable[Turn]) -> Observed:
    """What one picture adds to ``Seen``. turns: questions with yes or no."""
    labels = sorted({thing.label for thing in scene.facts.objects if thing.probability >= scene.least})
    return {
        "labels": dict.fromkeys(labels, 1),
        "together": {f"{one}|{other}": 1 for one, other in combinations(labels, 2)},
        "answers": dict(Counter(f"{turn.key} {turn.answer}" for turn in turns)),
    }


def objects(scene: Scene, seen: Seen) -> Iterator[Turn]:
    """Present objects with a yes, absent ones with a no, the absent ones drawn in turn in each of WAYS."""
    present = [thing.label for thing in scene.facts.objects if thing.probability >= scene.least]
    for label in present:
        yield _turn(scene, label, "yes")
    supported = _supported(scene)
    absent = [label for label in FAMILIES if label in seen.labels and label not in supported]
    beside = {
        label: sum(seen.together.get("|".join(sorted((label, other))), 0) for other in present) for label in absent
    }
    ways: tuple[Any, ...] = (
        lambda label: scene.random.random(),
        lambda label: (-seen.labels[label], label),
        lambda label: (-beside[label], -seen.labels[label], label),
    )
    for way in scene.random.sample(ways, len(ways)):
        if absent:
            label = min(absent, key=way)
            absent.remove(label)
            yield _turn(scene, label, "no")


def _turn(scene: Scene, label: str, answer: str) -> Turn:
    where = scene.pick("image", "picture")
    name = label if label in ("skis", "broccoli") else article(label)
    verb = "Are there" if label == "skis" else "Is there"
    return Turn("object", YES_NO.format(question=f"{verb} {name} in the {where}?"), answer, "object")


def _supported(scene: Scene) -> set[str]:
    """Labels that anything speaks for, and those that look alike."""
    facts = scene.facts
    labels = {thing.label for thing in facts.objects} | set(scene.objects)
    labels |= {relation.label for relation in facts.relations if relation.label}
    guesses = [facts.setting, *facts.text]
    for person in facts.people:
        guesses += [person.activity, *person.accessories]
    words = " ".join([*scene.texts, *labels, *(guess.value for guess in guesses if guess)])
    named = {label for label in FAMILIES if _names(label).search(words)}
    return named.union(*(FAMILIES[label] for label in (labels | named) & FAMILIES.keys()))


@cache
def _names(label: str) -> re.Pattern[str]:
    names = [label, plural(label), *ALSO.get(label, "").split()]
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, names))})(?:e?s)?\b", re.IGNORECASE)
