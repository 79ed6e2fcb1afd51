"""Facts of every field at random, for hypothesis and, by number, for statistics over many pictures."""

from random import Random
from typing import Any

from hypothesis import strategies as st

from humanvlm.caption.facts.colour import NAMES
from humanvlm.caption.template.words import CELEBA, CELEBA_HAIR, CELEBA_HAIR_COLOURS, CELEBA_WORN
from humanvlm.data.facts import NONE, Facts, Garment, Guess, Person, Relation, Thing

LABELS = (
    *("dog", "umbrella", "bus", "knife", "skis", "broccoli", "wine glass", "tv", "bench", "sheep", "teddy bear", "car"),
    *("potted plant", "scissors", "rocket", "cell phone", "orange", "hour glass"),
)
VALUES: dict[str, tuple[str, ...]] = {
    "facing": ("camera", "left", "right", "away"),
    "head": ("tilted left", "tilted right", "raised", "lowered", "upright"),
    "gender": ("female", "male"),
    "age": ("20s", "30s", "40s", "50s", "60s", "70s"),
    "stage": ("child", "teenager", "young adult", "middle-aged", "older"),
    "expression": ("angry", "happy", "neutral", "sad"),
    "mouth": ("open", "closed"),
    "eyes": ("open", "closed"),
    "hair": ("black", "brown", "blond", "grey", "red", "dyed"),
    "hair_length": ("bald", "short", "long"),
    "headwear": ("hat", "cap", "helmet", "headscarf", NONE),
    "headwear_colour": NAMES,
    "eyewear": ("glasses", "sunglasses", NONE),
    "beard": ("beard", "moustache", NONE),
    "pose": ("standing", "sitting", "lying", "kneeling", "crouching", "walking"),
    "arms": ("one arm raised", "both arms raised", "arms crossed"),
    "activity": ("riding a bicycle", "holding an umbrella", "sitting on a bench", "playing tennis"),
}
KINDS = {
    "upper": ("suit", "jersey", "trench coat", "swimsuit"),
    "lower": ("jeans", "skirt", "shorts"),
    "whole": ("dress", "gown"),
    "feet": ("boots", "sandals"),
}
LENGTHS = {"upper": ("sleeveless", "short-sleeved", "long-sleeved"), "lower": ("short", "long")}
SETTINGS = ("in front of a palace", "in the mountains", "at a desk", "on a street", "by the sea")
POSITIONS, SHOTS = ("left", "centre", "right"), ("close-up", "half-length", "full-length", "distant", "partial")
PREDICATES = ("left of", "right of", "behind", "in front of", "on", "under", "beside", "riding", "holding")

probabilities = st.floats(0, 1).map(lambda p: round(p, 3))
boxes = st.tuples(*[st.floats(0, 640).map(lambda x: round(x, 1))] * 4)


def guesses(values: tuple[str, ...]) -> st.SearchStrategy[Guess]:
    return st.builds(Guess, st.sampled_from(values), probabilities)


def maybe(values: tuple[str, ...]) -> st.SearchStrategy[Guess | None]:
    return st.none() | guesses(values)


def colours(most: int) -> st.SearchStrategy[tuple[Guess, ...]]:
    return st.lists(guesses(NAMES), max_size=most, unique_by=lambda guess: guess.value).map(
        lambda found: tuple(sorted(found, key=lambda guess: -guess.probability))
    )


def garments() -> st.SearchStrategy[tuple[Garment, ...]]:
    regions = [
        st.builds(
            Garment, st.just(name), colours(3), maybe(kinds), maybe(LENGTHS[name]) if name in LENGTHS else st.none()
        )
        for name, kinds in KINDS.items()
    ]
    return st.lists(st.one_of(regions), max_size=4, unique_by=lambda garment: garment.region).map(tuple)


persons = st.builds(
    Person,
    box=boxes,
    face=st.none() | boxes,
    position=st.sampled_from(POSITIONS),
    shot=st.sampled_from(SHOTS),
    size=probabilities,
    garments=garments(),
    accessories=st.lists(guesses(("tie", "backpack", "handbag", "necklace", "umbrella")), max_size=3).map(tuple),
    attributes=st.lists(guesses((*CELEBA, *CELEBA_WORN, *CELEBA_HAIR, *CELEBA_HAIR_COLOURS, "Bald")), max_size=3).map(
        tuple
    ),
    **{name: maybe(values) for name, values in VALUES.items()},
)


@st.composite
def pictures(draw: st.DrawFn) -> Facts:
    people = tuple(draw(st.lists(persons, max_size=4)))
    things = st.builds(
        Thing,
        st.sampled_from(LABELS),
        st.integers(1, 14),
        st.sampled_from(POSITIONS),
        probabilities,
        box=st.none() | boxes,
        colour=maybe(NAMES),
    )
    relations = st.builds(
        Relation,
        st.integers(0, max(len(people) - 1, 0)),
        st.sampled_from(PREDICATES),
        probabilities,
        label=st.sampled_from(("", *LABELS)),
        other=st.none() | st.integers(0, 3),
    )
    return Facts(
        width=640,
        height=480,
        people_count=len(people) + (draw(st.integers(0, 30)) if len(people) == 4 else 0),
        people=people,
        light=draw(st.sampled_from(["dim", "even", "bright"])),
        contrast=draw(st.sampled_from(["low", "medium", "high"])),
        monochrome=draw(st.booleans()),
        objects=tuple(draw(st.lists(things, max_size=6, unique_by=lambda thing: thing.label))),
        relations=tuple(draw(st.lists(relations, max_size=4))),
        place=draw(maybe(("indoors", "outdoors"))),
        setting=draw(maybe(SETTINGS)),
        background=draw(colours(4)),
        text=tuple(draw(st.lists(guesses(("STOP", "ONE WAY", 'the "end"')), max_size=3))),
    )


def picture(number: int) -> Facts:
    """Facts of one to many people, as varied as those of photographs, the same for the same number."""
    random = Random(number)
    count = random.choice((1, 1, 1, 1, 2, 2, 3, 4, 6, 20))

    def chosen(values: tuple[str, ...], share: float) -> Guess | None:
        return Guess(random.choice(values), 0.9) if random.random() < share else None

    def shades() -> tuple[Guess, ...]:
        first, second = random.sample(NAMES, 2)
        return (Guess(first, 0.8),) if random.random() < 0.7 else (Guess(first, 0.5), Guess(second, 0.4))

    def garment(region: str) -> Garment:
        return Garment(region, shades(), chosen(KINDS[region], 0.3), chosen(LENGTHS.get(region, ("",)), 0.2))

    def person() -> Person:
        left, fields = random.random() * 400, {name: chosen(values, 0.4) for name, values in VALUES.items()}
        worn = [garment(region) for region in ("upper", "lower", "feet") if random.random() < 0.5]
        others: dict[str, Any] = {"size": random.random(), "garments": tuple(worn), **fields}
        position, shot = random.choice(POSITIONS), random.choice(SHOTS)
        return Person((left, 50.0, left + 150, 400.0), (left, 50.0, left + 40, 90.0), position, shot, **others)

    things = [
        Thing(
            label,
            random.choice((1, 1, 1, 2)),
            random.choice(POSITIONS),
            0.9,
            "",
            random.choice((None, (1.0, 1.0, 9.0, 9.0))),
        )
        for label in random.sample(LABELS, random.choice((0, 0, 1, 2, 4)))
    ]
    return Facts(
        *(640, 480, count, tuple(person() for _ in range(min(count, 4)))),
        *(random.choice(("dim", "bright", "even")), random.choice(("low", "medium", "high")), random.random() < 0.1),
        objects=tuple(things),
        place=chosen(("indoors", "outdoors"), 0.4),
        setting=chosen(SETTINGS, 0.4),
        background=shades() if random.random() < 0.6 else (),
    )
