"""Words of a caption with where they are."""

import re
from collections.abc import Sequence
from typing import NamedTuple

_TOKEN = re.compile(r"[^\W\d_]+(?:['’.-][^\W\d_]+)*|\d+(?:[.,:]\d+)*|[^\w\s]|_+")
_INNER = re.compile("['’-]")
_END = frozenset(".!?…")
_CLOSING = frozenset("\"'”’)]")
_ABBREVIATIONS = frozenset(["mr", "mrs", "ms", "dr", "st", "prof", "jr", "sr"])


class Token(NamedTuple):
    """A word, a number or a mark at [start, end) of a text; lower: in lower case."""

    start: int
    end: int
    text: str
    lower: str


def tokens(text: str) -> list[Token]:
    """All words and marks in their order. Hyphens and apostrophes inside of a word are the word's."""
    return [Token(found.start(), found.end(), found[0], found[0].lower()) for found in _TOKEN.finditer(text)]


def parts(words: Sequence[Token]) -> set[str]:
    """The words in lower case, and the parts of those with a hyphen or an apostrophe."""
    whole = {word.lower for word in words}
    return whole | {part for word in whole if not word.isalpha() for part in _INNER.split(word)}


def sentences(words: Sequence[Token], text: str) -> list[tuple[int, int]]:
    """Sentences as [first, last) of the tokens; a line break ends one too."""
    spans: list[tuple[int, int]] = []
    first = 0
    for place, word in enumerate(words):
        following = words[place + 1] if place + 1 < len(words) else None
        if following is None:
            break
        ends = word.text in _END and following.text not in _END and following.text not in _CLOSING
        ends = ends and not (place and words[place - 1].lower in _ABBREVIATIONS)
        ends = ends or (word.text in _CLOSING and place > 0 and words[place - 1].text in _END)
        if ends or "\n" in text[word.end : following.start]:
            spans.append((first, place + 1))
            first = place + 1
    return [*spans, (first, len(words))] if first < len(words) else spans


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """[start, end) of each sentence in the text."""
    words = tokens(text)
    return [(words[first].start, words[last - 1].end) for first, last in sentences(words, text)]
