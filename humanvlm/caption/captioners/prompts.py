"""What a model is asked to write: text files of this package, each with a version that counts its changes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from humanvlm.caption.captioners.base import Style

FILES: Mapping[Style, str] = {
    "short": "short.txt",
    "detailed": "detailed.txt",
    "face": "face.txt",
    "body": "body.txt",
    "background": "background.txt",
    "fused": "fuse.txt",
}
REWRITE, RULES = "rewrite.txt", "rules.txt"
SEEN = " and what you see"


@dataclass(frozen=True)
class Prompt:
    """A prompt file. text: with places for facts, draft, rules, words. version: a reply is of one version."""

    name: str
    version: int
    text: str


@cache
def load_prompt(name: str) -> Prompt:
    """The prompt of a file, whose first line is ``version: N``. Raises ValueError without that line."""
    text = files(__package__).joinpath("prompts", name).read_text(encoding="utf-8")
    first, _, rest = text.partition("\n")
    key, _, number = first.partition(":")
    if key != "version" or not number.strip().isdigit():
        raise ValueError(f"prompts/{name}: its first line is no `version: N`")
    return Prompt(name, int(number), rest.strip())


def ask_for(style: Style, facts: str, words: int, *, draft: str = "", rewrite: bool = False) -> str:
    """The prompt for a text of a style, in at most ``words`` words.

    facts: as plain words. draft: the text to rewrite, or the texts to fuse. rewrite: from words alone, without the
    picture.
    """
    seen = "" if rewrite or style == "fused" else SEEN
    rules = load_prompt(RULES).text.format(words=words, seen=seen)
    name = REWRITE if rewrite and style != "fused" else FILES[style]
    return load_prompt(name).text.format(facts=facts, draft=draft, rules=rules)


def wordings() -> tuple[str, ...]:
    """The text of every prompt, without what is filled in."""
    return tuple(re.sub(r"\{\w+\}", "", load_prompt(name).text) for name in versions())


def versions() -> dict[str, int]:
    """The version of every prompt, by its file."""
    return {name: load_prompt(name).version for name in sorted({*FILES.values(), REWRITE, RULES})}
