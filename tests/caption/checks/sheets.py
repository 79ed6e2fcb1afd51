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
CHILD = Person(
    box=(0, 0, 100, 300),
    face=(10, 10, 40, 40),
    position="left",
    shot="full-length",
    gender=Guess("female", 0.9),
    stage=Guess("child", 0.8),
    expression=Guess("happy", 0.8),
    hair=Guess("blond", 0.8),
    garments=(
        Garment("upper", (Guess("pink", 0.8),)),
        Garment("lower", (Guess("dark blue", 0.9),), length=Guess("short", 0.8)),
        Garment("feet", (Guess("white", 0.8),)),
    ),
    pose=Guess("sitting", 0.8),
    activity=Guess("holding a skateboard", 0.8),
    arms=Guess("both arms raised", 0.7),
)
SOMEBODY = Person(
    box=(200, 0, 300, 300),
    face=(210, 10, 240, 40),
    position="centre",
    shot="full-length",
    head=Guess("tilted left", 0.8),
    garments=(Garment("upper", (Guess("black", 0.9),), Guess("suit", 0.8)),),
)
CARRIER = Person(
    box=(400, 0, 500, 300),
    face=(410, 10, 440, 40),
    position="right",
    shot="full-length",
    gender=Guess("male", 0.9),
    stage=Guess("middle-aged", 0.8),
    hair_length=Guess("bald", 0.7),
    eyewear=Guess("glasses", 0.8),
    headwear=Guess("cap", 0.8),
    headwear_colour=Guess("red", 0.9),
    beard=Guess("moustache", 0.8),
    accessories=(Guess("tie", 0.8), Guess("backpack", 0.8)),
)
FIVE = Facts(  # two of them are not described
    width=600,
    height=400,
    people_count=5,
    people=(CHILD, SOMEBODY, CARRIER),
    light="dim",
    contrast="high",
    monochrome=False,
    objects=(
        Thing("skateboard", 1, "left", 0.9, "ssd"),
        Thing("chair", 3, "right", 0.8, "ssd"),
        Thing("cup", 1, "centre", 0.7, "ssd", colour=Guess("white", 0.9)),
        Thing("potted plant", 2, "left", 0.8, "ssd"),
    ),
    relations=(Relation(0, "holding", 0.9, "skateboard"), Relation(2, "behind", 0.8, "chair")),
    place=Guess("indoors", 0.9),
    background=(Guess("grey", 0.6), Guess("brown", 0.4)),
)
