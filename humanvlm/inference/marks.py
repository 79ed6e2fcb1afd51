"""Marks: words by which chat templates and tokenizers tell turns and pictures apart. A text that others wrote has none
left before a model reads or learns it: else a caption could open a system turn, or count as one picture more.

Templates that tell turns by ordinary words (``USER:``) are not protected: such words are left in texts.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from humanvlm.inference.replies import holds_thought

# What families of models use, whichever of them reads the text: ChatML, Llama 2 to 4, Phi, harmony, DeepSeek, Mistral,
# Gemma, SmolVLM, InternVL. Marks of thoughts and answers are humanvlm.inference.replies'.
COMMON = (
    r"(?!<\|(?:begin|end)_of_(?:thought|solution|answer|box)\|>)(?:"
    r"<\|?(?:/?s|bos|eos|pad|unk|mask|image|video|audio|img|IMG_CONTEXT|(?:start|end)_of_[a-z]{1,16}|image_soft_token"
    r"|fake_token_around_image|global-img|row_\d{1,2}_col_\d{1,2}|turn)\|?>"
    r"|</(?:image|video|audio|img)>"
    r"|<\|[^<>|\s]{1,48}\|>"
    r"|<\uff5c[^<>\uff5c\s]{1,48}\uff5c>"
    r"|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|IMG|IMG_BREAK|IMG_END)\]"
    r"|<</?SYS>>)"
)
SEPARATORS = " \n\t\u00b7\u2022\u2027"  # one of them stands where a mark was


def plain(text: str, marks: Iterable[str] = ()) -> str:
    """The text without marks, those in common use and the given ones: a space stands where one was.

    None is left, also none that taking out another would join, after one pass: what stands between is in no mark.
    """
    pattern, separator = _pattern(tuple(marks))
    return pattern.sub(separator, text)


def marks_of(tokenizer: Any) -> tuple[str, ...]:
    """The added tokens of a Hugging Face tokenizer that are special, or written in brackets as marks are.

    Llama 3 names two special tokens and has 256, its headers among them. Runs of spaces are added tokens too, of some.
    """
    added = getattr(tokenizer, "added_tokens_decoder", {}).values()
    found = {token.content for token in added if token.special or _bracketed(token.content)}
    found.update(getattr(tokenizer, "all_special_tokens", ()))
    return tuple(sorted(found, key=lambda mark: (-len(mark), mark)))  # the longest that matches is taken


def _bracketed(word: str) -> bool:
    return word[:1] + word[-1:] in ("<>", "[]") and len(word) > 2 and not holds_thought(word)


@lru_cache(maxsize=16)
def _pattern(marks: tuple[str, ...]) -> tuple[re.Pattern[str], str]:
    """What matches a mark with a space on each side of it, and what takes its place."""
    separator = next(one for one in SEPARATORS if not any(one in mark for mark in marks))
    every = "|".join([*map(re.escape, filter(None, marks)), COMMON])
    return re.compile(f" ?(?:{every}) ?"), separator
