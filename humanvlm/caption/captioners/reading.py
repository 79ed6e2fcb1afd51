"""The caption in a reply: out of its thoughts, its JSON, its quotation marks; or why there is none."""

import json
import re
from collections.abc import Mapping
from typing import Any

from humanvlm.inference.base import Reply
from humanvlm.inference.chat import FILTERED, LENGTH
from humanvlm.inference.marks import plain
from humanvlm.inference.replies import final_answer

KEY = "caption"
SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {KEY: {"type": "string"}},
    "required": [KEY],
    "additionalProperties": False,
}
FENCE = re.compile(r"```[a-z]*", re.IGNORECASE)
LOOSE = re.compile(rf"""["'“]?{KEY}["'”]?\s*+[:=]\s*+["'“]?(?P<text>.*)""", re.IGNORECASE | re.DOTALL)
NEXT = re.compile(r"""["”]\s*+,\s*+["“']\w++["”']\s*+:.*""", re.DOTALL)  # another key after the text
END = re.compile(r"""(?<!["'”\s,}\]])["'”\s,}\]]+\Z""")
ESCAPED = re.compile(r"(?<!\\)\\+(?:n|r|t|u[0-9a-f]{4})")
WHOLE = re.compile(r"^.*[.!?][\"'”)]?(?=\s|$)", re.DOTALL)  # up to the last end of a sentence
MOST_CHARACTERS = 20_000  # of a reply; what comes after is not read
QUOTES = (('"', '"'), ("“", "”"), ("'", "'"))


def caption_in(reply: Reply) -> tuple[str, str]:
    """(text, '') or ('', why there is none): refusal, filtered, unfinished_thought, empty_reply, too_short, cut,
    broken_json.

    Of a reply that was cut off, the whole sentences stand.
    """
    answer = final_answer(reply.raw)
    if reply.finish == FILTERED:
        return "", "filtered"
    if reply.refusal:
        return "", "refusal"
    if answer.unfinished:
        return "", "unfinished_thought"
    text = answer.text[:MOST_CHARACTERS].strip()
    if fence := FENCE.match(text):
        text = text[fence.end() :]
    text = text.removesuffix("```").strip()
    if text[:1] in ("{", "["):
        text = _in_json(text)
        if not text:
            return "", "broken_json"
    text = _unquoted(" ".join(plain(text).split()))
    if reply.finish == LENGTH:
        whole = WHOLE.match(text)
        return (whole[0], "") if whole else ("", "cut")
    if text and " " not in text:  # small models answer a sheet with one of its figures
        return "", "too_short"
    return (text, "") if text else ("", "empty_reply")


def _in_json(text: str) -> str:
    """The caption of an object, also of one that is cut off, or whose quotation marks or commas are wrong; '' without
    one."""
    try:
        value = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        found = LOOSE.search(text)
        loose = END.sub("", NEXT.sub("", found["text"])) if found else ""
        return ESCAPED.sub(" ", loose).replace('\\"', '"').replace("\\", "").strip()
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    words = value.get(KEY) if isinstance(value, dict) else None
    return words.strip() if isinstance(words, str) else ""


def _unquoted(text: str) -> str:
    for start, end in QUOTES:
        if len(text) > 1 and text.startswith(start) and text.endswith(end) and end not in text[1:-1]:
            return text[1:-1].strip()
    return text
