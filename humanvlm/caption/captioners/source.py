"""The index's own texts as captions: cleaned, cut by whole sentences, and judged. Nothing is added to them."""

import html
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from humanvlm.caption.template.english import within, word_count

TAG = re.compile(r"<[^<>]{0,200}>")
URL = re.compile(r"(?:https?://|www\.)\S*", re.IGNORECASE)
DOMAIN = re.compile(r"\b[\w-]+(?:\.[\w-]+)*\.(?:com|net|org|info|co\.uk|de|fr|ru|jp)\b(?:/\S*)?", re.IGNORECASE)
EMAIL = re.compile(r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b")
HANDLE = re.compile(r"(?<!\w)@\w+")
HASHTAG = re.compile(r"(?<!\w)#(?=\w)")
FILE = re.compile(r"[\w()-]*\.(?:jpe?g|png|gif|webp|bmp|tiff?|svg|heic|pdf|html?)\b", re.IGNORECASE)
CAMERA = re.compile(r"\b(?:IMG|DSC[FN]?|DCIM|PICT|MVI)[_-]?\d{3,}\b", re.IGNORECASE)
BOILERPLATE = re.compile(
    r"\b(?:stock (?:photos?|photography|images?|pictures?|vectors?)|royalty[- ]free(?: (?:photos?|images?))?"
    r"|free download|click (?:here|to enlarge)|all rights reserved|image credit:?|photo (?:credit|by|courtesy of):?"
    r"|getty images|shutterstock|istock(?:photo)?|alamy|dreamstime|123rf|depositphotos|pinterest|wallpapers? hd"
    r"|buy now|add to cart|free shipping|read more|see more)\b",
    re.IGNORECASE,
)
SPACE = re.compile(r"\s+")
LOOSE = re.compile(r"\(\s*\)|\[\s*\]|\{\s*\}|(?:(?<=\s)|^)[|\-–—_/\\~*+=<>•·©®™]+(?=\s|$)")
END = re.compile(r"(?<=[.!?])\s+(?=[\"'“(]?[A-Z0-9])")
MOST_CHARACTERS = 20_000  # of one text; what comes after is not read


@dataclass(frozen=True)
class SourceCaptions:
    """Cleaned texts of a row: one sentence or more, all of them, and the distinct sentences joined."""

    short: str
    detailed: str
    captions: tuple[str, ...]


def clean_text(text: str) -> str:
    """A text as plain sentences: NFC, no markup, addresses, handles, file names, boilerplate; '' when nothing is left.

    Idempotent. Letters keep their case except the first one, and a text all in capitals becomes lower case.
    """
    previous, text = "", text[:MOST_CHARACTERS]
    while text != previous:  # taking one thing out can join what becomes another
        previous, text = text, _clean_once(text)
    return text


def _clean_once(text: str) -> str:
    text = unicodedata.normalize("NFC", html.unescape(text))
    text = "".join(" " if unicodedata.category(letter)[0] in "CZ" else letter for letter in text)
    for pattern in (TAG, EMAIL, URL, FILE, DOMAIN, HANDLE, HASHTAG, CAMERA, BOILERPLATE):
        text = pattern.sub(" ", text)
    text = SPACE.sub(" ", LOOSE.sub(" ", text)).strip()
    text = re.sub(r"\s+([,.;:!?]+)(?=\s|[^\W\d]|$)", r"\1", text)
    text = re.sub(r"(?<=\w)([,;])(?=[^\W\d])", r"\1 ", text)
    text = re.sub(r"([,;:!?.])(?:\s*[,;:]+)+", r"\1", text)
    text = text.strip(" ,;:|-–—_/\\~*+=<>•·")
    if not any(letter.isalpha() for letter in text):
        return ""
    if text.isupper() and len(text) > 4:
        text = text.lower()
    if text[0].islower() and len(text[0].upper()) == 1:
        text = text[0].upper() + text[1:]
    return text if text[-1] in ".!?…" or text[-2:] in ('."', '!"', '?"') else f"{text}."


def sentences(text: str) -> list[str]:
    """Sentences of a cleaned text."""
    return [part for part in END.split(text) if part]


def first_sentences(text: str, most: int) -> str:
    """As many whole sentences as fit into ``most`` words; a first sentence that is longer is cut between words."""
    parts = sentences(text)
    taken = 0
    while taken < len(parts) and word_count(" ".join(parts[: taken + 1])) <= most:
        taken += 1
    if taken or not parts:
        return " ".join(parts[:taken])
    return " ".join(parts[0].split()[:most]).rstrip(" ,;:-–") + "…"


def source_captions(row: Mapping[str, Any], short_max_words: int, detailed_max_words: int) -> SourceCaptions | None:
    """Captions from the row's ``captions``, else its ``text``; None when nothing is left after cleaning.

    short: the first text; detailed: the distinct sentences of all texts, each within its limit of words.
    """
    texts = distinct(clean_text(text) for text in row.get("captions") or [row.get("text")] if text)
    texts = [text for text in texts if text] or _from_text(row)
    if not texts:
        return None
    every = distinct(part for text in texts for part in sentences(text))
    detailed = within([(number, text) for number, text in enumerate(every)], detailed_max_words)
    return SourceCaptions(
        first_sentences(texts[0], short_max_words),
        detailed or first_sentences(texts[0], detailed_max_words),
        tuple(texts),
    )


def _from_text(row: Mapping[str, Any]) -> list[str]:
    text = clean_text(row.get("text") or "")
    return [text] if text else []


def distinct(texts: Iterable[str]) -> list[str]:
    """The texts without those that say the same but for case, spaces and punctuation, in their order."""
    seen: dict[str, str] = {}
    for text in texts:
        seen.setdefault(re.sub(r"\W+", " ", text).casefold().strip(), text)
    return list(seen.values())


def drop_reason(captions: SourceCaptions | None, min_words: int) -> tuple[str, str] | None:
    """(reason, detail) why a row cannot be captioned from its texts, or None when it can."""
    if captions is None:
        return "no_text", "the index has no text for this picture, or nothing was left after cleaning"
    words = word_count(captions.short)
    if words < min_words:
        return "text_too_short", f"{words} words: {captions.short}"
    return None


def human_sentences(captions: Sequence[str]) -> list[str]:
    """Distinct sentences of a row's cleaned captions."""
    return distinct(part for text in captions for part in sentences(text))
