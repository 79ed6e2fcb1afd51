"""The files that captions come in, plain or gzip. Ids are compared as text: 42 and "42" are the same.

References: COCO's annotations, ``{"images": [..], "annotations": [{"image_id", "id", "caption"}, ..]}``, or
``{id: [caption, ..]}``. Predictions: COCO's results, ``[{"image_id", "caption"}, ..]`` (JSON lines too), or
``{id: caption}``. Pairs: ``{id: {"candidate", "references"}}``.

An id that comes twice, a caption that is no text, and a picture without references raise UserError. Empty captions are
read as they are.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from humanvlm.errors import UserError
from humanvlm.evaluate.files import MOST_JSON, Row, by_id, get_id, open_text, read_json, read_rows

Value = TypeVar("Value")

IDS = ("image_id", "id")
CAPTION = ("caption", "text")


def read_references(path: Path) -> dict[str, list[str]]:
    """The captions of each picture; pictures in the order of ``images`` where there is one, else of the captions."""
    value = _object(path)
    if "annotations" not in value:
        return _named(path, value, _texts)
    annotations = _rows(path, value, "annotations")
    numbered = [row["id"] for _, row in annotations if "id" in row]  # one without an id is an annotation of its own
    if len(set(map(str, numbered))) < len(numbered):
        by_id((str(row["id"]), where, None) for where, row in annotations if "id" in row)
    images = _rows(path, value, "images") if value.get("images") else []
    pictures = [get_id(row, ("id",), where) for where, row in images]
    captions: dict[str, list[str]] = {key: [] for key in pictures}
    if len(captions) < len(pictures):
        twice = next(key for place, key in enumerate(pictures) if key in pictures[:place])
        raise UserError(f"{path}: id {twice} is twice in images")
    for where, row in annotations:
        key = get_id(row, ("image_id",), where)
        if pictures and key not in captions:
            raise UserError(f"{where}: image_id {key} is not in images")
        captions.setdefault(key, []).append(_text(row, where))
    return {key: texts for key, texts in captions.items() if texts}


def read_candidates(path: Path) -> dict[str, str]:
    """One caption of each picture."""
    if _starts_as_mapping(path):
        return _named(path, _object(path), _caption)
    return by_id((get_id(row, IDS, where), where, _text(row, where)) for where, row in read_rows(path))


def read_pairs(path: Path) -> dict[str, tuple[str, list[str]]]:
    """The candidate and the references of each picture."""

    def pair(where: str, value: Any) -> tuple[str, list[str]]:
        if not isinstance(value, dict) or "candidate" not in value or "references" not in value:
            raise UserError(f"{where}: no object with candidate and references")
        return _caption(f"{where}.candidate", value["candidate"]), _texts(f"{where}.references", value["references"])

    return _named(path, _object(path), pair)


def _text(row: Row, where: str) -> str:
    for name in CAPTION:
        if name in row:
            return _caption(f"{where}.{name}", row[name])
    raise UserError(f"{where}: no {' or '.join(CAPTION)}")


def _caption(where: str, value: Any) -> str:
    if not isinstance(value, str):
        raise UserError(f"{where}: {str(value)[:60]!r} is no text")
    return value


def _texts(where: str, value: Any) -> list[str]:
    if not isinstance(value, list) or not value:
        raise UserError(f"{where}: no list of captions, or an empty one")
    return [_caption(f"{where}[{number}]", text) for number, text in enumerate(value)]


def _named(path: Path, value: Mapping[str, Any], read: Callable[[str, Any], Value]) -> dict[str, Value]:
    return {key: read(f"{path}: id {key}", item) for key, item in value.items()}


def _rows(path: Path, value: Mapping[str, Any], key: str) -> list[tuple[str, Row]]:
    if not isinstance(value[key], list):
        raise UserError(f"{path}: {key} is no list")
    rows = [(f"{path}: {key}[{number}]", row) for number, row in enumerate(value[key])]
    for where, row in rows:
        if not isinstance(row, dict):
            raise UserError(f"{where}: no JSON object")
    return rows


def _starts_as_mapping(path: Path) -> bool:
    """Whether a file is an object of all captions, and neither a list nor JSON lines of rows."""
    with open_text(path) as file:
        line = file.readline(1 << 20)
        while line.isspace():
            line = file.readline(1 << 20)
    if not line.lstrip().startswith("{"):
        return False
    try:
        row = json.loads(line)
    except ValueError:
        return True  # goes on in the next line
    return not any(name in row for name in IDS) or not any(name in row for name in CAPTION)


def _object(path: Path) -> Mapping[str, Any]:
    """A JSON object: COCO's, or one in none of whose objects a key comes twice."""

    def unique(items: Sequence[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(items)
        if len(found) < len(items):
            keys = [key for key, _ in items]
            twice = next(key for place, key in enumerate(keys) if key in keys[:place])
            raise UserError(f"{path}: id {twice} is there twice")
        return found

    with open_text(path) as file:
        text = file.read(MOST_JSON + 1)
    try:
        value = json.loads(text) if len(text) <= MOST_JSON else read_json(path)
        if isinstance(value, dict) and "annotations" not in value:
            value = json.loads(text, object_pairs_hook=unique)
    except (ValueError, RecursionError):
        value = read_json(path)  # says what is wrong with it
    if not isinstance(value, dict):
        raise UserError(f"{path}: a JSON {type(value).__name__}; an object is expected")
    return value
