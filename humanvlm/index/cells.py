"""What a cell of somebody's list says: an address, texts, a hash."""

import ast
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from humanvlm.index.layout import TEXT_COLUMNS

NO_URL = {"", "unknown", "none", "null", "nan", "<na>"}
NO_TEXT = {"", "nan", "none", "null", "<na>"}  # how missing values are written into text files
HALF = re.compile("[\ud800-\udfff]")  # halves of surrogate pairs, which also stand for bytes that no letter has
LOST = "\ufffd"
DIGITS = {"sha256": 64, "md5": 32}
ANSWERING = {"gpt", "assistant", "model", "chatbot", "bot"}
IN_TURN = ("value", "content", "raw")
# Flickr's token files number the captions of a picture: a.jpg#0.
NUMBERED = re.compile(r"(?i)(\.(?:jpe?g|png|gif|webp|bmp|tiff?))#[0-9]+$")
MOST_PARSED = 1 << 17  # characters of a cell that are parsed as a list; of longer ones the tree takes too much memory
MOST_TEXTS = 1000  # texts of one picture
DEEPEST = 8
OPENING = re.compile(r"""\s*(?:array\()?[\[({]\s*(?:['"\[{]|None\b|nan\b|\])""")
ARRAY = re.compile(r"\s*array\((.*?)(?:,\s*dtype=\w+)?\)\s*", re.DOTALL)
TOKEN = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[\[\]{}(),:]|[^\s'"\[\]{}(),:]+|['"]""", re.DOTALL)


def clean(text: str) -> str:
    """Without spaces around it; what UTF-8 cannot store becomes the replacement character."""
    text = text.strip()
    return text if text.isascii() else HALF.sub(LOST, text)


def address(value: Any, base_url: str | None, joined: bool = False) -> tuple[str, str]:
    """The URL, or "" with the reason why there is none.

    base_url: what a relative path is appended to, quoted. joined: of addresses with commas between them the first.
    """
    if not isinstance(value, str):
        return "", "missing_url" if value is None else "not_a_string"
    text = clean(value)
    if joined:
        text = re.split(r",\s*(?=https?://)", text, maxsplit=1)[0]
    if text.lower() in NO_URL:
        return "", "unknown_url" if text else "missing_url"
    if text.lower().startswith(("http://", "https://")):
        return text, ""
    if text.startswith("//"):
        return f"https:{text}", ""
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", text):
        return "", "not_http"
    if base_url is None:
        return "", "relative_url"
    path = NUMBERED.sub(r"\1", text.replace("\\", "/").removeprefix("./").lstrip("/"))
    return f"{base_url.rstrip('/')}/{quote(path)}", ""


def hash_of(value: Any, kind: str) -> tuple[str | None, str]:
    """A sha256 or md5 in lower case, None where there is none; or the reason why it cannot be one."""
    text = word(value)
    if text is None or text.lower() in NO_TEXT:
        return None, ""
    digits = text.lower().removeprefix(f"{kind}:")
    if re.fullmatch(f"[0-9a-f]{{{DIGITS[kind]}}}", digits):
        return digits, ""
    return None, f"not_{kind}"


def word(value: Any) -> str | None:
    """A scalar as text; None where there is none."""
    return clean(str(value)) or None if value is not None else None


def texts_of(value: Any, depth: int = 0) -> list[str]:
    """Texts of a cell, at most ``MOST_TEXTS``: a text, a list of texts, a struct with a text in it, or chat turns (the
    first answer); also as JSON, or as Python or NumPy print them."""
    if depth > DEEPEST:
        return []
    if isinstance(value, str):
        parsed = _parsed(value) if OPENING.match(value) else None
        if parsed is None:
            return [] if (text := clean(value)).lower() in NO_TEXT else [text]
        found = texts_of(parsed, depth + 1)
        return found if found or not parsed or not isinstance(parsed, Mapping) else [clean(value)]
    if isinstance(value, Mapping):
        return _text_of_struct(value, depth)
    if not isinstance(value, list | tuple):
        return []
    if any(_speaker(item) for item in value):
        return _answer(value, depth)
    return [text for item in value[:MOST_TEXTS] for text in texts_of(item, depth + 1)][:MOST_TEXTS]


def _text_of_struct(value: Mapping[str, Any], depth: int) -> list[str]:
    """What is under a known name, else the only text, or those of several languages."""
    names = {str(name).strip().casefold(): name for name in value}
    for known in (*TEXT_COLUMNS, *IN_TURN):
        if known in names and (found := texts_of(value[names[known]], depth + 1)):
            return found
    said = [text for text in value.values() if isinstance(text, str)]
    by_language = all(re.fullmatch("[a-z]{2,3}([-_][a-z]+)?", name) for name in names)
    return [text for cell in said for text in texts_of(cell, depth + 1)] if by_language or len(said) == 1 else []


def _speaker(item: Any) -> str | None:
    said = (item.get("from") or item.get("role")) if isinstance(item, Mapping) else None
    return said.casefold() if isinstance(said, str) else None


def _answer(turns: list[Any] | tuple[Any, ...], depth: int) -> list[str]:
    """The first turn of who answers; where nobody has a name known for it, the second turn."""
    answers = [turn for turn in turns if _speaker(turn) in ANSWERING] or list(turns[1:2])
    return texts_of(answers[0], depth + 1) if answers else []


def _parsed(text: str) -> list[Any] | tuple[Any, ...] | Mapping[str, Any] | None:
    """The list or struct that a text prints; None when it is none, or too long to be looked into."""
    if len(text) > MOST_PARSED:
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        try:
            value = ast.literal_eval(_with_commas(text))
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            return None
    return value if isinstance(value, list | tuple | dict) else None


def _with_commas(text: str) -> str:
    """The text with a comma between any two items: NumPy prints none, and Python would join strings. Raises ValueError
    for quotes that do not close."""
    if array := ARRAY.fullmatch(text):
        text = array[1]
    parts: list[str] = []
    for part in (found[0] for found in TOKEN.finditer(text)):
        if part in ("'", '"'):  # it never closes; looking on from each such quote would take quadratic time
            raise ValueError("a quote without its second")
        if parts and parts[-1] not in "[{(,:" and part not in "]}),:":
            parts.append(",")
        parts.append("None" if part in ("nan", "<NA>", "null") else part)
    return " ".join(parts)
