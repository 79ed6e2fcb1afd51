"""The index's own texts as captions: cleaned, cut by whole sentences, and judged. Nothing is added to them."""

import html
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from humanvlm.caption.captioners.base import Captioner, Draft, Style, Subject
from humanvlm.caption.template.english import within, word_count
from humanvlm.inference.marks import plain

# Runs are taken whole (``++``) and only from where they begin, so that no text makes a pattern look twice at a letter.
TAG = re.compile(r"<[/!?a-z][^<>]{0,200}>", re.IGNORECASE)
URL = re.compile(r"(?:https?://|www\.)\S*", re.IGNORECASE)
DOTTED = re.compile(r"(?<![\w-])([\w-]++(?:\.[\w-]++)++)(/\S*+)?")
DOMAINS = {"com", "net", "org", "info", "de", "fr", "ru", "jp"}
EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]++@[\w-]++(?:\.[\w-]++)++")
HANDLE = re.compile(r"(?<!\w)@\w+")
HASHTAG = re.compile(r"(?<!\w)#(?=\w)")
FILE = re.compile(r"(?<![\w()-])[\w()-]*+\.(?:jpe?g|png|gif|webp|bmp|tiff?|svg|heic|pdf|html?)\b", re.IGNORECASE)
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
JOINERS = "\u200c\u200d"  # between letters of some scripts, and between the parts of an emoji
JOINER = re.compile(rf"(?<![^\s\x00-\x7f])[{JOINERS}]|[{JOINERS}](?![^\s\x00-\x7f])")
TAGGED = re.compile("(\U0001f3f4[\U000e0030-\U000e007a]{1,8}\U000e007f)|[\U000e0000-\U000e007f]")  # flags of regions
SEEN = "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u08e2\U000110bd\U000110cd"  # format characters with a form
MOST_MARKS = 30  # on one letter: sorting them takes quadratic time
ENDS = ".!?…。！？।؟"
PASSES = 8  # ordinary texts need two
MOST_CHARACTERS = 20_000  # of one text; what comes after is not read


def clean_text(text: str) -> str:
    """A text as plain sentences: NFC, no markup, addresses, handles, file names, boilerplate; '' when nothing is left.

    Idempotent, in time that is linear in the text. Letters keep their case except the first one, and a text all in
    capitals becomes lower case. Soft hyphens and what has no width leave their words whole; joiners stay where scripts
    and emoji need them.
    """
    text, passes = text[:MOST_CHARACTERS], 0
    while (
        cleaned := _clean_once(text)[:MOST_CHARACTERS]
    ) != text:  # taking one thing out can join what becomes another
        passes += 1
        # Of things within things the half is given up each time, so there is an end.
        text = cleaned if passes < PASSES else _clean_once(cleaned[: len(cleaned) // 2])
    return text


def _clean_once(text: str) -> str:
    text = plain(letters(html.unescape(text)))
    for pattern in (TAG, EMAIL, URL, FILE):
        text = pattern.sub(" ", text)
    text = DOTTED.sub(_without_domain, text)
    for pattern in (HANDLE, HASHTAG, CAMERA, BOILERPLATE):
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
    return text if text[-1] in ENDS or text[-2:] in ('."', '!"', '?"') else f"{text}."


def letters(text: str) -> str:
    """NFC, without what cannot be seen; other characters that are no letters or signs become spaces."""
    if text.isascii() and text.isprintable():
        return text
    text = JOINER.sub("", TAGGED.sub(r"\1", text))
    return "".join(map(_letter, unicodedata.normalize("NFC", "".join(_few_marks(text)))))


def _few_marks(text: str) -> Iterator[str]:
    marks = 0
    for letter in text:
        marks = marks + 1 if unicodedata.combining(letter) else 0
        if marks <= MOST_MARKS:
            yield letter


def _letter(letter: str) -> str:
    category = unicodedata.category(letter)
    if category == "Cf":
        return letter if letter in JOINERS or letter in SEEN or "\U000e0020" <= letter <= "\U000e007f" else ""
    return " " if category[0] in "CZ" else letter


def _without_domain(found: re.Match[str]) -> str:
    """What a dotted word leaves when all up to its last top-level domain is taken out, with the path after it."""
    labels, path = found[1].split("."), found[2] or ""
    for last in range(len(labels) - 1, 0, -1):
        name = labels[last].partition("-")[0].casefold()
        if name in DOMAINS or (last > 1 and name == "uk" and labels[last - 1].casefold() == "co"):
            rest = labels[last + 1 :]
            return f" .{'.'.join(rest)}{path}" if rest else " "
    return found[0]


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
