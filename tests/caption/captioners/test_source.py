"""Cleaning of the index's own texts."""

import json
import subprocess
import sys
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from humanvlm.caption.captioners.base import Style, Subject
from humanvlm.caption.captioners.source import SourceCaptioner, clean_text, drop_reason, first_sentences, source_texts
from humanvlm.caption.template.captioner import TemplateCaptioner
from humanvlm.caption.template.english import word_count
from humanvlm.data.facts import Facts

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
SCOTLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f"
CASES = {
    "a man &amp; a dog": "A man & a dog.",
    "Woman in red http://shop.example/x?y=1 smiling": "Woman in red smiling.",
    "<b>Two</b> men<br/>on a bench!": "Two men on a bench!",
    "Mail me: someone@example.org or @handle, thanks": "Mail me: or, thanks.",
    "IMG_2034.JPG": "",
    "DSC01234 a girl on a swing": "A girl on a swing.",
    "portrait of an old man | stock photo": "Portrait of an old man.",
    "A   man \n\t rides\u00a0a horse ,fast .": "A man rides a horse, fast.",
    "MAN IN A HAT": "Man in a hat.",
    "Cafe\u0301 owner #smiling": "Caf\u00e9 owner smiling.",
    "www.photos.example/a/b.html": "",
    "12345 --- !!!": "",
    "Is she happy?": "Is she happy?",
    "&lt;p&gt;A boy&lt;/p&gt;": "A boy.",
    "A boy \u200b\u202e reads": "A boy reads.",
    "Royalty-free image of a nurse": "Of a nurse.",
    "Wonder\u00adful photo\u00adgraphy of a wo\u200bman": "Wonderful photography of a woman.",
    "\ufeffa \u200fman\u200e on a \u200cbench\u200d": "A man on a bench.",
    f"family {FAMILY} at sea": f"Family {FAMILY} at sea.",
    f"flag {SCOTLAND} here": f"Flag {SCOTLAND} here.",
    "hidden \U000e0068\U000e0069words": "Hidden words.",
    "زن می\u200cخندد": "زن می\u200cخندد.",
    "女性が笑っている。": "女性が笑っている。",
    "aged 3 < x and y > 5": "Aged 3 x and y 5.",
    "a shop.example.com/x/y.z b": "A b.",
    "Visit news.co.uk or a.com.au today": "Visit or.au today.",
    "my (1).jpg and a.b.photo.png": "My and a.b.",
}


@pytest.mark.parametrize(("text", "cleaned"), CASES.items())
def test_cleaning(text: str, cleaned: str) -> None:
    assert clean_text(text) == cleaned


# Captions that a pattern which looks twice at a letter takes many seconds for.
HOSTILE = [
    "a" * 20_000, "a." * 10_000, "a-" * 10_000, "(" * 20_000, "a@" * 10_000, "a@b." * 5_000, "<" * 20_000,
    "&" + "amp;" * 5_000,
    "<a" * 5_000 + ">" * 5_000, "stock " * 1_700 + "photo " * 1_700, "a" + "\u0315\u0300" * 10_000,
    "\u00e9\u200c" * 10_000, "a.com." * 3_400, "a.com/" * 3_400, "a.jpg." * 3_400, "IMG_" + "1" * 19_990,
    " ,;." * 5_000,
    "A. " * 6_700, "1. " * 6_700, "\U0001f3f4" + "\U000e0061" * 20_000, "&#1" * 6_700, " " * 20_000 + "a",
]  # fmt: skip


def test_hostile_texts_take_linear_time() -> None:
    code = (
        "import json, resource, sys; resource.setrlimit(resource.RLIMIT_CPU, (20, 20))\n"
        "from humanvlm.caption.captioners.source import clean_text, distinct, first_sentences, sentences\n"
        "for text in json.load(sys.stdin):\n"
        "    cleaned = clean_text(text)\n"
        "    distinct(sentences(cleaned)), first_sentences(cleaned, 70)\n"
    )
    subprocess.run([sys.executable, "-c", code], input=json.dumps(HOSTILE), text=True, check=True)  # a kill is an error


fragments = st.sampled_from(
    [
        *CASES,
        "A man.",
        " ",
        "&amp;",
        "&amp;lt;",
        "<",
        ">",
        "@",
        "#",
        "http://",
        ".jpg",
        "stock",
        "photo",
        "|",
        ".",
        ",",
        "'",
    ]
)


@settings(max_examples=300)
@given(st.lists(fragments | st.text(max_size=12), max_size=8).map("".join))
def test_cleaning_is_idempotent_and_tidy(text: str) -> None:
    cleaned = clean_text(text)
    assert clean_text(cleaned) == cleaned
    assert unicodedata.is_normalized("NFC", cleaned)
    assert "  " not in cleaned
    assert cleaned == cleaned.strip()
    if cleaned:
        assert any(letter.isalpha() for letter in cleaned)
        assert "http://" not in cleaned


@given(st.lists(st.sampled_from(["A man sits.", "Two dogs run fast!", "Who is that?"]), max_size=6), st.integers(1, 12))
def test_limits_cut_between_sentences(parts: list[str], most: int) -> None:
    text = first_sentences(" ".join(parts), most)
    assert word_count(text) <= most
    if parts and word_count(parts[0]) <= most:
        assert text.endswith((".", "!", "?"))


def test_first_caption_is_short_and_distinct_sentences_are_detailed() -> None:
    row = {"captions": ["a man sits.", "A MAN sits", "Two dogs run. A man sits!"], "text": "unused"}
    texts = source_texts(row)
    assert texts == ("A man sits.", "Two dogs run. A man sits!")
    limits: dict[Style, int] = {"short": 70, "detailed": 300, "fused": 500}
    template = TemplateCaptioner(7, 0.6, limits)
    subject = Subject("1", Facts(9, 9, 1, (), "even", "medium", False), texts)
    draft = SourceCaptioner(template, limits).write([subject], ("short", "detailed", "fused"))[0]
    assert draft.texts["short"] == "A man sits."
    assert draft.texts["detailed"] == "A man sits. Two dogs run."
    assert draft.texts["fused"].startswith("A man sits. Two dogs run. ")


def test_text_is_used_when_captions_say_nothing() -> None:
    assert source_texts({"captions": ["IMG_1.jpg", ""], "text": "a girl reads"}) == ("A girl reads.",)


@pytest.mark.parametrize(
    ("captions", "text", "reason"),
    [
        (None, None, "no_text"),
        ([], ".jpg", "no_text"),
        (["Dog."], None, "text_too_short"),
        (["A dog runs."], None, None),
    ],
)
def test_reasons(captions: list[str] | None, text: str | None, reason: str | None) -> None:
    drop = drop_reason(source_texts({"captions": captions, "text": text}), 3)
    assert (drop and drop[0]) == reason
