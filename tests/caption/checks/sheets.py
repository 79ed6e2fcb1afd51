"""Fact sheets for tests of checks."""

from humanvlm.data.facts import NONE, Facts, Garment, Guess, Person, Relation, Thing

JACKET = Guess("jacket", 0.8, "imagenet")
WOMAN = Person(
    box=(0, 0, 100, 300),
    face=(10, 10, 40, 40),
    position="left",
    shot="half-length",
    facing=Guess("camera", 0.9, "geometry"),
    gender=Guess("female", 0.9, "gender"),
    age=Guess("30s", 0.8, "age"),
    stage=Guess("young adult", 0.8, "age"),
    expression=Guess("happy", 0.9, "expression"),
    hair=Guess("brown", 0.8, "colour"),
    hair_length=Guess("long", 0.8, "geometry"),
    headwear=Guess(NONE, 0.9, "imagenet"),
    eyewear=Guess("sunglasses", 0.8, "imagenet"),
    beard=Guess(NONE, 0.9, "colour"),
    garments=(Garment("upper", (Guess("red", 0.7, "colour"), Guess("white", 0.3, "colour")), JACKET),),
    pose=Guess("standing", 0.9, "geometry"),
)
MAN = Person(
    box=(200, 0, 300, 300),
    face=(210, 10, 240, 40),
    position="right",
    shot="half-length",
    gender=Guess("male", 0.9, "gender"),
    age=Guess("60s", 0.8, "age"),
    stage=Guess("older", 0.8, "age"),
    expression=Guess("neutral", 0.9, "expression"),
    headwear=Guess("hat", 0.9, "imagenet"),
    eyewear=Guess(NONE, 0.9, "imagenet"),
    beard=Guess("beard", 0.8, "colour"),
    garments=(Garment("upper", (Guess("blue", 0.9, "colour"),), Guess("shirt", 0.8, "imagenet")),),
    pose=Guess("standing", 0.9, "geometry"),
)
COUPLE = Facts(
    width=400,
    height=300,
    people_count=2,
    people=(WOMAN, MAN),
    light="bright",
    contrast="medium",
    monochrome=False,
    objects=(Thing("bicycle", 1, "left", 0.9, "ssd"), Thing("dog", 2, "right", 0.8, "ssd")),
    relations=(Relation(0, "right of", 0.9, "bicycle", source="geometry"),),
    place=Guess("outdoors", 0.9, "imagenet"),
    setting=Guess("in front of a palace", 0.8, "imagenet"),
    background=(Guess("green", 0.8, "colour"),),
    text=(Guess("NO PARKING", 0.9, "ocr"),),
)
TRUE = (
    "A smiling young woman in a red jacket and sunglasses stands on the left, and a man in a blue shirt and a hat "
    "stands on the right, with a bicycle and two dogs nearby."
)
