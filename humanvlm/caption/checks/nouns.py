"""WordNet's nouns of what pictures can show: which words mean the same, and what is a kind of what."""

import gzip
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files

_ENDINGS = (
    *(("ies", "y"), ("ves", "f"), ("ves", "fe"), ("men", "man"), ("ses", "s"), ("xes", "x"), ("zes", "z")),
    *(("ches", "ch"), ("shes", "sh"), ("oes", "o"), ("s", "")),
)
_IRREGULAR = {
    "people": "person", "children": "child", "mice": "mouse", "geese": "goose", "teeth": "tooth", "feet": "foot",
    "oxen": "ox", "dice": "die", "loaves": "loaf", "cacti": "cactus",
}  # fmt: skip


@dataclass(frozen=True)
class Nouns:
    """words: a noun, spaces as they are, and its sets of synonyms; verbal: nouns that are mostly verbs.

    first: the first words of nouns of several words.

    kinds and above: of each set its kind (animal, artifact, food, object, person, plant) and the sets that it is a kind
    of (Miller 1995, "WordNet: a lexical database for English").
    """

    words: Mapping[str, tuple[int, ...]]
    verbal: frozenset[str]
    first: frozenset[str]
    kinds: tuple[str, ...]
    above: tuple[tuple[int, ...], ...]

    def base(self, word: str) -> str:
        """The noun that a word in lower case is a form of, in the singular where both are known; else ''."""
        if word in _IRREGULAR:
            return _IRREGULAR[word]
        if word.endswith(("s", "men")) and not word.endswith("ss"):
            head, space, last = word.rpartition(" ")
            for ending, target in _ENDINGS:
                if last.endswith(ending) and (base := head + space + last[: -len(ending)] + target) in self.words:
                    return base
        return word if word in self.words else ""

    def kind(self, word: str) -> str:
        """The kind of a noun by its first set: animal, artifact, ..."""
        return self.kinds[self.words[word][0]]

    def upward(self, number: int) -> frozenset[int]:
        """A set and all that it is a kind of."""
        return _upward(number)

    def closure(self, words: Iterable[str]) -> frozenset[int]:
        """The sets of some nouns and all that these are kinds of. Words that are no nouns add nothing."""
        return frozenset(one for word in words for number in self.words.get(word, ()) for one in _upward(number))


@lru_cache(maxsize=65_536)
def _upward(number: int) -> frozenset[int]:
    found = {number}
    for parent in nouns().above[number]:
        found |= _upward(parent)
    return frozenset(found)


@cache
def nouns() -> Nouns:
    """The table ``words/nouns.txt.gz``, read once."""
    data = files("humanvlm.caption.checks").joinpath("words/nouns.txt.gz").read_bytes()
    lines = [line for line in gzip.decompress(data).decode().splitlines() if not line.startswith("#")]
    words: dict[str, tuple[int, ...]] = {}
    verbal: set[str] = set()
    kinds, above = [], []
    for number, line in enumerate(lines):
        kind, names, *parents = line.split(" ")
        kinds.append(kind)
        above.append(tuple(int(parent) for parent in parents[0].split(",")) if parents else ())
        for name in names.replace("_", " ").split(","):
            word = name.removesuffix("!")
            verbal.update([word] if name != word else [])
            words[word] = (*words.get(word, ()), number)
    first = frozenset(word.split(" ")[0] for word in words if " " in word)
    return Nouns(words, frozenset(verbal), first, tuple(kinds), tuple(above))
