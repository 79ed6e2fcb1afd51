"""Forgotten samples in texts: how many lines of a JSON file name one."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from humanvlm.data.tombstones import Tombstones


def count_lines(path: Path, stones: Tombstones, names: set[str] | None = None) -> int:
    """Lines of a JSON Lines file, or 1 of a JSON file, in which some text is a forgotten id, URL or hash, or one of
    ``names``."""
    if path.suffix == ".json":
        return int(names_forgotten(path.read_text(encoding="utf-8", errors="replace"), stones, names))
    with path.open(encoding="utf-8", errors="replace") as file:
        return sum(names_forgotten(line, stones, names) for line in file)


def names_forgotten(line: str, stones: Tombstones, names: set[str] | None = None) -> bool:
    """Whether some text in a line of JSON is a forgotten id, URL or hash, or one of ``names``."""
    return any(_names(text, stones, names or set()) for text in _texts(line))


def _names(text: str, stones: Tombstones, names: set[str]) -> bool:
    return text in names or stones.covers(text, text if "://" in text else None, text)


def _texts(line: str) -> Iterator[str]:
    """All strings in a line of JSON; none when it is not JSON."""
    try:
        values: list[Any] = [json.loads(line)]
    except (ValueError, RecursionError):
        return
    while values:
        value = values.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            values += value.values()
        elif isinstance(value, list):
            values += value
