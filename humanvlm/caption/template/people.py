"""Phrases of one person: who it appears to be, the head, what is worn, what is done, how it is framed."""

from humanvlm.caption.template.english import article, counted, indefinite, join, uncounted
from humanvlm.caption.template.sheet import Clause, Sheet, being, called, extent, having, wearing
from humanvlm.caption.template.words import (
    AGED,
    ARMS,
    CARRIED,
    CELEBA,
    CELEBA_HAIR,
    CELEBA_HAIR_COLOURS,
    CELEBA_WORN,
    DECADES,
    EXPRESSIONS,
    GARMENTS,
    HEADS,
    INTIMATE,
    MINORS,
    PLACES,
    POSES,
    RELATIONS,
    SHOTS,
    TURNS,
)
from humanvlm.data.facts import Garment, Person, Relation

REGIONS = ("whole", "upper", "lower", "feet")


def described(sheet: Sheet, person: Person) -> str:
    """The noun with its age: older woman; young man; girl."""
    return f"{AGED.get(sheet.sure(person.stage), '')} {sheet.noun(person)}".strip()


def in_decade(sheet: Sheet, person: Person) -> str:
    """In her thirties; empty for children and where the age is unknown."""
    decade = DECADES.get(sheet.sure(person.age), "")
    return f"in {sheet.pronouns(person).whose} {decade}" if decade and sheet.sure(person.stage) not in MINORS else ""


def hair(sheet: Sheet, person: Person) -> str:
    """Short brown hair; a bald head."""
    length, known = sheet.sure(person.hair_length), _celeba(sheet, person)
    if length == "bald" or (not length and "Bald" in known):
        return "a bald head"
    colours = [colour for name, colour in CELEBA_HAIR_COLOURS.items() if name in known and not sheet.facts.monochrome]
    colour = sheet.tinted(person.hair) or (colours[0] if colours else "")
    texture = next((word for name, word in CELEBA_HAIR.items() if name in known), "")
    words = " ".join(word for word in (length, texture, colour) if word)
    return f"{words} hair" if words else ""


def features(sheet: Sheet, person: Person) -> list[str]:
    """What the head has: hair, a beard, and what a classifier of CelebA's attributes adds."""
    known = _celeba(sheet, person)
    beard = sheet.sure(person.beard)
    found = [hair(sheet, person), indefinite(beard) if beard else ""]
    if not beard and sheet.absent(person.beard) and sheet.noun(person) == "man" and sheet.chance(0.2):
        found.append("a clean-shaven face")
    said = " ".join(found) + " a smile" * (sheet.sure(person.expression) != "")
    found += [phrase for name, phrase in CELEBA.items() if name in known and phrase not in said]
    return [phrase for phrase in found if phrase]


def headwear(sheet: Sheet, person: Person) -> str:
    """A black hat; empty when none is known."""
    kind = sheet.sure(person.headwear)
    return indefinite(f"{sheet.tinted(person.headwear_colour)} {kind}".strip()) if kind else ""


def on_head(sheet: Sheet, person: Person) -> list[str]:
    """What is worn on the head, from its top: a black hat, glasses, earrings."""
    eyewear, known = sheet.sure(person.eyewear), _celeba(sheet, person)
    found = [headwear(sheet, person)]
    if eyewear:
        found.append(
            f"a pair of {eyewear}" if eyewear.endswith("glasses") and sheet.chance(0.25) else indefinite(eyewear)
        )
    said = " ".join(found)
    more = [phrase for name, phrase in CELEBA_WORN.items() if name in known and "neck" not in name.lower()]
    if found[0]:
        more = [phrase for phrase in more if phrase != "a hat"]
    return [phrase for phrase in [*found, *(one for one in more if one not in said)] if phrase]


def garment_phrase(sheet: Sheet, garment: Garment, minor: bool) -> str:
    """A long-sleeved white top; dark blue jeans; empty when nothing of it is known."""
    colours, kind, length = sheet.colours(garment.colours), sheet.sure(garment.kind), sheet.sure(garment.length)
    if minor and (kind in INTIMATE or length == "sleeveless"):
        kind, length = "", ""
    if kind == "trousers":  # they are long
        length = ""
    if not (colours or kind):
        return ""
    noun = kind or GARMENTS.get(garment.region, "clothes")
    return indefinite(" ".join(word for word in (length, colours, noun) if word))


def bare_colours(sheet: Sheet, person: Person) -> str:
    """Orange, when the colours of the upper or whole body are all that is known of the clothes; else empty."""
    known = [one for one in person.garments if sheet.sure(one.kind) or sheet.colours(one.colours)]
    if len(known) != 1 or known[0].region not in ("upper", "whole"):
        return ""
    if sheet.sure(known[0].kind) or sheet.sure(known[0].length):
        return ""
    return sheet.colours(known[0].colours)


def one_colour(sheet: Sheet, person: Person) -> str:
    """Black, when upper and lower garment, of no known kind, are."""
    upper, lower = person.garment("upper"), person.garment("lower")
    if not (upper and lower) or any(sheet.sure(guess) for one in (upper, lower) for guess in (one.kind, one.length)):
        return ""
    colours = sheet.colours(upper.colours)
    return colours if colours and colours == sheet.colours(lower.colours) else ""


def garments(sheet: Sheet, person: Person) -> list[str]:
    """What is worn on the body, from top to bottom, as noun phrases; not what is dressed all in one colour."""
    minor, whole = sheet.sure(person.stage) in MINORS, one_colour(sheet, person)
    regions = ("feet",) if whole else REGIONS
    found = [garment_phrase(sheet, one, minor) for region in regions if (one := person.garment(region))]
    return [phrase for phrase in found if phrase]


def accessories(sheet: Sheet, person: Person, carried: bool) -> list[str]:
    """What is worn beside clothes (a tie, a necklace), or what is carried; not what the activity names."""
    activity = sheet.sure(person.activity)
    names = [guess.value for guess in person.accessories if sheet.sure(guess) and guess.value not in activity]
    found = [indefinite(called(name)) for name in dict.fromkeys(names) if (name in CARRIED) == carried]
    if not carried:
        known = _celeba(sheet, person)
        more = [phrase for name, phrase in CELEBA_WORN.items() if name in known and "neck" in name.lower()]
        found += [phrase for phrase in more if phrase not in found]
    return found


def head_clauses(sheet: Sheet, person: Person) -> list[Clause]:
    """What is said of the head: what it has and what is worn on it, expression, mouth and eyes, tilt, direction."""
    looks, smiles = expression(sheet, person)
    has, worn = [*features(sheet, person), *looks, *mouth_and_eyes(sheet, person)], on_head(sheet, person)
    clauses = []
    if has and worn and len(has) + len(worn) <= 4 and sheet.chance(0.3):
        clauses.append(having(join([*has, *worn])))
    else:
        clauses += [having(join(has))] if has else []
        clauses += [wearing(join(worn))] if worn else []
    if sheet.fine and not worn and sheet.absent(person.headwear) and sheet.chance(0.3):
        clauses.append(being("bareheaded"))
    if head := sheet.sure(person.head):
        clauses.append(having(f"{sheet.pronouns(person).whose} head {HEADS.get(head, head)}"))
    return [*clauses, *smiles, *turned(sheet, person), *height_of_face(sheet, person)]


def height_of_face(sheet: Sheet, person: Person) -> list[Clause]:
    """Has her face high in the picture, which is above its middle; said only when ``fine``."""
    if not sheet.fine or person.face is None:
        return []
    where = "high" if person.face[1] + person.face[3] < sheet.facts.height else "low"
    return [having(f"{sheet.pronouns(person).whose} face {where} in the picture")]


def expression(sheet: Sheet, person: Person) -> tuple[list[str], list[Clause]]:
    """Something that the face has (a smile), or something that the person does (smiles)."""
    look = sheet.sure(person.expression)
    if look == "happy" and sheet.chance(0.5):
        return [], [Clause("smiles", "smile", "smiling")]
    return ([EXPRESSIONS[look]] if look in EXPRESSIONS else []), []


def mouth_and_eyes(sheet: Sheet, person: Person) -> list[str]:
    """Open eyes and a closed mouth."""
    mouth, eyes = sheet.sure(person.mouth), sheet.sure(person.eyes)
    found = [f"{eyes} eyes" if eyes else "", f"{article(mouth)} mouth" if mouth else ""]
    return [phrase for phrase in (found if sheet.chance(0.6) else found[::-1]) if phrase]


def turned(sheet: Sheet, person: Person) -> list[Clause]:
    """Faces the camera; is seen from behind."""
    facing = sheet.sure(person.facing)
    if facing in TURNS:
        return [sheet.one_of(TURNS[facing])]
    return [being(f"facing {facing}")] if facing else []


def clothes_clauses(sheet: Sheet, person: Person) -> list[Clause]:
    """What is worn on the body and what is carried."""
    colour, whole = bare_colours(sheet, person), one_colour(sheet, person)
    worn, carried = [*garments(sheet, person), *accessories(sheet, person, False)], accessories(sheet, person, True)
    clauses = []
    if whole:
        clauses.append(being(f"dressed {sheet.pick('all', 'entirely', 'completely')} in {whole}"))
    if colour and len(worn) == 1 and sheet.chance(0.5):
        clauses.append(sheet.one_of(_in_colour(colour)))
    elif worn and not whole and sheet.chance(0.35):
        clauses.append(being(f"dressed in {join(worn)}"))
    elif worn:
        clauses.append(wearing(join(worn)))
    if carried:
        clauses.append(having(join(carried)))
    return clauses


def _in_colour(colour: str) -> tuple[tuple[str, str, str], ...]:
    return (
        (f"is dressed in {colour}", f"are dressed in {colour}", f"dressed in {colour}"),
        (f"wears {colour}", f"wear {colour}", f"wearing {colour}"),
        (f"is in {colour}", f"are in {colour}", f"in {colour}"),
    )


def action(sheet: Sheet, person: Person, relations: list[str], pose: bool = True) -> list[Clause]:
    """What the person does and where: stands beside a car with one arm raised; is riding a bicycle.

    relations: phrases such as ``beside a car``. pose: whether the posture is still to be said.
    """
    posture, doing = sheet.sure(person.pose) if pose else "", sheet.sure(person.activity)
    arms = ARMS.get(sheet.sure(person.arms), sheet.sure(person.arms))
    clauses = []
    if doing and (posture in doing or doing.split(" ", 1)[0] in POSES or (posture == "sitting" and "riding" in doing)):
        posture = ""
    rest = " ".join(([f"with {arms}"] if arms else []) + ([join(relations)] if relations else []))
    if posture in POSES and not (doing and rest):
        one, many = POSES[posture]
        tail = doing or rest
        clauses.append(Clause(f"{one} {tail}".strip(), f"{many} {tail}".strip(), f"{posture} {tail}".strip()))
        rest = "" if not doing else rest
        doing = ""
    elif posture:
        clauses.append(being(posture))
    if doing:
        clauses.append(being(f"{doing} with {arms}" if arms else doing))
        rest = join(relations) if arms else rest
    if rest:
        clauses.append(having(rest.removeprefix("with ")) if rest.startswith("with ") else being(rest))
    return clauses


def relation_phrases(sheet: Sheet, index: int, others: dict[int, str], taken: set[str]) -> list[str]:
    """How the person of this index stands to objects and people: beside a car, to the left of the man.

    others: how to refer to people. Labels in ``taken`` are named elsewhere; those named here are added to it.
    """
    counts = {thing.label: thing.count for thing in sheet.facts.objects}
    named = f"{sheet.sure(sheet.facts.setting)} {sheet.sure(sheet.facts.people[index].activity)}"
    found = []
    for relation in sheet.facts.relations:
        if relation.person != index or relation.probability < sheet.least or relation.predicate not in RELATIONS:
            continue
        where = sheet.pick(*RELATIONS[relation.predicate])
        if relation.label:
            name = called(relation.label)
            if name in taken or name in named or relation.label in named:
                continue
            taken.add(name)
            found.append(f"{where} {one_of_them(counts.get(relation.label, 1), name)}")
        elif relation.other is not None and relation.other in others and not _told_by_place(sheet, relation):
            pair = f"{min(index, relation.other)}+{max(index, relation.other)}"
            if pair not in taken:
                taken.add(pair)
                found.append(f"{where} {others[relation.other]}")
    return found


def _told_by_place(sheet: Sheet, relation: Relation) -> bool:
    """Whether the thirds of the picture that two people are in say already who is left of whom."""
    first, second = sheet.facts.people[relation.person], sheet.facts.people[relation.other or 0]
    return relation.predicate in ("left of", "right of") and first.position != second.position


def one_of_them(count: int, name: str) -> str:
    """A chair; one of three chairs."""
    return indefinite(name) if count == 1 or uncounted(name) else f"one of {counted(count, name)}"


def framing(sheet: Sheet, person: Person, placed: bool) -> list[Clause]:
    """How much is seen, where in the picture and, if ``fine``, how large. placed: the position is said already."""
    shot = sheet.pick(*SHOTS[person.shot]) if person.shot in SHOTS else ""
    place = "" if placed else PLACES.get(person.position, "")
    clauses = [being(f"{shot} {place}".strip())] if shot or place else []
    size = extent(sheet.share_of(person.box)) if sheet.fine else ""
    if size:
        clauses.append(Clause(f"{sheet.pick('fills', 'takes up', 'covers')} {size}", f"fill {size}", f"filling {size}"))
    return clauses


def _celeba(sheet: Sheet, person: Person) -> set[str]:
    return {guess.value for guess in person.attributes if sheet.sure(guess)}
