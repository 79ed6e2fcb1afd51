"""The index's own texts as captions: cleaned, cut by whole sentences, and judged. Nothing is added to them."""

import html
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from humanvlm.caption.captioners.base import Captioner, Draft, Style, Subject
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


def source_texts(row: Mapping[str, Any]) -> tuple[str, ...]:
    """The row's ``captions``, else its ``text``, cleaned and distinct; () when nothing is left after cleaning."""
    texts = distinct(clean_text(text) for text in row.get("captions") or [row.get("text")] if text)
    found = tuple(text for text in texts if text)
    text = "" if found else clean_text(row.get("text") or "")
    return found or ((text,) if text else ())


def distinct(texts: Iterable[str]) -> list[str]:
    """The texts without those that say the same but for case, spaces and punctuation, in their order."""
    seen: dict[str, str] = {}
    for text in texts:
        seen.setdefault(re.sub(r"\W+", " ", text).casefold().strip(), text)
    return list(seen.values())


def drop_reason(texts: Sequence[str], min_words: int) -> tuple[str, str] | None:
    """(reason, detail) why a row cannot be captioned from its texts, or None when it can."""
    if not texts:
        return "no_text", "the index has no text for this picture, or nothing was left after cleaning"
    words = word_count(texts[0])
    return ("text_too_short", f"{words} words: {texts[0]}") if words < min_words else None


@dataclass(frozen=True)
class SourceCaptioner:
    """Captions are what the index says of the picture; what it does not say is written by ``others``.

    max_words: by style; a fused caption begins with the index's sentences, which are the last to be left out.
    """

    others: Captioner
    max_words: Mapping[Style, int]
    name: str = "source"

    def write(self, subjects: Sequence[Subject], styles: Sequence[Style]) -> Sequence[Draft]:
        """Texts of all styles for every subject; empty where the index has none."""
        written = self.others.write(subjects, [style for style in styles if style not in ("short", "detailed")])
        return [
            Draft({style: self._text(subject, style, draft) for style in styles})
            for subject, draft in zip(subjects, written, strict=True)
        ]

    def _text(self, subject: Subject, style: Style, others: Draft) -> str:
        if style not in ("short", "detailed", "fused"):
            return others.texts[style]
        most, every = self.max_words[style], distinct(part for text in subject.texts for part in sentences(text))
        if style == "short":
            return first_sentences(subject.texts[0], most) if subject.texts else ""
        if style == "detailed":
            cut = first_sentences(subject.texts[0], most) if subject.texts else ""
            return within(list(enumerate(every)), most) or cut
        described = enumerate(sentences(others.texts["fused"]), 1)
        return within([*((0, text) for text in every), *described], most)
