"""How to refer to each of the people: by a name at first, by a pronoun or another name later, and never ambiguously."""

from dataclasses import dataclass

from humanvlm.caption.template.english import counted, crowd, join
from humanvlm.caption.template.people import bare_colours
from humanvlm.caption.template.sheet import Sheet
from humanvlm.caption.template.words import PLACES

ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")


@dataclass(frozen=True)
class Named:
    """names: to introduce the person, fitting nobody else described. coloured: one by the clothes, or empty.

    placed: whether every name says where in the picture the person is. definite: to refer to the person at any time, or
    empty.
    """

    noun: str
    names: tuple[str, ...]
    definite: str = ""
    coloured: str = ""
    placed: bool = False


def cast(sheet: Sheet, kinds: bool) -> tuple[Named, ...]:
    """Names of all described people. kinds: by their nouns; otherwise each is a person at first."""
    people = sheet.facts.people
    nouns = [sheet.noun(person) if kinds else "person" for person in people]
    shirts = [bare_colours(sheet, person) for person in people]
    return tuple(_named(sheet, nouns, shirts, index) for index in range(len(people)))


def _named(sheet: Sheet, nouns: list[str], shirts: list[str], index: int) -> Named:
    people, noun = sheet.facts.people, nouns[index]
    person, all_described = people[index], sheet.facts.people_count <= len(people)
    if len(people) == 1:
        return Named(noun, (f"the {noun}" if all_described else f"the most prominent {noun}",))
    alike = [other for other, name in enumerate(nouns) if name == noun and other != index]
    known = bool(shirts[index]) and all(shirts[other] not in ("", shirts[index]) for other in alike)
    coloured = f"the {noun} in {shirts[index]}" if known and all_described else ""
    if not alike and noun != "person" and all_described:
        return Named(noun, (f"the {noun}",), f"the {noun}", coloured)
    place = PLACES.get(person.position, "")
    beside = [other for other in alike if people[other].position == person.position]
    if place and not beside:
        names = [f"the {noun} {place}"]
        if person.position != "centre":
            names.append(f"the {person.position}-hand {noun}")
        if noun == "person":
            names.append(f"the figure {place}")
        return Named(noun, tuple(names), names[0], coloured, placed=True)
    if all_described:
        ranked = sorted((*alike, index), key=lambda other: (people[other].box[0] + people[other].box[2], other))
        rank = ranked.index(index)
        name = f"the {ORDINALS[rank] if rank < len(ORDINALS) else 'last'} {noun} from the left"
        return Named(noun, (name,), name, coloured)
    order = telling_order(sheet)
    first = all(order.index(index) < order.index(other) for other in beside)
    return Named(noun, (f"{'a' if first else 'another'} {noun} {place}".strip(),), placed=bool(place))


def counted_by_noun(sheet: Sheet) -> str:
    """A woman; two men; two women and a man; empty unless everybody is described and has a noun."""
    nouns = [sheet.noun(person) for person in sheet.facts.people]
    if not nouns or "person" in nouns or sheet.facts.people_count != len(nouns):
        return ""
    ranked = sorted(set(nouns), key=lambda noun: (-nouns.count(noun), noun))
    return join([counted(nouns.count(noun), noun) for noun in ranked])


def counted_people(sheet: Sheet) -> str:
    """A person; five people; about a dozen people."""
    return crowd(max(sheet.facts.people_count, 1))


def telling_order(sheet: Sheet) -> list[int]:
    """The most prominent person first, then the others from left to right."""
    boxes = [person.box for person in sheet.facts.people]
    return sorted(range(len(boxes)), key=lambda index: (index > 0, boxes[index][0] + boxes[index][2], index))
