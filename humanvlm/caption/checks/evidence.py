"""What claims on a picture are held against: its fact sheet, and what the texts of the index say."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from humanvlm.caption.checks.alike import ENCODER, nearest
from humanvlm.caption.checks.claims import find
from humanvlm.caption.checks.found import Found, Reference
from humanvlm.caption.checks.nouns import nouns
from humanvlm.data.facts import NONE, Facts, Guess, Person

TEXT = "text"
_NAMING = frozenset(["object", "place", "role"])  # kinds of claims that name what is there


@dataclass(frozen=True)
class Evidence:
    """What is known of a picture: the fact sheet, and what its labels and the index's texts say, as sets of nouns.

    labels: nouns of the fact sheet -> what says so. sets: WordNet's sets of them, upwards. said: (kind, value) of the
    claims of texts. text_sets: WordNet's sets of the nouns of texts, upwards; text: them all, in lower case.
    names: objects of both; alike: least cosine at which a noun means one of them, 0: never.
    """

    facts: Facts
    least: float
    labels: Mapping[str, str] = field(default_factory=dict)
    sets: Mapping[int, str] = field(default_factory=dict)
    said: frozenset[tuple[str, str]] = frozenset()
    text_sets: frozenset[int] = frozenset()
    text: str = ""
    names: tuple[str, ...] = ()
    alike: float = 0.0

    @property
    def whole(self) -> bool:
        """Whether everybody in the picture is described."""
        return len(self.facts.people) >= self.facts.people_count

    def sure(self, guess: Guess | None) -> Guess | None:
        return guess if guess is not None and guess.probability >= self.least else None


def evidence(facts: Facts, texts: Sequence[str], least: float, alike: float = 0.0) -> Evidence:
    """What claims on a picture are held against; facts less probable than ``least`` do not count."""
    labels: dict[str, str] = {}
    sets: dict[int, str] = {}
    for phrase, source in _phrases(facts, least):
        for name in _nouns_in(phrase):
            labels.setdefault(name, source)
        for number in _sets_of(_nouns_in(phrase)):
            sets.setdefault(number, source)
    claims = [claim for text in texts for claim in claims_of(text)]
    named = tuple(claim.value for claim in claims if claim.kind in _NAMING)
    return Evidence(
        facts,
        least,
        labels,
        sets,
        said=frozenset((claim.kind, claim.value) for claim in claims),
        text_sets=_sets_of(named),
        text=" ".join(texts).lower(),
        names=tuple(thing.label for thing in facts.objects if thing.probability >= least) + named,
        alike=alike,
    )


@lru_cache(maxsize=4096)
def claims_of(text: str) -> tuple[Found, ...]:
    """The claims of a text that comes again: a label, or the index's on one picture."""
    return tuple(find(text))


@lru_cache(maxsize=4096)
def _nouns_in(phrase: str) -> tuple[str, ...]:
    """The nouns of a phrase, and the phrase itself."""
    return (*(claim.value for claim in claims_of(phrase) if claim.kind in _NAMING), phrase.lower())


@lru_cache(maxsize=4096)
def _sets_of(names: tuple[str, ...]) -> frozenset[int]:
    """WordNet's sets of nouns and of their last words, and all that these are kinds of."""
    return nouns().closure(word for name in names for word in (name, name.rpartition(" ")[2]))


def _phrases(facts: Facts, least: float) -> Iterable[tuple[str, str]]:
    """What the fact sheet names, with what says so."""
    for thing in facts.objects:
        if thing.probability >= least:
            yield thing.label, thing.source or "facts"
    for relation in facts.relations:
        if relation.label:
            yield relation.label, relation.source or "geometry"
    guesses = [facts.setting, facts.place]
    for person in facts.people:
        guesses += [person.activity, person.headwear, person.eyewear, person.pose, person.arms, *person.accessories]
        guesses += [garment.kind for garment in person.garments]
        guesses += [replace(one, value=one.value.lower().replace("_", " ")) for one in person.attributes]
    for guess in guesses:
        if guess and guess.probability >= least and guess.value != NONE:
            yield guess.value, guess.source or "facts"


def candidates(who: Reference, known: Evidence) -> list[Person]:
    """The people that a clause can be about."""
    people = list(known.facts.people)
    if who.position:
        people = [person for person in people if person.position == who.position]
    if who.gender:
        named = [(person, known.sure(person.gender)) for person in people]
        people = [person for person, gender in named if gender and gender.value == who.gender] or [
            person for person, gender in named if not gender
        ]
    return people


def noun_known(name: str, known: Evidence) -> str:
    """What says that there is a thing of this name: a label or a text, by the word, a synonym or a kind of it.

    What words do not decide the embeddings of nouns may.
    """
    name = nouns().base(name) or name
    if name in known.labels:
        return known.labels[name]
    sets = nouns().words.get(name, ())
    for number in sets:
        if number in known.sets:
            return known.sets[number]
    if any(number in known.text_sets for number in sets):
        return TEXT
    if ("object", name) in known.said or ("place", name) in known.said:
        return TEXT
    return ENCODER if known.alike and known.names and nearest(name, known.names)[1] >= known.alike else ""


def kind_of(claimed: str, own: str) -> bool:
    """Whether a noun may be said of what another names: the same, or what that is a kind of."""
    claimed, own = nouns().base(claimed) or claimed, nouns().base(own) or own
    if claimed == own or claimed == own.rpartition(" ")[2]:
        return True
    sets = nouns().words.get(claimed, ())
    return bool(sets) and not nouns().closure((own, own.rpartition(" ")[2])).isdisjoint(sets[:1])
