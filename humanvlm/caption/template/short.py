"""The short caption: one or two sentences as people write them under pictures."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from humanvlm.caption.template import people, surroundings
from humanvlm.caption.template.cast import counted_by_noun, counted_people
from humanvlm.caption.template.compose import say
from humanvlm.caption.template.english import article, join, plural, sentence, word_count
from humanvlm.caption.template.sheet import Clause, Sheet, having, wearing
from humanvlm.caption.template.story import shared_facts
from humanvlm.caption.template.words import PLACES, POSES
from humanvlm.data.facts import Person

MOST_WORN = 3  # things named in one breath


@dataclass(frozen=True)
class Line:
    """Parts of a sentence; who is never empty. does, doing: the action as a predicate and as a free phrase."""

    who: str
    many: bool = False
    looks: str = ""  # with short hair
    dressed: str = ""  # in a red coat
    does: str = ""
    doing: str = ""
    where: str = ""


def short(sheet: Sheet, most: int) -> str:
    """One or two sentences of at most ``most`` words; details are left out until it fits, down to a count of people."""
    taken = set[str]()
    first, second = _lines(sheet, taken)
    extra = surroundings.thing_sentences(sheet, taken)[:1]
    if extra and (not second or sheet.chance(0.6)):
        found = surroundings.things(sheet, taken)[:2]
        if sheet.chance(0.6):
            names = join([surroundings.thing_phrase(sheet, thing) for thing in found])
            first, second = f"{first[:-1]}, with {names}{sheet.pick('', ' in the scene', ' in view')}.", second
        else:
            second = extra[0]
    several = sheet.facts.people_count != 1
    counts = [who for who in (counted_by_noun(sheet), counted_people(sheet)) if who and sheet.facts.people_count]
    bare = [sentence(f"{who} {'are' if several else 'is'} in the picture") for who in counts] or [
        "A scene without people."
    ]
    candidates = (f"{first} {second}".strip(), first, *bare)
    return next((text for text in candidates if word_count(text) <= most), "")


def _lines(sheet: Sheet, taken: set[str]) -> tuple[str, str]:
    """The first sentence, and one for what did not go into it; or an empty one."""
    facts, where = sheet.facts, sheet.sure(sheet.facts.setting)
    if not where and sheet.chance(0.5):  # people who caption seldom say no more than outdoors
        where = sheet.sure(facts.place)
    if not facts.people:
        who = counted_people(sheet) if facts.people_count else "a scene without people"
        return sentence(f"{who} {where}" if where else f"a picture of {who}" if facts.people_count else who), ""
    if facts.people_count == 1:
        return _one(sheet, where, taken)
    if facts.people_count == 2 == len(facts.people):
        return _two(sheet, where, taken), ""
    return _several(sheet, where)


def _one(sheet: Sheet, where: str, taken: set[str]) -> tuple[str, str]:
    person = sheet.facts.people[0]
    looks, worn, later = people.features(sheet, person), _worn(sheet, person), list[Clause]()
    if looks and worn and sheet.chance(0.8):
        later, looks = [having(join(looks))] if sheet.chance(0.4) else [], []
    if len(worn) > MOST_WORN:
        later, worn = [*later, wearing(join(worn[MOST_WORN:]))], worn[:MOST_WORN]
    acts = people.action(sheet, person, people.relation_phrases(sheet, 0, {}, taken))
    turn = people.turned(sheet, person)
    does, rest = (acts[:1], [*acts[1:], *turn]) if acts else (turn, []) if sheet.chance(0.5) else ([], turn)
    known = len(does) + len(worn) + len(looks)
    if not known:
        does = does or people.framing(sheet, person, placed=False)[:1]
    elif not where and sheet.chance(0.9 if known == 1 else 0.3):
        where = surroundings.against(sheet) if does or sheet.chance(0.7) else PLACES.get(person.position, "")
    line = Line(
        who=article(_described(sheet, person)),
        looks=f"with {join(looks)}" if looks else "",
        dressed=_dressed(sheet, person, worn),
        does=does[0].one if does else "",
        doing=does[0].free if does else "",
        where=where,
    )
    later += rest
    if not later or (not worn and sheet.chance(0.3)):
        return told(sheet, line), ""
    pronoun, noun = sheet.pronouns(person).subject, sheet.noun(person)
    subject = pronoun if pronoun != "they" or sheet.chance(0.5) else f"the {noun}"
    return told(sheet, line), say(sheet, subject, later[:3])


def _two(sheet: Sheet, where: str, taken: set[str]) -> str:
    """Both at once where they look alike, else one by one from left to right."""
    pair = sorted(enumerate(sheet.facts.people), key=lambda item: (item[1].box[0] + item[1].box[2], item[0]))
    persons = [person for _, person in pair]
    nouns = [_described(sheet, person) for person in persons]
    worn = [_dressed(sheet, person, _worn(sheet, person)[:2]) for person in persons]
    does, doing = _posture(sheet)
    if nouns[0] == nouns[1] and (worn[0] == worn[1] or not all(worn)):
        dressed = worn[0] if worn[0] == worn[1] else ""
        alike = Line(f"two {plural(nouns[0])}", True, "", dressed, does, doing, where or surroundings.against(sheet))
        return told(sheet, alike)
    apart = persons[0].position != persons[1].position
    sides = [PLACES.get(person.position, "") if apart else "" for person in persons]
    names = [f"{article(noun)} {text}".strip() for noun, text in zip(nouns, worn, strict=True)]
    acts = [people.action(sheet, person, people.relation_phrases(sheet, index, {}, taken)) for index, person in pair]
    if all(acts) and not does:
        each = [f"{name} {act[0].one} {side}" for name, act, side in zip(names, acts, sides, strict=True)]
        return sentence(f"{each[0]}, {sheet.pick('and', 'while')} {each[1]}{f', {where}' if where else ''}")
    if apart and sheet.chance(0.5 if where or does else 1):
        names = [f"{name} {side}" for name, side in zip(names, sides, strict=True)]
    return told(sheet, Line(join(names), True, does=does, doing=doing, where=where or surroundings.against(sheet)))


def _several(sheet: Sheet, where: str) -> tuple[str, str]:
    """How many, and one sentence on the most prominent of them."""
    main, (does, doing) = sheet.facts.people[0], _posture(sheet)
    kinds = counted_by_noun(sheet)
    first = told(
        sheet,
        Line(kinds or counted_people(sheet), True, does=does, doing=doing, where=where or surroundings.against(sheet)),
    )
    noun, worn = sheet.noun(main), _worn(sheet, main)[:MOST_WORN]
    clauses = [*people.action(sheet, main, [], pose=not does)[:1], *([wearing(join(worn))] if worn else [])]
    if not clauses:
        return first, ""
    if kinds and noun != "person" and [sheet.noun(person) for person in sheet.facts.people].count(noun) == 1:
        return first, say(sheet, f"the {noun}", clauses)
    if noun == "person":
        return first, say(sheet, sheet.pick("one of them", "the most prominent of them"), clauses)
    one = sheet.pick("one of them", "the most prominent of them", "among them")
    who = article(_described(sheet, main))
    if one == "among them":
        return first, sentence(f"among them is {who}, {join([clause.free for clause in clauses])}")
    return first, sentence(f"{one}, {who}, {join([clause.one for clause in clauses])}")


def _posture(sheet: Sheet) -> tuple[str, str]:
    """Stand, standing: where everybody does."""
    posture = sheet.sure(sheet.facts.people[0].pose) if "pose" in shared_facts(sheet) else ""
    return (POSES[posture][1], posture) if posture in POSES else ("", "")


def _described(sheet: Sheet, person: Person) -> str:
    """Smiling young woman."""
    return f"{'smiling ' if sheet.sure(person.expression) == 'happy' else ''}{people.described(sheet, person)}"


def _worn(sheet: Sheet, person: Person) -> list[str]:
    """Clothes but shoes, what is on the head, ties and bags: of legs, only garments whose kind is known."""
    telling = [
        garment
        for garment in person.garments
        if garment.region in ("upper", "whole") or (garment.region == "lower" and sheet.sure(garment.kind))
    ]
    clothes, head = people.garments(sheet, replace(person, garments=tuple(telling))), people.on_head(sheet, person)
    if people.one_colour(sheet, person):  # what is all in one colour is said so
        clothes = []
    worn = [*clothes, *head] if sheet.chance(0.6) else [*head, *clothes]
    return [*worn, *people.accessories(sheet, person, False), *people.accessories(sheet, person, True)]


def _dressed(sheet: Sheet, person: Person, worn: Sequence[str]) -> str:
    """In an orange top and glasses; in red; dressed all in black, with a hat."""
    if colour := people.one_colour(sheet, person):
        return f"{sheet.pick('all in', 'dressed all in')} {colour}{f', with {join(worn)}' if worn else ''}"
    if not worn:
        return ""
    colour = people.bare_colours(sheet, person)
    if colour and len(worn) == 1 and sheet.chance(0.7):
        return f"{sheet.pick('in', 'dressed in', 'wearing')} {colour}"
    return f"{sheet.pick('in', 'wearing')} {join(worn)}"


def told(sheet: Sheet, line: Line) -> str:
    """One of the orders in which looks, clothes, action and place are told."""
    where, backdrop = line.where, line.where.endswith("background")
    who = f"{line.who} {line.looks}".strip()
    full = f"{who} {line.dressed}".strip()
    if line.looks and line.dressed:
        full = sheet.pick(full, f"{who}, {line.dressed},", f"{line.who} {line.dressed}, {line.looks},")
    bare = full.rstrip(",")
    if line.does:
        gap = ", " if where and (backdrop or " and " in line.does or line.does.count(" ") > 4) else " "
        aside = "" if line.doing.split(" ", 1)[0] in POSES or bare == line.who else ","
        orders = [f"{full} {line.does}{gap}{where}"] * 3 + [f"{bare}{aside} {line.doing}{gap}{where}"]
        if line.dressed:
            orders.append(f"{who} {line.does}{gap}{where}, {line.dressed}")
            orders.append(f"{line.dressed}, {who} {line.does}{gap}{where}")
        if where and not backdrop:
            orders.append(f"{where}, {full} {line.does}")
        return sentence(sheet.pick(*orders))
    if not where:
        return sentence(sheet.pick(bare, bare, f"a picture of {bare}", f"a photograph of {bare}"))
    be = ("appear" if line.many else "appears") if backdrop else "are" if line.many else "is"
    orders = [f"{full} {be} {where}", f"{full} {be} {where}", f"{bare} {where}"]
    orders += [] if backdrop else [f"{where} {be} {bare}"]
    orders += [f"there are {bare} {where}", f"{where}, there are {bare}"] if line.many else []
    if line.dressed:
        orders += [f"{who} {where}, {line.dressed}", f"{who} {be} {where}, {line.dressed}"]
    return sentence(sheet.pick(*orders))
