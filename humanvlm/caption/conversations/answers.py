"""Questions with a word or a phrase for an answer, counts, boxes, points, tables: each answered by one fact.

Worded as the benchmarks word theirs: VQAv2's colours, counts and places, RefCOCO's boxes, COCO's keypoints.
"""

from collections.abc import Iterator

from humanvlm.caption.conversations.references import refer, references
from humanvlm.caption.conversations.scene import SIDES, Scene, Turn
from humanvlm.caption.template.english import PLURAL_ALREADY, article, join, plural
from humanvlm.data.facts import NONE, Person
from humanvlm.data.prompts import FIND, KEYPOINTS, QUESTION, REFER, format_box

MOST_COUNTED = 12  # detectors do not count crowds well
DECADES = {
    "20s": "twenties",
    "30s": "thirties",
    "40s": "forties",
    "50s": "fifties",
    "60s": "sixties",
    "70s": "seventies",
}
FACING = {"camera": "toward the camera", "left": "to the left", "right": "to the right", "away": "away from the camera"}
LIGHT = {"dim": "dim", "bright": "bright", "even": "even"}
TABLE = ("Give the attributes of {who} as a table.", "List how {who} appears, as a Markdown table.")
UNKNOWABLE = (
    ("What is the name of {who}?", "Who is {who}?"),
    ("Where does {who} live?", "What is the home town of {who}?"),
    ("What does {who} do for a living?", "How much does {who} earn?"),
    ("What is {who} thinking about?", "What did {who} do yesterday?"),
    ("What is the religion of {who}?", "Which party does {who} vote for?"),
    ("On which day was the picture taken?", "Who took the picture?"),
)
NOT_TOLD = ("The picture does not tell.", "That cannot be told from the picture.", "The picture does not show that.")


def questions(scene: Scene) -> Iterator[Turn]:
    """About every person, where one can be pointed at, and the surroundings."""
    for person in scene.facts.people:
        for question, answer in _of_person(scene, person):
            if answer and question:
                yield Turn("vqa", QUESTION.format(question=question), answer)
    for question, answer in _of_picture(scene):
        if answer:
            yield Turn("vqa", QUESTION.format(question=question), answer)


def _of_person(scene: Scene, person: Person) -> Iterator[tuple[str, str]]:
    def asked(answer: str, avoid: str, *wordings: str) -> tuple[str, str]:
        """The question in one of the wordings, about a phrase that does not give the answer away."""
        who = refer(scene, person, avoid) if answer else ""
        return (scene.pick(*wordings).format(who=who), answer) if who else ("", "")

    upper, lower, whole = (person.garment(region) for region in ("upper", "lower", "whole"))
    top = upper or whole
    if scene.dressed(person) and not scene.colours(lower):
        yield asked(scene.colours(top), "colour", "What color are the clothes of {who}?", "What color does {who} wear?")
    for garment in person.garments:
        kind, colours = scene.sure(garment.kind), scene.colours(garment)
        if kind:
            yield asked(colours, "colour", f"What color is the {kind} of {{who}}?")
            yield asked(
                article(f"{colours} {kind}".strip()), "colour", "What is {who} wearing?", "What does {who} wear?"
            )
    if lower and not scene.sure(lower.kind):
        yield asked(scene.colours(lower), "colour", "What color is {who} wearing on the legs?")
    headwear, eyewear = scene.sure(person.headwear), scene.sure(person.eyewear)
    if headwear and headwear != NONE:
        yield asked(headwear, "headwear", "What is {who} wearing on the head?", "What is on the head of {who}?")
        if not scene.facts.monochrome:
            yield asked(scene.sure(person.headwear_colour), "colour", f"What color is the {headwear} of {{who}}?")
    if eyewear and eyewear != NONE:
        yield asked(eyewear, "eyewear", "What is {who} wearing over the eyes?")
    if not scene.facts.monochrome:
        yield asked(
            scene.sure(person.hair), "hair", "What color is the hair of {who}?", "What hair color does {who} have?"
        )
    yield asked(scene.sure(person.hair_length), "hair", "Is the hair of {who} long, short, or is {who} bald?")
    worn = [scene.sure(one) for one in person.accessories if scene.sure(one)]
    yield asked(
        join([article(one) for one in worn]), "accessories", "What does {who} wear or carry besides the clothes?"
    )
    yield asked(scene.sure(person.activity) or scene.sure(person.pose), "pose", "What is {who} doing?")
    yield asked(FACING.get(scene.sure(person.facing), ""), "facing", "Which way is {who} facing?")
    if decade := DECADES.get(scene.sure(person.age), ""):
        yield asked(f"in the {decade}", "noun", "How old does {who} look?", "What age does {who} appear to be?")
    yield asked(SIDES[person.position], "side", "Which part of the picture is {who} in?")


def _of_picture(scene: Scene) -> Iterator[tuple[str, str]]:
    facts = scene.facts
    place, setting = scene.sure(facts.place), scene.sure(facts.setting)
    yield scene.pick("Is this indoors or outdoors?", "Was the picture taken indoors or outdoors?"), place
    yield scene.pick("Where does the picture appear to have been taken?", "Where is this?"), setting
    if setting.startswith("in front of ") and facts.people_count:
        who = "people" if facts.people_count > 1 else scene.noun(facts.people[0]) if facts.people else "person"
        yield f"What is behind the {who}?", setting.removeprefix("in front of ")
    yield "What color is the background?", scene.shades(facts.background)
    yield "What is the light like?", LIGHT[facts.light]
    words = [scene.sure(one) for one in facts.text if scene.sure(one)]
    yield scene.pick("What does the writing in the picture say?", "Which words can be read?"), " ".join(words)


def counts(scene: Scene) -> Iterator[Turn]:
    """How many people, and how many of each thing that a detector counted."""
    facts = scene.facts
    if 0 < facts.people_count <= MOST_COUNTED:
        wordings = ("How many people are in the picture?", "How many people are there?", "How many people can be seen?")
        yield Turn("count", QUESTION.format(question=scene.pick(*wordings)), str(facts.people_count))
    for thing in facts.objects:
        if thing.probability >= scene.least and thing.box and thing.count <= MOST_COUNTED:
            name = thing.label if thing.label in PLURAL_ALREADY else plural(thing.label)
            yield Turn("count", QUESTION.format(question=f"How many {name} are there?"), str(thing.count))


def boxes(scene: Scene) -> Iterator[Turn]:
    """Expression to box (REC) and box to expression (REG), of people whose box was detected, and of single things."""
    for place, person in enumerate(scene.facts.people):
        box = _box(scene, person.box)
        if place not in scene.boxed or not box:
            continue
        phrases = references(scene, person)
        if phrases:
            yield Turn("rec", FIND.format(expression=scene.random.choice(phrases)), box)
            yield Turn(
                "reg", REFER.format(box=box), phrases[-1] if len(phrases) < 3 else scene.random.choice(phrases[1:])
            )
    for thing in scene.facts.objects:
        if thing.box and thing.count == 1 and thing.probability >= scene.least and (box := _box(scene, thing.box)):
            yield Turn("rec", FIND.format(expression=f"the {thing.label}"), box)


def _box(scene: Scene, box: tuple[float, ...]) -> str:
    """As text; empty when it is too small to have an area in hundredths of the picture."""
    text = format_box(list(box), scene.facts.width, scene.facts.height)
    x0, y0, x1, y1 = (int(value) for value in text[1:-1].split(","))
    return text if x1 > x0 and y1 > y0 else ""


def keypoints(scene: Scene) -> Iterator[Turn]:
    """Where the points of a face are, in hundredths of the picture."""
    facts = scene.facts
    for place, points in scene.points.items():
        box = _box(scene, facts.people[place].box)
        if len(points) < 2 or not box:
            continue
        names = sorted(points, key=lambda name: scene.random.random())
        said = [
            f"{name}: [{round(100 * points[name][0] / facts.width)}, {round(100 * points[name][1] / facts.height)}]"
            for name in names
        ]
        yield Turn("keypoints", KEYPOINTS.format(names=", ".join(names), box=box), ", ".join(said))


def tables(scene: Scene) -> Iterator[Turn]:
    """The attributes of a person in Markdown; how they appear, not what they are."""
    for person in scene.facts.people:
        rows = list(_attributes(scene, person))
        if len(rows) > 2 and (who := refer(scene, person)):
            lines = [f"| {name} | {value} |" for name, value in rows]
            table = "\n".join(["| attribute | appears to be |", "| --- | --- |", *lines])
            yield Turn("table", scene.pick(*TABLE).format(who=who), table)


def _attributes(scene: Scene, person: Person) -> Iterator[tuple[str, str]]:
    guesses = {
        **{
            "gender": person.gender,
            "age": person.stage,
            "expression": person.expression,
            "hair length": person.hair_length,
        },
        **{"eyewear": person.eyewear, "headwear": person.headwear, "beard": person.beard, "pose": person.pose},
    }
    yield from ((name, scene.sure(guess)) for name, guess in guesses.items() if scene.sure(guess))
    if not scene.facts.monochrome and (hair := scene.sure(person.hair)):
        yield "hair color", hair
    for garment in person.garments:
        if worn := f"{scene.colours(garment)} {scene.sure(garment.kind)}".strip():
            yield f"clothes, {garment.region}", worn
    yield from ((guess.value.replace("_", " "), "yes") for guess in person.attributes if scene.sure(guess))


def unanswerable(scene: Scene) -> Iterator[Turn]:
    """Questions that no picture answers, and the answer that says so."""
    known = [who for person in scene.facts.people if (who := refer(scene, person))]
    for wordings in UNKNOWABLE:
        question = scene.pick(*wordings)
        if "{who}" not in question or known:
            who = scene.random.choice(known) if known else ""
            yield Turn("unanswerable", question.format(who=who), scene.pick(*NOT_TOLD))
