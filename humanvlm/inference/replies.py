"""What a reply says once its thoughts and wrappers are off.

Models that reason put their thoughts before the answer, between tags; chat templates that open the tag themselves leave
only its end. The answer may be wrapped too. A thought that never ends is no answer, whatever it holds.
"""

import re
from dataclasses import dataclass

# <think>, <thinking>, <reasoning> (whatever their case and attributes), Mistral's [THINK], Kimi's ◁think▷, and
# <|begin_of_thought|>; the end of one ends another, as models mix them.
_NAMES = r"(?:think(?:ing)?|thoughts?|reasoning|reflection)"
_THOUGHT = re.compile(
    rf"(?P<end><\s*/\s*{_NAMES}\s*>|\[/THINK\]|◁/think▷|<\|end_of_thought\|>|<\|channel\|>\s*final\s*<\|message\|>)"
    rf"|(?P<empty><\s*{_NAMES}(?:\s[^<>]*)?/\s*>)"
    rf"|(?P<start><\s*{_NAMES}(?:\s[^<>]*)?>|\[THINK\]|◁think▷|<\|begin_of_thought\|>"
    r"|<\|channel\|>\s*(?:analysis|commentary)\s*<\|message\|>)",
    re.IGNORECASE,
)
_ANSWER = r"(?:final_answer|answer|conclusion|response)"
_WRAPPERS = tuple(
    (re.compile(start, re.IGNORECASE), re.compile(end, re.IGNORECASE))
    for start, end in (
        (rf"<\s*{_ANSWER}(?:\s[^<>]*)?>", rf"<\s*/\s*{_ANSWER}\s*>"),
        (r"<\|begin_of_(?:solution|answer)\|>", r"<\|end_of_(?:solution|answer)\|>"),
        (r"<\|begin_of_box\|>", r"<\|end_of_box\|>"),
    )
)
_BOXED = re.compile(r"\\boxed\{(?:\\text\{)?([^{}]*)\}")
_MARKED = re.compile(r"[<\[◁\\]")  # what any of them needs


@dataclass(frozen=True)
class Answer:
    """text: what is scored; '' where the thought never ended (``unfinished``). raw: the reply as it came."""

    text: str
    raw: str
    unfinished: bool = False


def final_answer(raw: str) -> Answer:
    """The answer in a reply: without thoughts, out of its wrapper. A reply without any is its own answer, untouched."""
    if not _MARKED.search(raw):
        return Answer(raw, raw)
    text, unfinished = _without_thoughts(raw)
    if unfinished:
        return Answer("", raw, unfinished=True)
    for start, end in _WRAPPERS:
        text = _unwrapped(text, start, end)
    boxed = _BOXED.findall(text)
    if boxed:
        text = boxed[-1]
    return Answer(text if text == raw else text.strip(), raw)


def holds_thought(raw: str) -> bool:
    """Whether a thought begins or ends in it."""
    return bool(_THOUGHT.search(raw))


def _without_thoughts(raw: str) -> tuple[str, bool]:
    """The text outside of thoughts, and whether one never ended. An end that was never begun ends what is before it."""
    kept: list[str] = []
    place, thinking = 0, False
    for tag in _THOUGHT.finditer(raw):
        if tag["end"]:
            if not thinking:
                kept = []
            thinking, place = False, tag.end()
        elif not thinking:
            kept.append(raw[place : tag.start()])
            thinking, place = bool(tag["start"]), tag.end()
    return "".join([*kept, raw[place:]]), thinking


def _unwrapped(text: str, start: re.Pattern[str], end: re.Pattern[str]) -> str:
    """What the last wrapper holds; one that was cut off, or that the chat template began, is open on a side."""
    starts, ends = list(start.finditer(text)), list(end.finditer(text))
    if not starts and not ends:
        return text
    low = starts[-1].end() if starts else 0
    high = next((tag.start() for tag in ends if tag.start() >= low), len(text))
    return text[low:high]
