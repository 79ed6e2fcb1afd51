"""How METEOR 1.5 splits English lines into words, and what it knows of words; its data is in its own files."""

import re
import zipfile
from collections.abc import Iterator, Mapping
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
_DOTS = re.compile(r"\.{2,}")
_DOT = "\ue000"  # one of several, which the rules for single full stops must not see
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
_FILES = (
    "function/english.words",
    "nonbreaking/english.prefixes",
    "synonym/english.synsets",
    "synonym/english.exceptions",
)


@dataclass(frozen=True)
class WordData:
    """function_words: those that weigh less. prefixes: words whose full stop ends no sentence, and whether only before
    numbers."""

    function_words: frozenset[str] = frozenset()
    prefixes: Mapping[str, bool] = field(default_factory=dict)


def read_words(jar: Path) -> tuple[WordData, Iterator[tuple[str, list[int]]], Iterator[tuple[str, list[str]]]]:
    """The English data inside METEOR's jar: of words, the synonym sets of each word, and the bases of irregular words.

    Raises KeyError, ValueError or zipfile.BadZipFile when it is not that jar.
    """
    with zipfile.ZipFile(jar) as files:
        function, prefixes, synsets, exceptions = (files.read(name).decode().split("\n") for name in _FILES)
    bases: dict[str, list[str]] = {}
    for base, forms in zip(exceptions[::2], exceptions[1::2], strict=False):
        for form in forms.split():
            bases.setdefault(form, []).append(base)
    entries = [line.split() for line in prefixes if line.strip() and not line.startswith("#")]
    words = WordData(
        frozenset(word for word in function if word),
        {entry[0]: entry[1:2] == ["#NUMERIC_ONLY#"] for entry in entries},
    )
    pairs = zip(synsets[::2], synsets[1::2], strict=False)
    return words, ((word, [int(number) for number in sets.split()]) for word, sets in pairs), iter(bases.items())


def normalise(line: str, prefixes: Mapping[str, bool]) -> list[str]:
    """The words of a line as ``-norm`` makes them: lower case, punctuation kept, hyphens gone, contractions split."""
    if _PLAIN.fullmatch(line):
        return line.lower().split()
    line = _SYMBOL.sub(r" \1 ", f" {line} ")
    line = _DOTS.sub(lambda run: f" {_DOT * len(run[0])} ", line)
    for pattern, target in _REPLACED:
        line = pattern.sub(target, line)
    words = _WORDS.findall(line)
    pairs = zip(words, [*words[1:], ""], strict=True)
    line = " ".join(_full_stop(word, following, prefixes) for word, following in pairs)
    return _WORDS.findall(_BLANKS.sub(" ", line.replace(_DOT, ".")).lower())


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
