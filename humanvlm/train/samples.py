"""Training samples: which picture, asked what, answered how. Texts are in memory, pictures stay in their shards."""

import functools
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from humanvlm.data.image import DecodeError, decode
from humanvlm.data.prompts import CAPTION, DETAILED_CAPTION, HQ_CAPTION, IMAGE_TOKEN, SHORT_CAPTION
from humanvlm.data.shards import RandomRows, find_shards, list_shards, read_folder, read_rows
from humanvlm.errors import UserError

Turns = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """A picture and a conversation about it: (question, answer) turns. ``row`` -1: ``path`` is a picture file."""

    path: str
    row: int
    turns: Turns


@dataclass(frozen=True)
class Samples:
    """Samples of one source, and those left out by reason: offered = kept + dropped."""

    kept: Sequence[Sample]
    dropped: Mapping[str, int] = field(default_factory=dict)


def caption_samples(folder: Path, caption: str) -> Samples:
    """One sample for each caption of the training split of ``human_caption``; ``all``: each text of the index row.

    A picture of the test split counts once as ``held_out``; an empty text as ``no_caption``.
    """
    columns = ("split", "captions" if caption == "all" else caption)
    prompt = {"detailed": DETAILED_CAPTION, "all": CAPTION}.get(caption, SHORT_CAPTION)
    return _from_shards(folder, columns, prompt)


def hq_samples(folder: Path) -> Samples:
    """One sample for each fused caption of the training split of ``human_caption_hq``; none when it has no shards."""
    return _from_shards(folder, ("split", "human_caption_hq"), HQ_CAPTION) if find_shards(folder) else Samples(())


def _from_shards(folder: Path, columns: tuple[str, str], prompt: str) -> Samples:
    kept: list[Sample] = []
    dropped: Counter[str] = Counter()
    for path in list_shards(folder):
        for number, row in enumerate(read_rows(path, columns)):
            if row["split"] != "train":
                dropped["held_out"] += 1
                continue
            value = row[columns[1]]
            texts = [text.strip() for text in ([value] if isinstance(value, str) else value or ()) if text]
            dropped["no_caption"] += sum(not text for text in texts) or not texts
            kept += [Sample(str(path), number, ((prompt, text),)) for text in texts if text]
    return Samples(kept, +dropped)


def conversation_samples(folder: Path) -> Samples:
    """One sample for each conversation of the training split of ``human_caption_hq``, without the caption that it
    begins with, which is in ``hq_samples``; none when it has no shards.

    A picture of the test split counts as ``held_out``; one without further turns as ``no_questions``.
    """
    kept: list[Sample] = []
    dropped: Counter[str] = Counter()
    for path in find_shards(folder):
        for number, row in enumerate(read_rows(path, ("split", "conversations"))):
            turns = (_turns(row["conversations"] or ()) or ())[1:]
            if row["split"] != "train":
                dropped["held_out"] += 1
            elif not turns:
                dropped["no_questions"] += 1
            else:
                kept.append(Sample(str(path), number, turns))
    return Samples(kept, dict(dropped))


def instruction_samples(data: Path, captions: Path) -> Samples:
    """Samples of ``data/instructions.jsonl`` (LLaVA's format), none when there is no such file.

    Pictures are files below ``data``. Left out: a malformed row (``bad_row``), a picture that is absent, outside
    ``data`` or unreadable (``bad_picture``), and one whose bytes are in the test split of ``captions`` (``held_out``).
    """
    file = data / "instructions.jsonl"
    if not file.exists():
        return Samples(())
    held_out = {row["sha256"] for row in read_folder(captions, ("sha256", "split")) if row["split"] != "train"}

    @functools.cache
    def problem(path: Path) -> str | None:
        return _picture_problem(path, data, held_out)

    kept: list[Sample] = []
    dropped: Counter[str] = Counter()
    for line in _lines(file):
        row = _instruction(line)
        if row is None:
            dropped["bad_row"] += 1
        elif reason := problem(data / row[0]):
            dropped[reason] += 1
        else:
            kept.append(Sample(str(data / row[0]), -1, row[1]))
    return Samples(kept, dict(dropped))


def _lines(file: Path) -> Iterator[str]:
    with file.open(encoding="utf-8", errors="replace") as lines:
        yield from (line for line in lines if line.strip())


def _instruction(line: str) -> tuple[str, Turns] | None:
    """Picture path and turns of a row, or None when it is not one conversation of human and gpt in turn."""
    try:
        row: Any = json.loads(line)
        turns, picture = _turns(row["conversations"]), row["image"]
    except (ValueError, KeyError, TypeError):
        return None
    return (picture, turns) if turns and isinstance(picture, str) else None


def _turns(conversation: Iterable[Mapping[str, Any]]) -> Turns | None:
    """Questions and answers of LLaVA's messages, or None when they are not of human and gpt in turn, or are empty."""
    messages = [(str(turn["from"]), str(turn["value"]).replace(IMAGE_TOKEN, "").strip()) for turn in conversation]
    speakers = [speaker for speaker, _ in messages]
    if not messages or len(messages) % 2 or speakers != ["human", "gpt"] * (len(messages) // 2):
        return None
    if not all(text for _, text in messages):
        return None
    return tuple((messages[i][1], messages[i + 1][1]) for i in range(0, len(messages), 2))


def _picture_problem(path: Path, data: Path, held_out: set[str]) -> str | None:
    if not path.resolve().is_relative_to(data.resolve()):
        return "bad_picture"
    try:
        content = path.read_bytes()
        _decode(content, str(path))
    except (OSError, UserError):
        return "bad_picture"
    return "held_out" if hashlib.sha256(content).hexdigest() in held_out else None


def _decode(content: bytes, name: str) -> Image.Image:
    """An upright RGB picture from encoded bytes. Raises UserError naming the picture."""
    try:
        return decode(content)
    except DecodeError as error:
        raise UserError(f"{name}: not a readable picture ({error}); run the stage that wrote it again") from None


class Pictures:
    """Random access to the pictures of samples: keeps the last row groups read, as encoded bytes."""

    def __init__(self, row_groups: int = 32) -> None:
        self._rows = RandomRows(("image",), row_groups)

    def read(self, sample: Sample) -> Image.Image:
        """The sample's picture, RGB. Raises UserError naming the file when it cannot be read."""
        if sample.row < 0:
            return _decode(Path(sample.path).read_bytes(), sample.path)
        content = self._rows.read(Path(sample.path), sample.row)["image"]["bytes"]
        return _decode(content, f"{sample.path}, row {sample.row}")
