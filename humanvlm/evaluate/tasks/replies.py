"""Replies of models in files, and what they say: thoughts and wrappers are off before anything is scored."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from humanvlm.errors import UserError
from humanvlm.evaluate.files import Row, by_id, get_text, read_rows
from humanvlm.evaluate.stats.scored import Scored
from humanvlm.inference.replies import final_answer

Value = TypeVar("Value")
REPLY = ("text", "answer", "reply", "prediction", "caption", "response")


def answers(replies: Sequence[Value | None]) -> list[Value | None]:
    """What each reply says; None for one that is missing, or whose thought never ended. What is no text stays."""
    return [_answer(reply) if isinstance(reply, str) else reply for reply in replies]


def unfinished(replies: Sequence[Any]) -> int:
    """How many thoughts never ended."""
    return sum(isinstance(reply, str) and final_answer(reply).unfinished for reply in replies)


def reading_counts(replies: Sequence[Any], read: Sequence[Any]) -> dict[str, int]:
    """``missing`` replies (None), and ``unparseable`` ones: those there of which nothing was read (None)."""
    missing = sum(reply is None for reply in replies)
    nothing = [reply for reply, found in zip(replies, read, strict=True) if found is None]
    return {"missing": missing, "unparseable": sum(reply is not None for reply in nothing)}


def with_replies(scored: Scored, replies: Sequence[Any]) -> Scored:
    """Scores of ``answers(replies)`` with the replies as they came, one a sample, and ``unfinished_thought`` counted,
    which is not missing."""
    per_sample = {**scored.per_sample, "reply": list(replies)} if "reply" in scored.per_sample else scored.per_sample
    return replace(scored, per_sample=per_sample, counts=with_unfinished(scored.counts, unfinished(replies)))


def with_unfinished(counts: Mapping[str, int], thoughts: int) -> dict[str, int]:
    """Counts in which thoughts that never ended, where there are any, are told from replies that are missing."""
    if not thoughts:
        return dict(counts)
    return {**counts, "missing": counts["missing"] - thoughts, "unfinished_thought": thoughts}


def read_replies(path: Path, ids: Sequence[str]) -> dict[str, str]:
    """Replies by question_id or id. Files without any, as the official ones of POPE, are taken in order, when there are
    as many rows as questions."""
    rows = [(where, row_id(row), get_text(row, REPLY, where)) for where, row in read_rows(path)]
    if rows and all(key is None for _, key, _ in rows):
        if len(rows) != len(ids):
            raise UserError(f"{path}: {len(rows)} rows without ids for {len(ids)} questions; give each its question_id")
        return {key: reply for key, (_, _, reply) in zip(ids, rows, strict=True)}
    for where, key, _ in rows:
        if key is None:
            raise UserError(f"{where}: no question_id or id, which other rows have")
    return by_id((str(key), where, reply) for where, key, reply in rows)


def row_id(row: Row) -> str | None:
    """The id of a row of expressions, questions or replies; None when it has none."""
    for name in ("question_id", "id", "sent_id", "annotation_id"):
        value = row.get(name)
        if isinstance(value, int | str) and not isinstance(value, bool) and value != "":
            return str(value)
    return None


def _answer(reply: Any) -> Any:
    answer = final_answer(reply)
    return None if answer.unfinished else answer.text
