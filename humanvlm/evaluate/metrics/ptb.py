"""Caption tokens as coco-caption's PTBTokenizer gives them: Penn Treebank tokens, lower case, punctuation removed.

The reference runs Stanford CoreNLP 3.4.1 (``PTBTokenizer -preserveLines -lowerCase``) in Java; ``ptb_shapes.py`` says
what its tokens look like. It reads all captions as one file, a line each, and some shapes look past the end of a line:
the full stop of a single letter ("a sign with a T.") is part of the token unless the next caption starts with a word
such as "A", and ":)" at the end of the file is no emoticon. ``tokenize_corpus`` does the same. Two things it does not
repeat: a line break of any kind within a caption is a blank (the reference blanks ``\\n`` only, and pairs all later
captions with the wrong tokens), and no token reaches into the next caption.
"""

import re
from collections.abc import Sequence
from itertools import chain

from humanvlm.evaluate.metrics.ptb_shapes import ABBREVIATIONS, SPLITS, character_classes, shapes

# As coco-caption removes them. Brackets stay, as "-lrb-": its list has them in capitals, the tokens are not.
PUNCTUATION = frozenset(["''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";"])

_BREAKS = re.compile("[\n\r\x0b\x0c\x85\u2028\u2029]")
# Abbreviations whose full stop depends on what follows, at the end of a word or a caption; also within a longer word
# ("'tilNo."), which an apostrophe or ampersand may divide.
_OPEN = re.compile(r"(?:(?<![a-z])(?:[a-z]|ca|figs?|prop|nos?|art|bldg|pp|op)|['’&][a-z]+)\.$", re.IGNORECASE)
_LONGEST_OPEN = 30
# Words after which a token may go on beyond the blank (figures, brackets, full stops that follow no letter), and those
# whose own first blank belongs to the one before.
_GOES_ON = re.compile(r"[\d)\s]$|(?<![A-Za-z])\.$|^\s")
# Captions whose words cannot be looked at one by one: tags and dots have blanks in them.
_BLANKS_INSIDE = re.compile(r"<|\. \.")
_SPLIT_WORDS = {first + second: [first, second] for first, second in SPLITS}
_MOST_WORDS = 1 << 17
_LONGEST_TOKEN = 1_000  # characters, with what follows it: no text takes more than a time proportional to its length
_CONTEXT = 200  # characters of the next caption that are read


def tokenize(text: str) -> list[str]:
    """The tokens of one caption, as if it were the only one of its corpus. A token may hold a no-break space."""
    return tokenize_corpus([text])[0]


def tokenize_corpus(texts: Sequence[str]) -> list[list[str]]:
    """The tokens of each caption, where the captions follow each other in this order. Equal captions share one list."""
    lines = [text if text.isprintable() else _BREAKS.sub(" ", text) for text in texts]
    known: dict[str, list[str]] = {}
    tokens = []
    for number, line in enumerate(lines[:-1], 1):
        if line not in known:
            if _OPEN.search(line.rstrip()[-_LONGEST_OPEN:]):
                tokens.append(_tokens(line, _following(lines, number)))
                continue
            known[line] = _tokens(line, "\n")
        tokens.append(known[line])
    return [*tokens, *(_ended(_scanned(line, 0, len(line))[0]) for line in lines[-1:])]


class _Words(dict[str, list[str]]):
    """The tokens of words between blanks, _OPEN_END where they depend on what follows."""

    def __missing__(self, word: str) -> list[str]:
        if len(self) >= _MOST_WORDS:
            self.clear()
        self[word] = self._of(word)
        return self[word]

    def _of(self, word: str) -> list[str]:
        bare = (word[:-1] if word.endswith((".", ",")) else word).lower()
        if bare.isalpha() and bare.isascii() and (word[-1] != "." or (len(bare) > 1 and bare not in ABBREVIATIONS)):
            return _SPLIT_WORDS.get(bare, [bare])
        if _GOES_ON.search(word) or _OPEN.search(word[-_LONGEST_OPEN:]):
            return _OPEN_END
        return _scanned(f"{word} x", 0, len(word))[0]


_OPEN_END = ["\n"]
_WORDS = _Words()


def _following(lines: Sequence[str], number: int) -> str:
    """The start of the text from line ``number`` on, as far as a shape that ends the line before may look."""
    for place in range(number, len(lines)):
        if lines[place].strip():
            return "\n" + lines[place][:_CONTEXT] + "\n" * (place + 1 < len(lines))
    return "\n"


def _tokens(line: str, following: str) -> list[str]:
    """The tokens of a line, which ``following`` follows: those of its words, where these can be looked at alone."""
    parts = [line] if _BLANKS_INSIDE.search(line) else line.split(" ")
    found = list(map(_WORDS.__getitem__, parts)) if len(parts) > 1 else [_OPEN_END]
    if _OPEN_END not in found:
        return _ended(list(chain.from_iterable(found)))
    text = line + following
    tokens: list[str] = []
    place = start = 0
    for part, known in zip(parts, found, strict=True):
        end = start + len(part)
        if known is _OPEN_END or place > start:
            known, place = _scanned(text, max(place, start - 1), end)
        tokens += known
        start = end + 1
    return _ended(tokens)


def _ended(tokens: list[str]) -> list[str]:
    """The reference strips lines, and an address may end with an odd blank."""
    if tokens:
        tokens[-1] = tokens[-1].rstrip()
    return tokens


def _scanned(text: str, place: int, stop: int) -> tuple[list[str], int]:
    """The tokens that begin from ``place`` to before ``stop``, and where the last one ends."""
    matched, tokens = text.translate(character_classes()), []
    while place < stop:
        best, write = None, None
        for shape in shapes():
            found = shape.pattern.match(matched, place, place + _LONGEST_TOKEN)
            if found and (best is None or found.end() > best.end()):
                best, write = found, shape.write
        end = best.end(1) if best else place + 1  # a character of no shape is left out
        token = write(text[place:end]).lower() if write else "."
        if token not in PUNCTUATION:
            tokens.append(token)
        place = end
    return tokens, place
