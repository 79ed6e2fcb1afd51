"""Captions from facts by templates: seeded by the sample's id, within word limits, and never more than was measured.

Facts less probable than ``min_probability`` are not written. Apparent attributes are hedged in the detailed caption.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from humanvlm.caption.facts.colour import FAMILIES
from humanvlm.caption.template.english import article, counted, join, number, plural, sentence, within, word_count
from humanvlm.data.facts import Facts, Guess, Person

PRONOUNS = {"female": ("she", "her"), "male": ("he", "his"), "": ("they", "their")}
DECADES = {
    "20s": "twenties",
    "30s": "thirties",
    "40s": "forties",
    "50s": "fifties",
    "60s": "sixties",
    "70s": "seventies",
}
AGED = {"young adult": "young", "middle-aged": "middle-aged", "older": "older"}
PLACES = {"left": "on the left", "centre": "in the middle", "right": "on the right"}
# Only what the classifier tells reliably on photographs: it takes blurred and dark faces for sad, fearful or surprised.
LOOKS = {"happy": "a smile", "neutral": "a neutral expression"}
SHOTS = {
    "close-up": "is shown in close-up",
    "half-length": "is seen from the waist up",
    "full-length": "is seen at full length",
    "distant": "is at some distance from the camera",
    "partial": "is only partly in view",
}
MERGED_NAMES = {"tv": "television", "cell phone": "mobile phone", "couch": "sofa"}
SMALLEST_LIMIT = 12  # words that the barest caption may need


@dataclass(frozen=True)
class Writer:
    """Facts with a threshold and a seeded choice of phrasings."""

    facts: Facts
    random: Random
    least: float

    def sure(self, guess: Guess | None) -> str:
        """The guess's value when it is probable enough to be written, else an empty string."""
        return guess.value if guess and guess.probability >= self.least else ""

    def pick(self, *phrases: str) -> str:
        return self.random.choice(phrases)

    def noun(self, person: Person) -> str:
        """Woman, man, girl, boy, child or person, as far as probable."""
        gender, stage = self.sure(person.gender), self.sure(person.stage)
        if stage == "child":
            return {"female": "girl", "male": "boy", "": "child"}[gender]
        if stage == "teenager":
            return {"female": "teenage girl", "male": "teenage boy", "": "teenager"}[gender]
        return {"female": "woman", "male": "man", "": "person"}[gender]

    def aged(self, person: Person) -> str:
        """The noun with its age: older woman; young man; girl."""
        noun, age = self.noun(person), AGED.get(self.sure(person.stage), "")
        return f"{age} {noun}".strip()

    def colours(self, person: Person) -> str:
        """Orange; black and white; empty when no one or two colours cover enough of the torso."""
        garment = person.garment("upper")
        return two_colours(garment.colours, self.least) if garment and not self.facts.monochrome else ""

    def outfit(self, person: Person) -> str:
        """A dark blue suit; orange clothes; empty when neither colour nor kind is known."""
        upper = person.garment("upper")
        colours, garment = self.colours(person), self.sure(upper.kind if upper else None)
        if garment:
            return article(f"{colours} {garment}".strip())
        return f"{colours} clothes" if colours else ""

    def things(self) -> list[str]:
        """Probable objects, counted, that the setting does not already name."""
        setting = self.sure(self.facts.setting)
        names = [
            (thing.count, MERGED_NAMES.get(thing.label, thing.label))
            for thing in self.facts.objects
            if thing.probability >= self.least
        ]
        return [counted(count, name) for count, name in names if name not in setting]

    def backdrop(self) -> str:
        """Blue and grey; empty when no one or two colours cover enough of the background."""
        return "" if self.facts.monochrome else two_colours(self.facts.background, self.least)


def two_colours(shares: Sequence[Guess], least: float) -> str:
    """The colour that covers ``least`` of a region, or the two that do together; shades of one colour are one."""
    if shares and shares[0].probability >= least:
        return shares[0].value
    if len(shares) > 1 and shares[0].probability + shares[1].probability >= least and shares[1].probability >= 0.2:
        first, second = shares[0].value, shares[1].value
        family = FAMILIES.get(first, first)
        return family if family == FAMILIES.get(second, second) else f"{first} and {second}"
    return ""


def write(
    facts: Facts, key: str, *, min_probability: float, short_max_words: int, detailed_max_words: int
) -> tuple[str, str]:
    """The short and the detailed caption of a picture. ``key`` (the sample's id, say) chooses the phrasings.

    Limits below ``SMALLEST_LIMIT`` may leave a caption empty.
    """
    writer = Writer(facts, Random(key), min_probability)
    return short_caption(writer, short_max_words), detailed_caption(writer, detailed_max_words)


def short_caption(writer: Writer, most: int) -> str:
    """One sentence: who, clothes, expression, position, surroundings; details are left out until it fits."""
    facts, people = writer.facts, writer.facts.people
    many = facts.people_count > 1
    if not people:
        return within([(0, "A picture of people.")], most)
    who = _group(writer) if many else _subject(writer, people[0])
    verb = _verb(writer, many)
    where = "" if many else PLACES[people[0].position]
    around = writer.sure(facts.setting)
    if not around and (backdrop := writer.backdrop()):
        around = f"against {article(f'{backdrop} background')}"
    things = writer.things()[:2]
    near = f"with {join(things)} {writer.pick('nearby', 'in the picture')}" if things else ""
    if verb.endswith("seen") and not (where or around or near):
        where = "in the picture"
    comma = "," if where else ""
    parts = [who, verb, where, around and f"{comma} {around}", near and f", {near}"]
    for dropped in ((), (4,), (3, 4), (2, 3, 4)):
        text = sentence(" ".join(part for index, part in enumerate(parts) if index not in dropped))
        if word_count(text) <= most:
            return text
    bare = [
        f"{who} {'are' if many else 'is'} in the picture" for who in (counted_by_noun(writer), counted_people(writer))
    ]
    return next((text for text in map(sentence, bare) if word_count(text) <= most), "")


def _subject(writer: Writer, person: Person, *, extras: bool = True) -> str:
    """A smiling young woman in orange clothes and sunglasses."""
    return f"{article(_described(writer, person))} {_wearing(writer, person, extras)}".strip()


def _described(writer: Writer, person: Person) -> str:
    return f"{'smiling ' if writer.sure(person.expression) == 'happy' else ''}{writer.aged(person)}"


def _wearing(writer: Writer, person: Person, extras: bool) -> str:
    worn = [writer.outfit(person), writer.sure(person.eyewear) if extras else ""]
    wearing = join([item for item in worn if item])
    return f"{writer.pick('in', 'wearing')} {wearing}" if wearing else ""


def _verb(writer: Writer, many: bool) -> str:
    postures = {writer.sure(person.pose) for person in writer.facts.people}
    posture = postures.pop() if len(postures) == 1 else ""
    if posture and writer.facts.people_count <= len(writer.facts.people):
        singular, several = {"standing": ("stands", "stand"), "sitting": ("sits", "sit"), "lying": ("lies", "lie")}[
            posture
        ]
        return several if many else singular
    return "are seen" if many else "is seen"


def _group(writer: Writer) -> str:
    """Two people one by one, with their sides; more by number and kind, and the most prominent one."""
    facts, people = writer.facts, writer.facts.people
    if facts.people_count == 2 and len(people) == 2:
        first, second = sorted(people, key=lambda person: person.box[0] + person.box[2])
        alike = _described(writer, first) == _described(writer, second) and writer.outfit(first) == writer.outfit(
            second
        )
        if alike:
            return f"two {plural(_described(writer, first))} {_wearing(writer, first, False)}".strip()
        names = [_subject(writer, person, extras=False) for person in (first, second)]
        if first.position != second.position:
            names = [f"{name} {PLACES[one.position]}" for name, one in zip(names, (first, second), strict=True)]
        return join(names)
    prominent = people[0]
    known = writer.noun(prominent) != "person" or writer.outfit(prominent)
    detail = f", {writer.pick('among them', 'including')} {_subject(writer, prominent)}," if known else ""
    return counted_by_noun(writer) + detail


def counted_by_noun(writer: Writer) -> str:
    """A woman; two men; two women and a man; five people: by their nouns when every person has one."""
    facts = writer.facts
    nouns = [writer.noun(person) for person in facts.people]
    if not nouns or "person" in nouns or facts.people_count != len(nouns):
        return counted_people(writer)
    ranked = sorted(set(nouns), key=lambda noun: (-nouns.count(noun), noun))
    return join([counted(nouns.count(noun), noun) for noun in ranked])


def counted_people(writer: Writer) -> str:
    """A person; five people."""
    return counted(max(writer.facts.people_count, 1), "person")


def detailed_caption(writer: Writer, most: int) -> str:
    """Sentences on the picture, each person from left to right, the surroundings and the light.

    When they do not fit, those on the least prominent people go first.
    """
    facts = writer.facts
    sentences = [(0, opening(writer))]
    for rank, person in left_to_right(facts):
        sentences += [(2 + 3 * rank, text) for text in person_sentences(writer, person)]
    if 0 < len(facts.people) < facts.people_count:
        sentences.append((3, _others(facts.people_count - len(facts.people))))
    sentences += [(4, text) for text in background_sentences(writer)]
    return within(sentences, most)


def left_to_right(facts: Facts) -> list[tuple[int, Person]]:
    """The described people with their rank of prominence, in the order in which they stand."""
    return sorted(enumerate(facts.people), key=lambda item: (item[1].box[0] + item[1].box[2], item[0]))


def opening(writer: Writer) -> str:
    """The photograph shows three people."""
    kind = "black-and-white photograph" if writer.facts.monochrome else writer.pick("picture", "photograph", "image")
    count = writer.facts.people_count
    who = "people" if not count else f"{number(count)} {plural('person') if count > 1 else 'person'}"
    return sentence(f"{writer.pick('this', 'the')} {kind} shows {who}")


def _others(count: int) -> str:
    return sentence(
        f"{counted(count, 'other person').removeprefix('an ') if count > 1 else 'another person'}"
        f" {'are' if count > 1 else 'is'} also in the picture"
    )


def named(writer: Writer, person: Person) -> str:
    """How to refer to a person among the others: the person on the left."""
    same = [other for other in writer.facts.people if other.position == person.position]
    if len(writer.facts.people) == 1:
        return "the person" if writer.facts.people_count == 1 else "the most prominent person"
    if len(same) == 1:
        return f"the person {PLACES[person.position]}"
    order = [other for _, other in left_to_right(writer.facts) if other in same]
    rank = ("first", "second", "third", "fourth")[order.index(person)]
    return f"the {rank} person {PLACES[person.position]}"


def person_sentences(writer: Writer, person: Person) -> list[str]:
    """Who the person appears to be, the face, the body."""
    return [appearance(writer, person), face_sentence(writer, person), body_sentence(writer, person)]


def appearance(writer: Writer, person: Person) -> str:
    """The person on the left appears to be a woman in her thirties."""
    noun, decade, stage = writer.noun(person), writer.sure(person.age), writer.sure(person.stage)
    _, whose = PRONOUNS[writer.sure(person.gender)]
    hedge = writer.pick("appears to be", "looks to be", "seems to be")
    if decade and stage not in ("child", "teenager"):
        age = f"in {whose} {DECADES[decade]}"
        return sentence(f"{named(writer, person)} {hedge} {age if noun == 'person' else f'{article(noun)} {age}'}")
    if noun == "person":
        return sentence(f"{named(writer, person)} {hedge} {AGED[stage]}") if stage in AGED else ""
    return sentence(f"{named(writer, person)} {hedge} {article(writer.aged(person))}")


def face_sentence(writer: Writer, person: Person) -> str:
    """She has a neutral expression and wears sunglasses."""
    look = LOOKS.get(writer.sure(person.expression), "")
    eyewear, facing = writer.sure(person.eyewear), writer.sure(person.facing)
    who = _reference(writer, person)
    clauses = [f"has {look}"] if look else []
    clauses += [f"wears {eyewear}"] if eyewear else []
    if facing:
        clauses += ["faces the camera" if facing == "camera" else f"is turned to the {facing}"]
    return sentence(f"{who} {join(clauses)}") if clauses else ""


def body_sentence(writer: Writer, person: Person, who: str = "") -> str:
    """She wears orange clothes, is standing with one arm raised and is seen at full length."""
    outfit, posture, arms = writer.outfit(person), writer.sure(person.pose), writer.sure(person.arms)
    who = who or _reference(writer, person)
    clauses = [f"{writer.pick('wears', 'is dressed in')} {outfit}"] if outfit else []
    if posture:
        clauses.append(f"is {posture} with {arms}" if arms else f"is {posture}")
    elif arms:
        clauses.append(f"has {arms}")
    return sentence(f"{who} {join([*clauses, SHOTS[person.shot]])}")


def _reference(writer: Writer, person: Person) -> str:
    """The subject of a further sentence: she or he when that is probable, else the name among the others."""
    gender = writer.sure(person.gender)
    return PRONOUNS[gender][0] if gender else named(writer, person)


def background_sentences(writer: Writer) -> list[str]:
    """Where it appears to be, the background's colours, what else is there, the light."""
    setting, backdrop, things = writer.sure(writer.facts.setting), writer.backdrop(), writer.things()
    place = f"The {writer.pick('picture', 'photograph')} appears to have been taken {setting}" if setting else ""
    colours = f"The background is {writer.pick('mostly', 'mainly')} {backdrop}" if backdrop else ""
    also = f"{join(things)} can also be seen" if things else ""
    return [sentence(text) for text in (place, also, colours, _light(writer.facts)) if text]


def _light(facts: Facts) -> str:
    light = {"dim": "The light is dim", "bright": "The light is bright", "even": "The light is even"}[facts.light]
    contrast = {"low": " and soft", "high": " with strong contrasts", "medium": ""}[facts.contrast]
    return light + contrast
