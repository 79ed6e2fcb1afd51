"""From clauses on a person to sentences: some are predicates, some free phrases around them; subjects change."""

from collections.abc import Sequence
from dataclasses import dataclass

from humanvlm.caption.template.cast import Named
from humanvlm.caption.template.english import sentence
from humanvlm.caption.template.sheet import Clause, Sheet
from humanvlm.data.facts import Person

PRONOUNS = {"she", "he", "they"}


@dataclass(frozen=True)
class Subject:
    """What a person is called in the first of some sentences, and in those that follow."""

    first: str
    later: tuple[str, ...]


def subject_of(sheet: Sheet, named: Named, person: Person, introduced: bool, coloured: bool = False) -> Subject:
    """introduced: a sentence before was of this person. coloured: the name may say the colour of the clothes.

    Someone of unknown gender is they only where nobody else is in the picture.
    """
    noun, pronoun = sheet.noun(person), sheet.pronouns(person).subject
    later: tuple[str, ...] = (
        pronoun,
        pronoun,
        pronoun,
        f"the {noun}" if sheet.facts.people_count <= 1 else f"this {noun}",
    )
    if pronoun == "they" and sheet.facts.people_count > 1:
        later = (f"this {noun}", "this figure") if noun == "person" else (f"this {noun}",)
    if introduced:
        return Subject(sheet.pick(*later), later)
    if coloured and named.coloured and sheet.chance(0.6):
        return Subject(named.coloured, later)
    return Subject(sheet.pick(*named.names), later)


def tell(sheet: Sheet, subject: Subject, clauses: Sequence[Clause]) -> list[str]:
    """Sentences of one to three clauses each, in their order."""
    sentences: list[str] = []
    start, before = 0, ""
    while start < len(clauses):
        left = len(clauses) - start
        draw = sheet.random.random()
        size = min(left, 1 + (draw > 0.15) + (draw > 0.6))
        if left - size == 1 and size < 3:
            size += 1
        name = (
            subject.first
            if not sentences
            else sheet.pick(*(one for one in subject.later if one != before or "y" in one))
        )
        before = name if before in PRONOUNS and name in PRONOUNS else ""
        sentences.append(say(sheet, name, clauses[start : start + size]))
        start += size
    return sentences


def say(sheet: Sheet, subject: str, clauses: Sequence[Clause], plural: bool = False) -> str:
    """One sentence of one to three clauses. They takes the plural, as does what ``plural`` says of."""
    several, name = plural or subject == "they", subject not in PRONOUNS
    verbs = [clause.many if several else clause.one for clause in clauses]
    free = [clause.free for clause in clauses]
    if len(clauses) == 1:
        return sentence(f"{subject} {verbs[0]}")
    plain = [" and " not in verb for verb in verbs]
    if len(clauses) == 2:
        shapes = [f"{subject} {verbs[0]}, {free[1]}", f"{free[0]}, {subject} {verbs[1]}"]
        shapes += [f"{subject} {verbs[0]} and {verbs[1]}"] if plain[0] else []
        shapes += [f"{subject}, {free[0]}, {verbs[1]}"] if name else []
        return sentence(sheet.pick(*shapes))
    shapes = [f"{free[0]}, {subject} {verbs[1]}, {free[2]}"]
    shapes += [f"{free[0]}, {subject} {verbs[1]} and {verbs[2]}"] if plain[1] else []
    shapes += [f"{subject} {verbs[0]} and {verbs[1]}, {free[2]}"] if plain[0] else []
    shapes += [f"{subject} {verbs[0]}, {verbs[1]} and {verbs[2]}"] if all(plain) else []
    shapes += [f"{subject}, {free[0]}, {verbs[1]}, {free[2]}"] if name else []
    return sentence(sheet.pick(*shapes))
