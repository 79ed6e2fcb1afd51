"""A reply's tokens as words, piece by piece: the pieces together are the whole reply, trimmed, up to a stop text."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from humanvlm.inference.replies import holds_thought

UNFINISHED = "\ufffd"  # how a part of a character's bytes is decoded


def silent_tokens(tokenizer: Any) -> frozenset[int]:
    """The special tokens of a Hugging Face tokenizer, but for those that begin or end a thought."""
    added = tokenizer.added_tokens_decoder
    return frozenset(number for number, one in added.items() if one.special and not holds_thought(one.content))


@dataclass
class Words:
    """What one reply has said. silent: tokens that are no words. stops: texts that end it, and are not said. stopped:
    whether one did."""

    tokenizer: Any
    silent: frozenset[int] = frozenset()
    stops: Sequence[str] = ()
    stopped: bool = False
    tokens: list[int] = field(default_factory=list)
    held: str = ""  # said, but perhaps the beginning of a stop text, or space at the end
    started: bool = False
    before: int = 0  # tokens[before:read] are decoded again with what follows: neighbours decide about spaces
    read: int = 0

    def add(self, token: int) -> str:
        """What can be said for sure once this token came."""
        if token in self.silent:
            return ""
        self.tokens.append(token)
        return self._said(self._new())

    def end(self) -> str:
        """What was held back."""
        if self.stopped:
            return ""
        rest = self.held + self._new(whole=True)
        self.held = ""
        return self._begun(self._cut(rest).rstrip())

    def _new(self, *, whole: bool = False) -> str:
        known = self.tokenizer.decode(self.tokens[self.before : self.read])
        text = str(self.tokenizer.decode(self.tokens[self.before :]))
        if not whole and (text.endswith(UNFINISHED) or len(text) <= len(known)):
            return ""
        self.before, self.read = self.read, len(self.tokens)
        return text[len(known) :]

    def _said(self, text: str) -> str:
        text = self._cut(self.held + text)
        sure = len(text.rstrip())
        if not self.stopped:
            sure = min([sure, *(len(text) - _overlap(text, stop) for stop in self.stops)])
            sure = len(text[:sure].rstrip())
        self.held = "" if self.stopped else text[sure:]
        return self._begun(text[:sure])

    def _begun(self, text: str) -> str:
        """The text, without space before the first word of all."""
        text = text if self.started else text.lstrip()
        self.started = self.started or bool(text)
        return text

    def _cut(self, text: str) -> str:
        """The text before the first stop text in it."""
        places = [place for stop in self.stops if (place := text.find(stop)) >= 0]
        self.stopped = bool(places)
        return text[: min(places)] if places else text


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of the text begin the stop text."""
    return next((size for size in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:size])), 0)
