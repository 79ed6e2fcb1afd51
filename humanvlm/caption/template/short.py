"""The short caption: one sentence of the most telling facts, in the order in which people caption pictures."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from humanvlm.caption.template import people, surroundings
from humanvlm.caption.template.cast import counted_by_noun, counted_people
from humanvlm.caption.template.english import article, join, plural, sentence, word_count
from humanvlm.caption.template.sheet import Clause, Sheet, called
from humanvlm.caption.template.story import shared_facts
from humanvlm.caption.template.words import FIXED, PLACES, POSES
from humanvlm.data.facts import Person

USUAL = (14, 15, 16, 17, 18)  # most words of a caption, where that much is known: people write about thirteen
LEAST = 3  # words of a sentence
MANY = 4  # people from whom on detectors seldom count right: a group
CROWD = 13  # people that nobody counts

PARTS = ("looks", "dressed", "does", "doing", "aside", "things", "where")  # of the sentence
Parts = Mapping[str, str]
Telling = Iterator[dict[str, str]]  # parts that are told together, the most telling first; longer ones replace shorter


def short(sheet: Sheet, most: int) -> str:
    """A sentence of about a dozen words, at most ``most``, down to a count of people."""
    count, described = sheet.facts.people_count, sheet.facts.people
    if not described:
        who, telling = how_many(sheet) if count else "a scene without people", _around(sheet, set())
    elif count == 1:
        who, telling = _one(sheet, described[0])
    elif count == 2 == len(described):
        who, telling = _two(sheet)
    else:
        who, telling = how_many(sheet), _several(sheet)
    parts = _fitting(who, telling, min(USUAL[int(sheet.random.random() * len(USUAL))], most))
    counts = [one for one in (counted_by_noun(sheet), counted_people(sheet)) if one and count]
    bare = [sentence(f"{one} {'is' if count == 1 else 'are'} in the picture") for one in counts]
    gendered = count == 1 and described and sheet.sure(described[0].gender)
    them = "them" if count > 1 else sheet.pronouns(described[0]).object if gendered else ""
    candidates = (told(sheet, who, them, parts, count > 1), *bare, "A scene without people.")
    return next((text for text in candidates if LEAST <= word_count(text) <= most), "")


def how_many(sheet: Sheet) -> str:
    """A person; two women and a man; three people; a group of women; a crowd of people."""
    count, nouns = sheet.facts.people_count, {sheet.noun(person) for person in sheet.facts.people}
    if count < MANY:
        return counted_by_noun(sheet) or counted_people(sheet)
    alike = len(nouns) == 1 and count == len(sheet.facts.people)
    return f"a {'crowd' if count >= CROWD else 'group'} of {plural(nouns.pop()) if alike else 'people'}"


def _fitting(who: str, telling: Telling, most: int) -> Parts:
    """The parts as far as they have room in ``most`` words, with the subject and a verb."""
    parts = dict[str, str]()
    for more in telling:
        longer = {**parts, **more}
        if word_count(" ".join((who, *(text for name, text in longer.items() if name != "does")))) <= most:
            parts = longer
    return parts


def _one(sheet: Sheet, person: Person) -> tuple[str, Telling]:
    """Somebody alone. A smile is told before the noun, as what is done where that is unknown, or at the end."""
    taken = set[str]()
    acts = people.action(sheet, person, people.relation_phrases(sheet, 0, {}, taken))
    worn, looks, turn = _worn(sheet, person), people.features(sheet, person), people.turned(sheet, person)
    posed = bool(acts) and acts[0].free.split(" ", 1)[0] in POSES
    setting, objects = sheet.sure(sheet.facts.setting), _things(sheet, taken, posed)
    if (looks or turn) and sheet.chance(0.25):
        objects = ""
    who, aside = article(_described(sheet, person)), ""
    if sheet.sure(person.expression) == "happy" and sheet.chance(0.5):
        who = article(people.described(sheet, person))
        aside = "smiling" if acts else ""
        acts = acts or [Clause("smiles", "smile", "smiling")]

    def telling() -> Telling:
        if acts:
            yield {"does": acts[0].one, "doing": acts[0].free} | ({"aside": aside} if aside else {})
        if setting:
            yield {"where": setting}
        yield {"dressed": _dressed(sheet, person, worn[:1])}
        if objects:
            yield {"things": objects}
        more = [
            *({"dressed": _dressed(sheet, person, worn[:count])} for count in range(2, len(worn) + 1)),
            *([{"looks": f"with {looks[0]}"}] if looks and not objects else []),
            *([{"does": turn[0].one, "doing": turn[0].free}] if turn and not acts and not objects else []),
        ]
        yield from more if sheet.chance(0.6) else reversed(more)
        yield from _rest(sheet, bool(setting), len(acts) + len(worn) + len(more) + bool(objects))

    return who, telling()


def _rest(sheet: Sheet, placed: bool, known: int) -> Telling:
    """What people seldom write: outdoors, the background, the part of the picture; told where little else is known."""
    place, backdrop = sheet.sure(sheet.facts.place), surroundings.against(sheet)
    if placed:
        return
    if backdrop and known < 3 and (not place or sheet.chance(0.7)):
        yield {"where": backdrop}
    elif place:
        yield {"where": place}
    elif known < 2 and len(sheet.facts.people) == sheet.facts.people_count == 1:
        yield {"where": PLACES.get(sheet.facts.people[0].position, "")}


def _around(sheet: Sheet, taken: set[str], posed: bool = False) -> Telling:
    setting, objects = sheet.sure(sheet.facts.setting), _things(sheet, taken, posed)
    if setting:
        yield {"where": setting}
    if objects:
        yield {"things": objects}
    yield from _rest(sheet, bool(setting), bool(objects))


def _two(sheet: Sheet) -> tuple[str, Telling]:
    """Both at once where they look alike, else one by one from left to right."""
    pair = sorted(enumerate(sheet.facts.people), key=lambda item: (item[1].box[0] + item[1].box[2], item[0]))
    nouns, taken = [_described(sheet, person) for _, person in pair], set[str]()
    does, doing = _posture(sheet)
    traits = [_trait(sheet, index, person, taken, bool(does)) for index, person in pair]
    act = {"does": does, "doing": doing} if does else {}

    def telling(first: dict[str, str]) -> Telling:
        if act:
            yield act
        if first:
            yield first
        yield from _around(sheet, taken, bool(does))

    first, second = (_traited(sheet, *one) for one in zip(nouns, traits, strict=True))
    beside = "and" if act or not all(traits) else sheet.pick(*["and"] * 4, "together with", "along with")
    both = f"{first} {beside} {second}"
    if nouns[0] != nouns[1]:
        return both, telling({})
    who = f"two {plural(nouns[0])}"
    alike = _alike(sheet, *(person for _, person in pair)) or (traits[0] if traits[0] == traits[1] else "")
    if alike or not any(traits):
        return who, telling({"dressed": alike})
    if all(traits) and sheet.chance(0.6):
        return both, telling({})
    one, other = sorted(traits, key=lambda trait: not trait)
    aside = f"one {one} and {sheet.pick('one', 'the other')} {other}" if other else f"one {one}"
    return who, telling({"aside": aside})


def _several(sheet: Sheet) -> Telling:
    """What all of them do, or one of them does or wears, and where."""
    taken = set[str]()
    does, doing = _posture(sheet)
    if does:
        yield {"does": does, "doing": doing}
    if setting := sheet.sure(sheet.facts.setting):
        yield {"where": setting}
    described = list(enumerate(sheet.facts.people))
    busy = [(index, person) for index, person in described if sheet.sure(person.activity)]
    aside = next((trait for one in busy or described if (trait := _trait(sheet, *one, taken, bool(does)))), "")
    if objects := _things(sheet, taken, bool(does)):
        yield {"things": objects}
    if aside:
        yield {"aside": f"{sheet.pick('one', 'one of them')} {aside}"}
    yield from _rest(sheet, bool(setting), bool(objects) + bool(aside) + bool(does))


def _traited(sheet: Sheet, noun: str, trait: str) -> str:
    """A smiling man in a red top; a man smiling in a red top."""
    if noun.startswith("smiling ") and trait.startswith("in ") and sheet.chance(0.35):
        return f"{article(noun.removeprefix('smiling '))} smiling {trait}"
    return f"{article(noun)} {trait}".strip()


def _trait(sheet: Sheet, index: int, person: Person, taken: set[str], posed: bool) -> str:
    """What tells a person from others: riding a bicycle; in a red top; with a beard."""
    acts = people.action(sheet, person, people.relation_phrases(sheet, index, {}, taken), pose=False)
    if acts and sheet.sure(person.activity):
        return acts[0].free
    if dressed := _dressed(sheet, person, _worn(sheet, person)[: 1 + sheet.chance(0.25)]):
        return dressed
    if acts and not posed:
        return acts[0].free
    looks = people.features(sheet, person)
    return f"with {looks[0]}" if looks else ""


def _alike(sheet: Sheet, first: Person, second: Person) -> str:
    """What both do, or all that both wear; empty where they differ."""
    doing, worn = sheet.sure(first.activity), _worn(sheet, first)
    if doing != sheet.sure(second.activity):
        return ""
    if people.one_colour(sheet, first) != people.one_colour(sheet, second) or worn != _worn(sheet, second):
        return ""
    return doing or _dressed(sheet, first, [plural(re.sub(r"^an? ", "", one)) for one in worn[:1]])


def _things(sheet: Sheet, taken: set[str], posed: bool = False) -> str:
    """With a dog and two cars; not what the place or an activity is named by. posed: it follows stands, sits, ..."""
    told = " ".join(sheet.sure(guess) for guess in (sheet.facts.setting, *(one.activity for one in sheet.facts.people)))
    found = [thing for thing in surroundings.things(sheet, taken) if thing.label not in told][:2]
    if not found:
        return ""
    seen = (
        " in view" if posed and any(called(thing.label) in FIXED for thing in found) else ""
    )  # nobody sits with a bench
    return f"with {join([surroundings.thing_phrase(sheet, thing) for thing in found])}{seen}"


def _posture(sheet: Sheet) -> tuple[str, str]:
    """Stand, standing: where everybody does."""
    posture = sheet.sure(sheet.facts.people[0].pose) if "pose" in shared_facts(sheet) else ""
    return (POSES[posture][1], posture) if posture in POSES else ("", "")


def _described(sheet: Sheet, person: Person) -> str:
    """Smiling young woman."""
    return f"{'smiling ' if sheet.sure(person.expression) == 'happy' else ''}{people.described(sheet, person)}"


def _worn(sheet: Sheet, person: Person) -> list[str]:
    """What is worn but shoes, what tells most first: of legs, only garments whose kind is known."""
    telling = [one for one in person.garments if one.region in ("upper", "whole") or sheet.sure(one.kind)]
    clothes = people.garments(sheet, replace(person, garments=tuple(telling)))
    if people.one_colour(sheet, person):  # what is all in one colour is said so
        clothes = []
    carried = [*people.accessories(sheet, person, False), *people.accessories(sheet, person, True)]
    return [*clothes[:1], *people.on_head(sheet, person), *clothes[1:], *carried]


def _dressed(sheet: Sheet, person: Person, worn: list[str]) -> str:
    """In an orange top and glasses; in red; dressed all in black, with a hat."""
    if colour := people.one_colour(sheet, person):  # its garments are not told one by one
        return f"{sheet.pick('all in', 'dressed all in')} {colour}{f', with {join(worn)}' if worn else ''}"
    if not worn:
        return ""
    colour = people.bare_colours(sheet, person)
    if colour and len(worn) == 1 and sheet.chance(0.25):
        return f"{sheet.pick('in', 'dressed in', 'wearing')} {colour}"
    return f"{sheet.pick('in', 'in', 'wearing')} {join(worn)}"


def told(sheet: Sheet, who: str, them: str, parts: Parts, many: bool) -> str:
    """The parts in one of the orders in which people tell them. them: what refers to who; empty where nothing does."""
    looks, dressed, does, doing, aside, things, where = (parts.get(name, "") for name in PARTS)
    be, there = "are" if many else "is", "there is" if who.startswith("a") else "there are"
    plain, tail = f"{who} {looks}", _tail(sheet, things, where, them)
    full, end = f"{plain} {dressed}", f", {aside}" if aside else ""
    acts = f"{does} {tail}" if does else f"{be} {where} {things}" if where else tail
    behind = bool(where) and where not in tail
    if not dressed and not tail and not does:
        return sentence(sheet.pick(*[f"{plain}{end}"] * 3, f"{there} {plain}{end}"))
    if doing in POSES and not tail:  # a woman standing in a red coat
        ends = [f"{plain} {doing} {dressed}{end}", f"{there} {plain} {doing} {dressed}{end}"]
        return sentence(sheet.pick(*[f"{full}{end}{',' * bool(aside)} {does}"] * 2, *ends))
    common = [f"{full} {acts}{end}"] * (3 if does or not behind else 1) + [f"{full} {doing} {tail}{end}"] * 3
    rare = [f"{there} {full} {doing} {tail}{end}"]
    if re.match(r"\w+ing\b", doing) and not does.startswith(be):
        common += [f"{full} {be} {doing} {tail}{end}"] * 2
    if aside and tail:
        common.append(f"{full}{end}, {acts}")
    if where and (doing in POSES or (not does and " " in where)):
        common.append(f"{where} {does or be} {full} {things}{end}")
    elif where and does:
        common.append(f"{where}, {full} {does} {things}{end}")
    if dressed and tail and (does or where):
        wears = re.sub(r"^(wearing|in)\b", "wear" if many else "wears", dressed)
        wears = wears if wears != dressed else f"{be} {dressed}"
        common += [f"{plain} {acts}, {dressed}{end}", f"{dressed}, {plain} {acts}{end}"]
        rare += [f"{plain} {doing} {tail} {wears}{end}", f"{doing} {tail}, {plain} {wears}{end}"]
    return sentence(sheet.pick(*common, *common, *rare))


def _tail(sheet: Sheet, things: str, where: str, them: str) -> str:
    """Things and place; what is behind people may be told as such."""
    if things or not where.startswith("in front of ") or sheet.chance(0.6):
        return f"{things} {where}".strip()
    what = where.removeprefix("in front of ")
    if what.endswith("background"):
        return f"with {what}"
    return f"with {what} {sheet.pick(f'behind {them}', 'in the background') if them else 'in the background'}"
