"""The order in which a picture is told: overview, the main person from head to feet, others, surroundings, light."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from humanvlm.caption.template import people, surroundings
from humanvlm.caption.template.cast import Named, cast, counted_by_noun, counted_people, telling_order
from humanvlm.caption.template.compose import say, subject_of, tell
from humanvlm.caption.template.english import article, number, sentence
from humanvlm.caption.template.sheet import Clause, Sheet, being
from humanvlm.caption.template.words import AGED, POSES, SHOTS
from humanvlm.data.facts import Person

Ranked = list[tuple[int, str]]  # sentences with their priority: a lower number is kept longer
SHARED = ("pose", "facing", "expression", "shot")  # what may be said of everybody at once


@dataclass(frozen=True)
class Part:
    """What is said of one person, by what it is about."""

    who: Sequence[Clause]
    head: Sequence[Clause]
    clothes: Sequence[Clause]
    acts: Sequence[Clause]
    frame: Sequence[Clause]

    def clauses(self, head_first: bool) -> list[Clause]:
        head, rest = self.head, (*self.clothes, *self.acts)
        return [*self.who, *((*head, *rest) if head_first else (*rest, *head)), *self.frame]


def story(sheet: Sheet) -> Ranked:
    """Everything that is known, with priorities."""
    facts, taken, kinds = sheet.facts, set[str](), counted_by_noun(sheet)
    alone = facts.people_count <= 1
    by_kind = bool(kinds) and (alone or sheet.chance(0.6))
    named, shared = cast(sheet, by_kind), shared_facts(sheet)
    parts = {index: part(sheet, named, index, shared, taken) for index in telling_order(sheet)}
    where = surroundings.location(sheet)
    early = where if sheet.chance(0.8) else ""
    told: Ranked = []
    if facts.people and alone:
        opening, parts[0] = introduction(sheet, parts[0], early)
    else:
        opening = overview(sheet, kinds if by_kind else "", shared, early)
    told.append((0, opening))
    if shared and (together := shared_sentence(sheet, shared)):
        told.append((2, together))
    for index, one in parts.items():
        person = facts.people[index]
        only_colour = bool(people.bare_colours(sheet, person)) and len(one.clothes) == 1
        subject = subject_of(sheet, named[index], person, introduced=alone, coloured=only_colour)
        if subject.first == named[index].coloured:
            one = replace(one, clothes=())
        told += [(1 + 3 * index, text) for text in tell(sheet, subject, one.clauses(sheet.chance(0.5)))]
    if 0 < len(facts.people) < facts.people_count:
        told.append((4, the_rest(sheet)))
    return told + around(sheet, taken, said=bool(early))


def faces(sheet: Sheet) -> Ranked:
    """Who each person appears to be, and the head."""
    named, told = cast(sheet, kinds=False), Ranked()
    for index in telling_order(sheet):
        person = sheet.facts.people[index]
        clauses = [*identity(sheet, person, named=False), *people.head_clauses(sheet, person)]
        told += [(index, text) for text in tell(sheet, subject_of(sheet, named[index], person, False), clauses)]
    return told


def bodies(sheet: Sheet) -> Ranked:
    """What each person wears, carries and does, and how the person is framed."""
    named, told, taken = cast(sheet, kinds=False), Ranked(), set[str]()
    for index in telling_order(sheet):
        person, one = sheet.facts.people[index], part(sheet, named, index, set(), taken)
        clauses = [*one.clothes, *one.acts, *one.frame]
        told += [(index, text) for text in tell(sheet, subject_of(sheet, named[index], person, False), clauses)]
    return told


def part(sheet: Sheet, named: Sequence[Named], index: int, shared: set[str], taken: set[str]) -> Part:
    """What is known of one person, but what is said of everybody at once."""
    whole = sheet.facts.people[index]
    fields: dict[str, object] = {name: "" if name == "shot" else None for name in shared}
    person = replace(whole, **fields) if fields else whole  # type: ignore[arg-type]
    others = {other: one.definite for other, one in enumerate(named) if other != index and one.definite}
    relations = people.relation_phrases(sheet, index, others, taken)
    alone = len(named) == 1 and sheet.facts.people_count <= 1
    return Part(
        who=identity(sheet, person, named=named[index].noun != "person" and not alone),
        head=people.head_clauses(sheet, person),
        clothes=people.clothes_clauses(sheet, person),
        acts=people.action(sheet, person, relations),
        frame=people.framing(sheet, person, named[index].placed),
    )


def identity(sheet: Sheet, person: Person, named: bool) -> list[Clause]:
    """What the person appears to be: a woman in her thirties; where that noun is said already, only the age."""
    noun, decade, aged = sheet.noun(person), people.in_decade(sheet, person), AGED.get(sheet.sure(person.stage), "")
    if named or noun == "person":
        what = decade or aged
    else:
        what = article(f"{noun} {decade}" if decade else f"{aged} {noun}".strip())
    if not what:
        return []
    verb = sheet.pick("appear", "appear", "look", "seem")
    return [Clause(f"{verb}s to be {what}", f"{verb} to be {what}", f"apparently {what}")]


def introduction(sheet: Sheet, one: Part, where: str) -> tuple[str, Part]:
    """The first sentence on a person alone, and what is left to say."""
    who = "a person"
    for clause in one.who:
        what = clause.free.removeprefix("apparently ")
        options = [f"a person who {clause.one}", f"a person, {clause.free},"]
        if what.startswith("a"):  # a woman, an older man; not: in their thirties
            options += [f"what {clause.one.split(' ', 1)[0]} to be {what}"] * 2
        who = sheet.pick(*options)
    rest = replace(one, who=())
    if one.acts:
        doing, rest = one.acts[0], replace(rest, acts=one.acts[1:])
    elif one.frame and not where:
        doing, rest = one.frame[0], replace(rest, frame=one.frame[1:])
    else:
        doing = Clause("is" if where else "", "", "")
    return opened(sheet, who, doing.one, doing.free, where), rest


def overview(sheet: Sheet, kinds: str, shared: set[str], where: str) -> str:
    """The first sentence on several people, or on none: how many, doing what, where."""
    facts = sheet.facts
    if not facts.people_count:
        return sentence(f"this {medium(sheet)} shows no people")
    who = counted_people(sheet)
    if kinds:
        who = sheet.pick(f"what {sheet.pick('appear', 'seem', 'look')} to be {kinds}", f"{who}, apparently {kinds},")
    posture = sheet.sure(facts.people[0].pose) if "pose" in shared else ""
    verb = POSES[posture][1] if posture in POSES else f"are {posture}".strip()
    return opened(sheet, who, verb if posture or where else "", posture, where)


def opened(sheet: Sheet, who: str, verb: str, free: str, where: str) -> str:
    """Who stands where; the picture shows who, standing where. free: the predicate ``verb`` as a free phrase."""
    shows = " ".join((sheet.pick("this", "the"), medium(sheet), "shows", who, free, where))
    if not verb:
        return sentence(shows)
    stands = f"{who} {verb}{',' if verb.count(' ') > 2 and where else ''} {where}"
    if sheet.facts.monochrome:
        return sentence(sheet.pick(shows, f"in this black-and-white photograph, {stands}"))
    options = [shows, stands, stands]
    if where:
        options.append(f"{where} {verb} {who.rstrip(',')}" if verb in ("is", "are") else f"{where}, {who} {verb}")
    return sentence(sheet.pick(*options))


def medium(sheet: Sheet) -> str:
    return "black-and-white photograph" if sheet.facts.monochrome else sheet.pick("picture", "photograph", "image")


def shared_facts(sheet: Sheet) -> set[str]:
    """Of pose, facing, expression and shot, those that everybody in a group has alike."""
    facts = sheet.facts
    if len(facts.people) < 2 or facts.people_count != len(facts.people):
        return set()
    values = {name: {_value(sheet, person, name) for person in facts.people} for name in SHARED}
    alike = {name for name, found in values.items() if len(found) == 1 and found != {""}}
    return alike - ({"expression"} if values["expression"] != {"happy"} else set())


def _value(sheet: Sheet, person: Person, name: str) -> str:
    return person.shot if name == "shot" else sheet.sure(getattr(person, name))


def shared_sentence(sheet: Sheet, shared: set[str]) -> str:
    """Both smile, face the camera and are seen at full length; empty when only the posture is shared."""
    count, person = len(sheet.facts.people), sheet.facts.people[0]
    clauses = [Clause("smiles", "smile", "smiling")] if "expression" in shared else []
    clauses += people.turned(sheet, person) if "facing" in shared else []
    clauses += [being(sheet.pick(*SHOTS[person.shot]))] if "shot" in shared and person.shot in SHOTS else []
    if not clauses:
        return ""
    who = sheet.pick("both", "both of them") if count == 2 else sheet.pick(f"all {number(count)}", "all of them")
    return say(sheet, who, clauses, plural=True)


def the_rest(sheet: Sheet) -> str:
    """People who are only counted."""
    count = sheet.facts.people_count - len(sheet.facts.people)
    if count == 1:
        return sentence(sheet.pick("one more person is in view", "one other person shares the scene"))
    many, them = number(count), "them" if len(sheet.facts.people) > 1 else "this person"
    return sentence(
        sheet.pick(
            f"{many} more people are in view",
            f"there are {many} more people with {them}",
            f"{many} others share the scene",
        )
    )


def around(sheet: Sheet, taken: set[str], said: bool) -> Ranked:
    """The surroundings and the light. said: the location is."""
    told: Ranked = [] if said else [(3, text) for text in surroundings.place_sentences(sheet)]
    told += [(5, text) for text in surroundings.thing_sentences(sheet, taken)]
    told += [(6, text) for text in surroundings.text_sentences(sheet)]
    colours, light = surroundings.backdrop_sentences(sheet), surroundings.light_sentences(sheet)
    if colours and light and sheet.chance(0.3):
        told.append((7, f"{colours[0][:-1]}, and {light[0][0].lower()}{light[0][1:]}"))
    else:
        told += [*((7, text) for text in colours), *((8, text) for text in light)]
    return [*told, (9, surroundings.format_sentence(sheet))] if sheet.fine else told
