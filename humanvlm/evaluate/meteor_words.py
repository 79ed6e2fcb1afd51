"""What METEOR 1.5 knows of English words: its normalisation, function words, and WordNet's synonyms.

The data is in METEOR's own files, see ``meteor-1.5`` in ``models.yaml``.
"""

import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_LETTERS = (
    "A-Za-z\u0160\u017d\u0161\u017e\u0178\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u017e\u0400-\u0527\ua640-\ua66e\ua67e-\ua697"
    "\u1d00-\u1d7f"
)
_PLAIN = re.compile("[0-9A-Za-z ]*")
_BLANKS = re.compile("[ \u2000-\u200a\u202f\u205f\u3000\u00a0]+")
_WORDS = re.compile("[^ \t\n\r\f]+")
# Symbols stand alone, commas outside of numbers too; quotes and dashes become ASCII; hyphens between words and
# apostrophes at words' ends become blanks, in this order.
_DOTS = re.compile(r"\.(\.+)")
_LAST_DOT = re.compile(r"DOTMULTI\.([^.])", re.DOTALL)
_SYMBOL = re.compile(rf"([^0-9{_LETTERS} \t\n\x0b\f\r.'`,\-‘’])")
_REPLACED: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile("([^0-9]),([^0-9])"), r"\1 , \2"),
    (re.compile("([0-9]),([^0-9])"), r"\1 , \2"),
    (re.compile("([^0-9]),([0-9])"), r"\1 , \2"),
    (re.compile("[`‘’]"), "'"),
    (re.compile("[“”]|''"), ' " '),
    (re.compile("–|--"), "-"),
    (re.compile(rf"([0-9{_LETTERS}.])-([0-9{_LETTERS}])"), r"\1 \2"),
    (re.compile(rf"([^{_LETTERS}])'([^{_LETTERS}])"), r"\1 ' \2"),
    (re.compile(rf"([^{_LETTERS}0-9])'([{_LETTERS}])"), r"\1 ' \2"),
    (re.compile(rf"([{_LETTERS}])'([^{_LETTERS}])"), r"\1 ' \2"),
    (re.compile(rf"([{_LETTERS}])'([{_LETTERS}])"), r"\1 '\2"),
    (re.compile(r"([0-9])'(s)"), r"\1 '\2"),
)
_LETTER = re.compile(f"[{_LETTERS}]")
# WordNet's endings and what they become (Morphy): of nouns, verbs and adjectives.
_ENDINGS = (
    ("s", ""), ("ses", "s"), ("xes", "x"), ("zes", "z"), ("ches", "ch"), ("shes", "sh"), ("men", "man"), ("ies", "y"),
    ("s", ""), ("ies", "y"), ("es", "e"), ("es", ""), ("ed", "e"), ("ed", ""), ("ing", "e"), ("ing", ""),
    ("er", ""), ("est", ""), ("er", "e"), ("est", "e"),
)  # fmt: skip


_FILES = (
    "function/english.words",
    "nonbreaking/english.prefixes",
    "synonym/english.synsets",
    "synonym/english.exceptions",
)
_LAST = frozenset(ending[-1] for ending, _ in _ENDINGS)


@dataclass(frozen=True)
class WordData:
    """function_words: those that weigh less. prefixes: words whose full stop ends no sentence, and whether only before
    numbers. synsets: a word's sets of synonyms, as text. bases: base forms of irregular words. Empty where absent."""

    function_words: frozenset[str] = frozenset()
    prefixes: Mapping[str, bool] = field(default_factory=dict)
    synsets: Mapping[str, str] = field(default_factory=dict)
    bases: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def synonyms(self, words: Iterable[str]) -> Iterator[tuple[str, frozenset[str]]]:
        """Each word with its sets of synonyms."""
        for word in words:
            sets = set(self.synsets.get(word, "").split())
            for base in self.bases[word] if word in self.bases else [self._base(word)]:
                sets.update(self.synsets.get(base, "").split())
            yield word, frozenset(sets)

    def _base(self, word: str) -> str:
        if word.endswith("ss") or len(word) <= 2:
            return word
        if word[-1] not in _LAST:
            return ""
        for ending, target in _ENDINGS:
            if word.endswith(ending) and word[: -len(ending)] + target in self.synsets:
                return word[: -len(ending)] + target
        return ""


def load_words(jar: Path) -> WordData:
    """The English data inside METEOR's jar. Raises KeyError or zipfile.BadZipFile when it is not that jar."""
    with zipfile.ZipFile(jar) as files:
        lines = {name: files.read(name).decode().split("\n") for name in _FILES}
    function, prefixes, synsets, exceptions = (lines[name] for name in _FILES)
    bases: dict[str, list[str]] = {}
    for base, forms in zip(exceptions[::2], exceptions[1::2], strict=False):
        for form in forms.split():
            bases.setdefault(form, []).append(base)
    entries = [line.split() for line in prefixes if line.strip() and not line.startswith("#")]
    return WordData(
        frozenset(word for word in function if word),
        {entry[0]: entry[1:2] == ["#NUMERIC_ONLY#"] for entry in entries},
        dict(zip(synsets[::2], synsets[1::2], strict=False)),
        bases,
    )


def normalise(line: str, prefixes: Mapping[str, bool]) -> list[str]:
    """The words of a line as ``-norm`` makes them: lower case, punctuation kept, hyphens gone, contractions split."""
    if _PLAIN.fullmatch(line):
        return line.lower().split()
    line = _hide_dots(_SYMBOL.sub(r" \1 ", f" {line} "))
    for pattern, target in _REPLACED:
        line = pattern.sub(target, line)
    words = _WORDS.findall(line)
    pairs = zip(words, [*words[1:], ""], strict=True)
    line = " ".join(_full_stop(word, following, prefixes) for word, following in pairs)
    while "DOTDOTMULTI" in line:
        line = line.replace("DOTDOTMULTI", "DOTMULTI.")
    return _WORDS.findall(_BLANKS.sub(" ", line.replace("DOTMULTI", ".")).lower())


def _hide_dots(line: str) -> str:
    """Several full stops are one word, which the rules for single ones must not see."""
    line = _DOTS.sub(r" DOTMULTI\1", line)
    while "DOTMULTI." in line:
        line = _LAST_DOT.sub(r"DOTDOTMULTI \1", line).replace("DOTMULTI.", "DOTDOTMULTI")
    return line


def _full_stop(word: str, following: str, prefixes: Mapping[str, bool]) -> str:
    """A word whose full stop is its own (without it, in acronyms), or a word and a full stop."""
    if len(word) < 2 or not word.endswith("."):
        return word
    stem = word[:-1]
    if "." in stem and _LETTER.search(stem):
        return word.replace(".", "")
    if prefixes.get(stem) is False or "a" <= following[:1] <= "z":
        return word
    if prefixes.get(stem) and "0" <= following[:1] <= "9":
        return word
    return f"{stem} ."
