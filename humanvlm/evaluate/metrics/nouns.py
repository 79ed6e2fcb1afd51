"""Nouns of a text that a list knows, plurals among them: the objects that a description claims to see."""

import re
from collections.abc import Container

_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*+")
_PLURALS = (
    ("children", "child"),
    ("men", "man"),
    ("mice", "mouse"),
    ("geese", "goose"),
    ("ies", "y"),
    ("ves", "f"),
    ("ves", "fe"),
    ("es", ""),
    ("s", ""),
)


def words(text: str) -> list[str]:
    """Its words as they are written; hyphens hold a word together."""
    return _WORD.findall(text)


def singular(word: str, known: Container[str]) -> str:
    """The singular of a word where ``known`` has one; a word that is known, or has none there, as it is."""
    if word in known:
        return word
    for ending, other in _PLURALS:
        if word.endswith(ending) and (found := word.removesuffix(ending) + other) in known:
            return found
    return word
