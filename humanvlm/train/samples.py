"""Training samples: pictures and a conversation about them, read from the shards of the stages before.

Readers are values that worker processes get: each reads one part of a source and offers conversations, or says why one
is left out. Those of instruction files are in humanvlm.train.instructions.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from humanvlm.data.prompts import CAPTION, DETAILED_CAPTION, HQ_CAPTION, IMAGE_TOKEN, SHORT_CAPTION
from humanvlm.data.shards import read_rows
from humanvlm.inference.marks import plain

Turns = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """Where a picture is: a row of a shard, or, ``row`` -1, the file ``path`` itself."""

    path: str
    row: int = -1


@dataclass(frozen=True, slots=True)
class Sample:
    """(question, answer) turns about pictures, of which there may be none.

    Where a question has IMAGE_TOKEN a picture stands, in order; where their numbers differ, all are at the beginning.
    system: a turn before the others; None: the chat template's own. id: ``FILE:ROW``, where it was read.
    """

    pictures: tuple[Picture, ...]
    turns: Turns
    system: str | None = None
    id: str = ""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A row that is not learnt from: why, and where it is."""

    reason: str
    id: str


Offer = tuple[Sample, ...] | LeftOut  # rows about the same pictures, which become one conversation


class Reader(Protocol):
    """Reads one part of a source."""

    def read(self) -> Iterator[Offer]: ...

    @property
    def rows(self) -> int: ...

    @property
    def identity(self) -> tuple[Any, ...]:
        """What is read, by content, and how: the same identity offers the same."""
        ...


# By column; of others SHORT_CAPTION.
PROMPTS = {"captions": CAPTION, "detailed": DETAILED_CAPTION, "human_caption_hq": HQ_CAPTION}


def column_of(caption: str) -> str:
    """The column of ``human_caption`` that a configuration's ``caption`` names: ``all`` are the index's own texts."""
    return "captions" if caption == "all" else caption


def texts_of(value: str | Sequence[str] | None) -> list[str]:
    """The texts of a row's column, without their margins; an empty one as it is."""
    return [text.strip() for text in ([value] if isinstance(value, str) else value or ()) if text]


@dataclass(frozen=True)
class Captions:
    """Captions of the training split of a shard: a text column, or ``captions``, of which each text is one. Those of a
    picture are offered together, so that they share it and batch_size counts pictures."""

    shard: Path
    sha256: str
    rows: int
    column: str

    @property
    def identity(self) -> tuple[Any, ...]:
        return ("captions", str(self.shard), self.sha256, self.column, self.prompt)

    @property
    def prompt(self) -> str:
        return PROMPTS.get(self.column, SHORT_CAPTION)

    def read(self) -> Iterator[Offer]:
        """A picture of the test split is left out as ``held_out``, an empty text as ``no_caption``."""
        for number, row in enumerate(read_rows(self.shard, ("split", self.column))):
            place = f"{self.shard.name}:{number}"
            if row["split"] != "train":
                yield LeftOut("held_out", place)
                continue
            found = []
            for text in texts_of(row[self.column]) or [""]:
                if text:
                    turns = ((self.prompt, text),)
                    found.append(Sample((Picture(str(self.shard), number),), turns, id=place))
                else:
                    yield LeftOut("no_caption", place)
            if found:
                yield tuple(found)


@dataclass(frozen=True)
class Conversations:
    """Conversations of the training split of a shard of ``human_caption_hq``, without the caption that each begins
    with, which is a sample of ``Captions``."""

    shard: Path
    sha256: str
    rows: int

    @property
    def identity(self) -> tuple[Any, ...]:
        return ("conversations", str(self.shard), self.sha256)

    def read(self) -> Iterator[Offer]:
        """A picture of the test split is left out as ``held_out``, one without further turns as ``no_questions``."""
        for number, row in enumerate(read_rows(self.shard, ("split", "conversations"))):
            place = f"{self.shard.name}:{number}"
            turns = (turns_of(row["conversations"] or ()) or ((), None))[0][1:]
            if row["split"] != "train":
                yield LeftOut("held_out", place)
            elif not turns:
                yield LeftOut("no_questions", place)
            else:
                yield (Sample((Picture(str(self.shard), number),), turns, id=place),)


ROLES = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "system": "system"}


def turns_of(conversation: Iterable[Mapping[str, Any]]) -> tuple[Turns, str | None] | None:
    """Turns and system text of LLaVA's (from, value) or OpenAI's (role, content) messages.

    None when they are not questions and answers in turn, with at most one system text before them, or one is empty.
    A lone IMAGE_TOKEN of a question goes to its beginning, as LLaVA's own trainer puts it; no other marks are left
    (humanvlm.inference.marks).
    """
    messages = [
        (ROLES.get(str(turn.get("from", turn.get("role")))), _text(turn.get("value", turn.get("content"))))
        for turn in conversation
    ]
    system = None
    if messages and messages[0][0] == "system":
        system = plain(messages.pop(0)[1] or "").strip()
    if not messages or [who for who, _ in messages] != ["user", "assistant"] * (len(messages) // 2):
        return None
    questions = [_placed(text) for _, text in messages[::2]]
    answers = [text and plain(text).strip() for _, text in messages[1::2]]
    if not all(questions) or not all(answers):
        return None
    return tuple((str(one), str(other)) for one, other in zip(questions, answers, strict=True)), system


def _text(content: Any) -> str | None:
    """A message's text; of a list of parts, with IMAGE_TOKEN for a picture."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list) or not all(isinstance(part, Mapping) for part in content):
        return None
    parts = [IMAGE_TOKEN if str(part.get("type", "")).startswith("image") else part.get("text") for part in content]
    return "\n".join(parts) if all(isinstance(part, str) for part in parts) else None


def _placed(question: str | None) -> str | None:
    """The question with a lone IMAGE_TOKEN at its beginning; None when there is no text beside the tokens."""
    if question is None or not (rest := plain(question).strip()):
        return None
    pieces = question.split(IMAGE_TOKEN)
    return f"{IMAGE_TOKEN}\n{rest}" if len(pieces) == 2 else IMAGE_TOKEN.join(map(plain, pieces)).strip()
