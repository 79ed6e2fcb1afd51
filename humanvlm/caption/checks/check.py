"""Every caption is checked, whoever wrote it, and repaired by what can be taken out of it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from humanvlm.caption.captioners.base import Style
from humanvlm.caption.checks.claims import find_in
from humanvlm.caption.checks.evidence import evidence
from humanvlm.caption.checks.form import around, form_cuts, language_cuts, merged, phrase_cuts, thought_cuts
from humanvlm.caption.checks.idle import idle_cuts
from humanvlm.caption.checks.people import name_cuts, sensitive_cuts
from humanvlm.caption.checks.support import support
from humanvlm.caption.checks.tokens import Token, sentences, tokens
from humanvlm.caption.checks.verdict import Claim, Cut, Verdict
from humanvlm.data.facts import Facts

_PRONOUNS = frozenset(["he", "she", "they", "it", "his", "her", "their", "its", "him", "them"])
_FEWEST = 3  # words that a repaired caption must have


@dataclass(frozen=True)
class Limits:
    """words: the most of a caption. min_probability: facts below it support nothing and contradict nothing.

    min_faithfulness: share of its claims that must be supported. prompts: what its writer was asked with.
    min_similarity: cosine of two nouns' embeddings above which they name one thing; 0: only WordNet says so.
    min_coverage: of a text that rewrites facts, the least share of what the template tells; 0: it is no rewriting.
    """

    words: int
    min_probability: float = 0.6
    min_faithfulness: float = 1.0
    prompts: tuple[str, ...] = ()
    min_similarity: float = 0.0
    min_coverage: float = 0.0


def check(text: str, style: Style, facts: Facts, texts: Sequence[str], limits: Limits) -> Verdict:
    """What a caption claims, what supports that, and why it may not stay.

    texts: of the index, on the same picture; what they say of it is believed, but for the number of people.
    Faults: empty, too_long, language, repetition, refusal, thought, boilerplate, remark, echo, broken, name, sensitive,
    contradiction (a fact says otherwise), unsupported (too few of the claims are supported), idle (of a rewritten text:
    nothing new is told).
    """
    if not any(letter.isalnum() for letter in text):
        return Verdict(faults=("empty",))
    thoughts = thought_cuts(text)
    words = _outside(tokens(text), thoughts)
    bounds = sentences(words, text)
    spans = [(words[first].start, words[last - 1].end) for first, last in bounds]
    known = evidence(facts, texts, limits.min_probability, limits.min_similarity)
    told = find_in(text, words, bounds)
    claims = tuple(support(found, known) for found in told)
    seen = [claim for claim in claims if claim.kind == "text" and claim.by]  # what is written there may be anything
    own = _outside(words, seen)
    masked = text
    for claim in seen:
        masked = masked[: claim.start] + " " * (claim.end - claim.start) + masked[claim.end :]
    cuts = [
        *thoughts,
        *form_cuts(text, words, spans, limits.words, limits.prompts),
        *phrase_cuts(masked, own, spans),
        *language_cuts(masked, own, spans),
        *name_cuts(own, spans),
        *sensitive_cuts(masked, own, spans),
        *(idle_cuts(words, bounds, told, alone=facts.people_count == 1) if limits.min_coverage else ()),
        *_unfaithful(text, spans, claims, limits.min_faithfulness),
    ]
    return Verdict(claims, tuple(dict.fromkeys(cut.fault for cut in cuts)), tuple(cuts))


def _outside(words: list[Token], places: Sequence[Claim | Cut]) -> list[Token]:
    """The words that begin in none of some places."""
    if not places:
        return words
    return [word for word in words if not any(place.start <= word.start < place.end for place in places)]


def _unfaithful(text: str, spans: Sequence[tuple[int, int]], claims: Sequence[Claim], least: float) -> list[Cut]:
    """Passages with claims that a fact contradicts, and, where too few are supported, with those without."""
    few = Verdict(tuple(claims)).faithfulness < least
    return [
        Cut(*_passage(text, spans, claim), "contradiction" if claim.contradicted else "unsupported")
        for claim in claims
        if claim.contradicted or (few and not claim.by)
    ]


_CLAUSE = re.compile(r",\s+(?:with|while|against|near|beside|behind|next to|in front of|and (?:is|has|wears))\b")


def _passage(text: str, spans: Sequence[tuple[int, int]], claim: Claim) -> tuple[int, int]:
    """What has to go with a claim: the clause that a comma cuts off and that hangs on the others, else the sentence."""
    start, end = around(spans, claim.start, claim.end)
    opening = text.rfind(",", start, claim.start)
    if opening < 0 or not _CLAUSE.match(text, opening):
        return start, end
    closing = text.find(",", claim.end, end)
    return opening, closing if closing >= 0 else end - (text[end - 1] in ".!?")


def repair(text: str, verdict: Verdict) -> str:
    """The caption without what is at fault; '' when nothing is left that can stand alone. Never longer than it was."""
    if not verdict.cuts:
        return "" if verdict.faults else text
    places = merged(verdict.cuts)
    kept, at = [], 0
    for start, end in places:
        kept.append(text[at:start])
        at = end
    kept.append(text[at:])
    left = re.sub(r"\s+", " ", "".join(kept)).strip(" ,;:-–")
    left = re.sub(r"\s+([,.;:!?])", r"\1", left)
    left = re.sub(r"(?<!,),+([.!?])", r"\1", left)
    left = re.sub(r"([.!?])(?:[,;:]|\1)+", r"\1", left).lstrip(".!?,;: ")
    first = tokens(left)[:1]
    if len(left.split()) < _FEWEST or not first or first[0].lower in _PRONOUNS:
        return ""
    return left[0].upper() + left[1:]
