"""What was read of a clause so far: of whom it is, and what still waits for the noun that it belongs to."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from humanvlm.caption.checks.found import NOBODY, Reference
from humanvlm.caption.checks.lexicon import Item, word_lists
from humanvlm.caption.checks.tokens import Token


@dataclass
class Clause:
    """Written by the reader of a sentence as it goes (``claims``)."""

    who: Reference
    number: Item | None = None
    colours: list[Item] = field(default_factory=list)
    length: str = ""
    indefinite: bool = False  # a, another, two: this noun phrase introduces someone
    predicate: bool = False  # it says what someone is who was introduced before: appears to be a woman
    fronted: Item | None = None  # a position that opens the sentence, of what comes: on the left is a dog
    whom: Reference = NOBODY  # the one that somebody was said to be beside
    resumed: Reference | None = None  # of whom the clause goes on, once that one has been described
    lead: tuple[int, Reference] | None = None  # where the first person of the sentence stands, and who that is
    before: str = ""  # the last function word or verb
    copula: bool = False
    head: str = ""  # the last noun: what colours, positions are said of
    head_kind: str = ""
    relation: Item | None = None
    other: bool = False  # other people: beside those named
    negations: list[tuple[int, int]] = field(default_factory=list)  # [start, end) of what is said not to be so


def owner(clause: Clause) -> Reference:
    """Who may be meant by a position after a thing: a man with a dog on the left."""
    return replace(clause.who, position="") if clause.lead else NOBODY


def negate(words: Sequence[Token], item: Item, last: int, clause: Clause) -> None:
    """What follows no, not and without is said not to be so, up to a mark or the next clause."""
    word = words[item.first]
    if word.lower in word_lists()["negation"] or word.lower.endswith(("n't", "n’t")):
        clause.negations.append((word.end, words[last - 1].end))
    elif clause.negations and word.lower in word_lists()["affirming"]:
        start, end = clause.negations.pop()
        clause.negations.append((start, min(end, word.start)))


def close(clause: Clause, *, keep_head: bool = False) -> None:
    """A noun phrase has ended."""
    clause.number, clause.colours, clause.length = None, [], ""
    clause.indefinite = clause.other = clause.predicate = False
    clause.relation = None
    if not keep_head:
        clause.head, clause.head_kind = "", ""
