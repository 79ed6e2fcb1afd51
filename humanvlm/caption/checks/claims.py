"""Finding what a caption claims: by the words of the lexicon and WordNet's nouns, bound to what they are said of."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from humanvlm.caption.checks.ages import age_of
from humanvlm.caption.checks.clauses import Clause, close, negate, owner
from humanvlm.caption.checks.context import (
    DETERMINERS,
    INDEFINITE,
    LISTS,
    NOMINAL,
    STANDALONE,
    WORN,
    at_least,
    is_doing,
    is_fruit,
    is_noun,
    is_of_picture,
    is_place_name,
    opens,
)
from humanvlm.caption.checks.found import Found, Reference
from humanvlm.caption.checks.lexicon import Item, Term, items
from humanvlm.caption.checks.nouns import nouns
from humanvlm.caption.checks.tokens import Token, sentences, tokens

_COPULA, _WEARING = (LISTS[name] for name in ("copula", "wearing"))
_FUNCTION = _COPULA | _WEARING | LISTS["function"]
_QUOTED = re.compile(r"[\"“]([^\"“”]{1,200})[\"”]")
_COUNTED = frozenset(["person", "noun", "garment", "stage", "colour", "hair"])
_DENIABLE = WORN | frozenset(["garment", "object", "place", "hair", "expression", "mouth", "eyes", "pose", "activity"])
_DENIABLE |= frozenset(["facing", "bare", "arms"])
_OPENING = frozenset([";", ",", "and", "while", "whereas", "but"])
_FRONTING = frozenset([",", "a", "an", "the", "is", "are", "there"])
_DESCRIBING = frozenset(["in", "wearing", "with", "who", "whose", "dressed"])
_VERBAL = frozenset(["activity", "pose", "expression", "facing"])
_SUBJECTS = frozenset(["he", "she"])
SIDES = {"left of": "left", "right of": "right"}


def find(text: str) -> list[Found]:
    """All claims of a text in their order; what is quoted is one claim: that it is written there."""
    words = tokens(text)
    return find_in(text, words, sentences(words, text))


def find_in(text: str, words: Sequence[Token], bounds: Sequence[tuple[int, int]]) -> list[Found]:
    """As ``find``, of the tokens and the sentences of a text as far as these are given."""
    quotes = [Found(found.start(), found.end(), "text", found[1]) for found in _QUOTED.finditer(text)]
    who, said, found = Reference(), set[str](), []
    for first, last in bounds:
        clause = Clause(who)
        claims = list(_sentence(words, first, last, clause))
        for claim in _led(claims, clause.lead, text):
            if claim.kind in _DENIABLE and any(start <= claim.start < end for start, end in clause.negations):
                claim = replace(claim, negated=True)
            if claim.kind == "pronoun":
                if claim.value in said:
                    continue
                claim = replace(claim, kind="gender")
            if claim.kind == "gender":
                said.add(claim.value)
            found.append(claim)
        who = clause.resumed or clause.who
    inside = [(quote.start, quote.end) for quote in quotes]
    kept = [claim for claim in found if not any(start <= claim.start < end for start, end in inside)]
    return sorted([*kept, *quotes], key=lambda claim: (claim.start, claim.end))


def _led(claims: Sequence[Found], lead: tuple[int, Reference] | None, text: str) -> Iterator[Found]:
    """What stands before the subject and a comma is said of the subject: dressed in red, the woman smiles."""
    for claim in claims:
        whom = claim.kind == "position" and claim.about == "person"
        if lead and not whom and claim.end < lead[0] and "," in text[claim.end : lead[0]]:
            claim = replace(claim, who=lead[1])
        yield claim


def _sentence(words: Sequence[Token], first: int, last: int, clause: Clause) -> Iterator[Found]:
    introduced = 0  # people that this sentence has introduced one by one
    persons: tuple[int, int] | None = None
    row = items(words, first, last)
    for place, item in enumerate(row):
        kind, value = item.term.kind, item.term.value
        lower = words[item.first].lower
        span = words[item.first].start, words[item.last - 1].end
        following = row[place + 1].term if place + 1 < len(row) else Term("other", ".")
        previous = row[place - 1].term if place else Term("other", ".")
        if kind == "noun" and not is_noun(item, clause, previous, following):
            kind = "other"
        if kind == "relation" and value in SIDES and is_of_picture(row, place):
            kind, value = "position", SIDES[value]
            item = replace(item, term=Term(kind, value))
        if kind in ("other", "number"):
            negate(words, item, last, clause)
        if kind == "colour" and lower.startswith("orange") and is_fruit(words, item, following):
            kind, item = "noun", replace(item, term=Term("noun", "orange", lower.endswith("s")))
        if kind == "colour":
            clause.colours.append(item)
        elif (kind == "number" or lower.endswith("-old")) and (age := age_of(words, item, first)):  # a woman of forty
            yield Found(*span, "age", age, who=clause.who)
        elif kind == "number":
            item = at_least(words, item, first)
            value = item.term.value
            clause.number, clause.indefinite = item, True
            of = (previous.value == "of" or previous.kind == "number") and following.value != "of"
            alone = lower in LISTS["collective"] or of or lower == "both"
            verb = following.kind == "noun" and following.value in nouns().verbal
            if alone and (verb or following.kind not in NOMINAL | _COUNTED):
                yield Found(*span, "count", value)
                clause.who = Reference(several=True, every=lower == "both")
                close(clause)
                clause.head, clause.head_kind, clause.before = "person", "person", lower
        elif kind == "person" and clause.relation:  # whom somebody is beside: not whom the sentence is about
            relation, clause.relation = clause.relation, None
            yield Found(words[relation.first].start, span[1], "relation", relation.term.value, "person", clause.who)
            whom = Reference(item.term.value.partition(" ")[0].replace("any", ""), "", item.term.several)
            yield from _gendered(span, whom)
            close(clause)
            clause.head, clause.head_kind, clause.whom = "person", "whom", whom
        elif kind == "person":
            said_of = (clause.copula or clause.predicate) and clause.head_kind == "object" and not clause.lead
            if said_of and opens(words, row, first):
                yield Found(*span, "being", value)  # a car is no person
            person_count = clause.number
            yield from _person(words, item, clause, following)
            if not clause.lead and not clause.predicate:
                clause.lead = span[0], clause.who
            if clause.indefinite and not item.term.several and not clause.other and not clause.predicate:
                introduced += 1
                persons = (persons[0] if persons else span[0], span[1])
            elif person_count:
                introduced, persons = -99, None  # counted already: those named after are among these
            close(clause)
            clause.head, clause.head_kind = "person", "person"
        elif kind == "pronoun":
            if clause.who.gender != value:
                clause.who = Reference(value)
            if not clause.lead and lower in _SUBJECTS:
                clause.lead = span[0], clause.who
            yield Found(*span, "pronoun", value, who=clause.who)
            clause.before = lower
            yield from _flush(words, clause)
        elif kind == "stage" and (following.kind == "number" or previous.value in ("year", "years")):
            continue  # of an age in years
        elif kind == "stage":
            yield Found(*span, "age", value, who=_ahead(row, place, clause.who))
        elif kind == "decade":
            yield Found(*span, "age", value, who=clause.who)
        elif kind == "position":
            yield from _flush(words, clause)
            if place == 0 or (words[item.first - 1].lower in _OPENING and following.value in _FRONTING):
                clause.fronted = item
                continue
            if clause.head_kind == "whom":
                yield Found(*span, "position", value, about="person", who=clause.whom)
            elif clause.head_kind in ("object", "accessory"):
                yield Found(*span, "position", value, about=clause.head, who=owner(clause))
            else:
                clause.who = replace(clause.who, position="")
                yield Found(*span, "position", value, who=clause.who)
                if clause.lead and clause.lead[1] == clause.who:
                    clause.lead = clause.lead[0], replace(clause.who, position=value)
                clause.who = replace(clause.who, position=value)
            close(clause)
        elif kind == "relation":
            yield from _flush(words, clause)
            clause.relation, clause.before = item, lower
        elif kind == "hair":
            yield from _hair(words, row, place, clause)
        elif kind == "garment":
            yield from _garment(words, item, clause)
        elif kind in ("scenery", "thing", "noun", "neutral"):
            yield from _noun(words, item, clause, kind)
        elif kind in STANDALONE:
            about = kind if kind in WORN else ""
            if not about:
                yield from _flush(words, clause)
            colours = [colour for colour in clause.colours if about]
            if kind != "activity" or clause.head_kind not in ("object", "neutral"):  # a dog runs, the scene holds
                yield Found(*span, kind, value, who=_ahead(row, place, clause.who))
            if clause.fronted and kind == "accessory":
                yield from _fronted(words, clause, Found(0, 0, "position", "", about=value, who=owner(clause)))
            yield from _colours(words, colours, about, clause.who)
            clause.before = lower
            close(clause, keep_head=not about)
            if about or kind == "light":
                clause.head, clause.head_kind = value if kind == "accessory" else kind, about or "neutral"
        else:
            if item.first > first and is_place_name(words[item.first - 1], words[item.first]):
                yield Found(*span, "place", lower)
            yield from _other(words, item, clause, following)
            introduced = -99 if lower in LISTS["partial"] else introduced
    yield from _flush(words, clause)
    yield from _fronted(words, clause, Found(0, 0, "position", "", who=clause.who))
    if introduced > 1 and persons:
        yield Found(*persons, "count", f"{introduced}+")


def _person(words: Sequence[Token], item: Item, clause: Clause, following: Term) -> Iterator[Found]:
    gender, _, stage = item.term.value.replace("any", "").partition(" ")
    start, end = words[item.first].start, words[item.last - 1].end
    lower = words[clause.number.first].lower if clause.number else ""
    position = clause.who.position if clause.predicate else ""
    every = lower in ("both", "all") or (clause.copula and clause.who.every)
    clause.who = Reference(gender, position, item.term.several, every)
    if clause.fronted:
        yield from _fronted(words, clause, Found(0, 0, "position", "", who=clause.who))
    number = clause.number
    one = lower == "one" and following.kind == "position"
    if number and not one and not clause.other and words[item.first].lower not in LISTS["other"]:
        plain = words[item.last - 1].lower in LISTS["plain"] or lower in LISTS["alone"]
        yield Found(words[number.first].start, end, "count", number.term.value, "" if plain else gender, clause.who)
    yield from _gendered((start, end), clause.who)
    if stage and stage != "adult":
        yield Found(start, end, "age", stage, who=clause.who)
    name = nouns().base(words[item.last - 1].lower)
    if name in LISTS["roles"]:
        yield Found(start, end, "role", name, who=clause.who)


def _fronted(words: Sequence[Token], clause: Clause, found: Found) -> Iterator[Found]:
    """The position that opened the sentence, said of what was found."""
    item, clause.fronted = clause.fronted, None
    if item:
        yield replace(found, start=words[item.first].start, end=words[item.last - 1].end, value=item.term.value)
        if not found.about:
            clause.who = replace(clause.who, position=item.term.value)


def _gendered(span: tuple[int, int], who: Reference) -> Iterator[Found]:
    if who.gender:
        yield Found(*span, "gender", who.gender, who=who)


def _hair(words: Sequence[Token], row: Sequence[Item], place: int, clause: Clause) -> Iterator[Found]:
    item = row[place]
    span = words[item.first].start, words[item.last - 1].end
    if item.term.value != "noun":
        yield Found(*span, "hair", item.term.value, who=_ahead(row, place, clause.who))
    else:
        yield from _colours(words, clause.colours, "hair", clause.who)
        if clause.length:
            yield Found(*span, "hair", clause.length, who=clause.who)
        clause.head, clause.head_kind = "hair", "hair"
    close(clause, keep_head=True)


def _garment(words: Sequence[Token], item: Item, clause: Clause) -> Iterator[Found]:
    region, _, kind = item.term.value.partition(" ")
    if kind != "any":
        yield Found(words[item.first].start, words[item.last - 1].end, "garment", kind, region, clause.who)
    if clause.length:
        yield Found(words[item.first].start, words[item.last - 1].end, "length", clause.length, region, clause.who)
    yield from _colours(words, clause.colours, f"garment {region}", clause.who)
    close(clause)
    clause.head, clause.head_kind = f"garment {region}", "garment"
    clause.before = words[item.first].lower


def _noun(words: Sequence[Token], item: Item, clause: Clause, kind: str) -> Iterator[Found]:
    name = item.term.value
    span = words[item.first].start, words[item.last - 1].end
    if kind == "neutral":
        about = "background" if name in ("background", "backdrop", "surroundings", "setting") else name
        about = "" if name in LISTS["hues"] else about
        yield from _colours(words, clause.colours, about, clause.who)
        close(clause)
        clause.head, clause.head_kind = about, "neutral"
        return
    role = kind == "noun" and nouns().kind(name) == "person"
    count = clause.number.term.value if clause.number else ""
    start = words[clause.number.first].start if clause.number else span[0]
    if clause.relation and not role:
        relation = clause.relation
        yield Found(words[relation.first].start, span[1], "relation", relation.term.value, name, clause.who)
    if role:
        clause.who = Reference("", "", item.term.several)
        yield Found(*span, "role", name, who=clause.who)
    else:
        if clause.fronted:
            yield from _fronted(words, clause, Found(0, 0, "position", "", about=name))
        yield Found(start, span[1], "place" if kind == "scenery" else "object", name, count=count)
        yield from _colours(words, clause.colours, name, clause.who)
    close(clause)
    clause.head, clause.head_kind = (name, "person" if role else "object")


def _other(words: Sequence[Token], item: Item, clause: Clause, following: Term) -> Iterator[Found]:
    lower = item.term.value
    if lower in ("all", "each") and following.value == "of":
        clause.who = Reference(several=True, every=True)
    if lower == "they" and not clause.lead:
        clause.lead = words[item.first].start, clause.who
    if lower in LISTS["other"]:
        clause.other = True
        clause.indefinite = True
        return
    if lower in ("long", "short"):
        clause.length = lower
        return
    if clause.colours and lower in ("and", "or", ",", "-") and following.kind == "colour":
        return
    if lower in DETERMINERS:
        if clause.colours:
            yield from _flush(words, clause)
        relation = clause.relation
        close(clause, keep_head=True)
        clause.relation = relation
        clause.predicate = lower in INDEFINITE and (clause.copula or clause.before in LISTS["hedge"])
        clause.indefinite, clause.before, clause.copula = lower in INDEFINITE, lower, False
        clause.head = ""
    elif lower in _DESCRIBING and clause.head_kind == "whom":
        clause.resumed, clause.who, clause.before = clause.who, clause.whom, lower
        close(clause)
    elif lower in _FUNCTION or lower in LISTS["hedge"] or not lower[0].isalnum():
        yield from _flush(words, clause)
        if clause.resumed and (lower in (",", ";") or (lower == "and" and following.kind in _VERBAL)):
            clause.who, clause.resumed = clause.resumed, None
        clause.copula = clause.before != "there" and (lower in _COPULA or (clause.copula and lower in ("and", "to")))
        clause.before = lower
        if lower in ("and", ","):
            clause.head = clause.head if clause.copula else ""
    elif lower.endswith("ing") or lower in _WEARING:
        if is_doing(lower, clause):
            yield Found(words[item.first].start, words[item.first].end, "activity", lower, who=clause.who)
        yield from _flush(words, clause)
        clause.before = lower


def _colours(words: Sequence[Token], colours: Sequence[Item], about: str, who: Reference) -> Iterator[Found]:
    for item in colours:
        yield Found(words[item.first].start, words[item.last - 1].end, "colour", item.term.value, about, who)


def _flush(words: Sequence[Token], clause: Clause) -> Iterator[Found]:
    """Colours that no noun followed: of what is worn (in red), or of what they are said (the dress is red)."""
    if clause.colours:
        worn = clause.before in _WEARING or (clause.before not in _COPULA and clause.head_kind == "person")
        about = "garment any" if worn or clause.head_kind == "person" else clause.head
        yield from _colours(words, clause.colours, about or "", clause.who)
    head, kind, before, copula = clause.head, clause.head_kind, clause.before, clause.copula
    close(clause)
    clause.head, clause.head_kind, clause.before, clause.copula = head, kind, before, copula


def _ahead(row: Sequence[Item], place: int, who: Reference) -> Reference:
    """Whom an adjective is about: of the noun that it stands before, else of whom the clause is."""
    for item in row[place + 1 : place + 4]:
        if item.term.kind == "person":
            return Reference(item.term.value.partition(" ")[0].replace("any", ""), "", item.term.several)
        if item.term.kind == "other" and item.term.value in _FUNCTION | DETERMINERS:
            break
    return who
