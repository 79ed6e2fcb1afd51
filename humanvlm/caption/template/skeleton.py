"""A caption's skeleton: what is left of it when the words that depend on the picture are taken out."""

import re
from functools import cache

SLOT = "_"
# Closed classes: articles, pronouns, prepositions, conjunctions, auxiliaries and the like.
GRAMMAR = """
a an the this that these those some any no all both each every other others another one ones them it its he him his she
her hers they their theirs we our you your who whom whose which what where when while as than and or but nor so if not
in on at by of off to into onto from for with without within about against before behind beside besides between beyond
beneath below above over under up down near next along across around among amid through towards toward during out like
is are was were be been being am has have had having do does did doing can could may might must shall should will would
there here also too very more most less least only just still well even rather quite mostly mainly largely apparently
"""
# Verbs of captions: they carry a sentence, whatever is in the picture.
VERBS = """
wear stand sit lie kneel crouch walk run ride hold carry face look smile turn show see appear seem feature include fill
cover cross raise lower tilt open close dress pose rest lean read say write take make give put play eat drink talk watch
point dominate belong share light surround frame hang come go get use have
"""
IRREGULAR = (
    "worn wore stood sat lay lain lying knelt rode ridden held seen saw shown said written wrote took taken sitting"
)


def skeleton(text: str) -> str:
    """The text in lower case with each run of content words (nouns, adjectives, names, numbers) as one ``_``.

    Function words and common verbs stay; ``an`` becomes ``a``; what is in quotation marks is one word.
    """
    words = re.findall(r"[^\W_]+(?:['’-][^\W_]+)*|[.,;:!?]", re.sub(r'"[^"]*"', " quoted ", text.lower()))
    found: list[str] = []
    for word in words:
        word = "a" if word == "an" else word
        kept = word if not word[0].isalnum() or word in _kept() else SLOT
        if kept != SLOT or not found or found[-1] != SLOT:
            found.append(kept)
    return " ".join(found)


@cache
def _kept() -> frozenset[str]:
    verbs = VERBS.split()
    forms = {form for verb in verbs for form in (verb, f"{verb}s", f"{verb}es", f"{verb}ed", f"{verb}d", f"{verb}ing")}
    forms |= {f"{verb[:-1]}ing" for verb in verbs if verb.endswith("e")} | {f"{verb[:-1]}ies" for verb in verbs}
    forms |= {f"{verb}{verb[-1]}ing" for verb in verbs}
    return frozenset(GRAMMAR.split()) | forms | set(IRREGULAR.split())
