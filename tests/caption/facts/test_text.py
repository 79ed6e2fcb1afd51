"""Legible text: what is read, and what of it may be quoted."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont

from humanvlm.caption.facts import text
from humanvlm.caption.facts.attributes import Picture


def sign(*lines: str, size: tuple[int, int] = (480, 360), height: int = 48) -> Picture:
    """Lines of text, dark on a light board, in a green picture."""
    picture = Image.new("RGB", size, (60, 120, 70))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((40, 60, size[0] - 40, 90 + len(lines) * (height + 20)), fill=(235, 235, 225))
    for number, line in enumerate(lines):
        draw.text((60, 75 + number * (height + 20)), line, fill=(20, 20, 30), font=ImageFont.load_default(height))
    return np.asarray(picture)


def words(rgb: Picture) -> list[str]:
    return [guess.value for guess in text.legible(rgb)]


def test_a_sign_is_read_as_it_is_written() -> None:
    found = text.legible(sign("Garden Cafe", "OPEN"))
    assert {guess.value for guess in found} == {"Garden", "Cafe", "OPEN"}
    assert all(guess.probability >= 0.8 and guess.source == text.READER for guess in found)


def test_a_slanted_sign_is_read() -> None:
    board = Image.fromarray(sign("HARBOUR STREET", size=(520, 200)))
    assert words(np.asarray(board.rotate(12, expand=True, fillcolor=(60, 120, 70)))) == ["HARBOUR", "STREET"]


def test_a_picture_without_text_costs_a_glance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "_boxes", lambda rgb: pytest.fail("looked"))
    gradient = np.linspace(0, 255, 360 * 480 * 3).reshape(360, 480, 3).astype(np.uint8)
    for rgb in (gradient, np.full((360, 480, 3), 127, dtype=np.uint8), np.zeros((1, 1, 3), dtype=np.uint8)):
        assert text.legible(rgb) == ()


def test_what_is_as_high_as_long_is_no_text_at_a_glance(monkeypatch: pytest.MonkeyPatch) -> None:
    found = np.zeros((160, 160), dtype=np.float32)
    monkeypatch.setattr(text, "_text_map", lambda rgb, side: found)
    found[20:60, 20:60] = 1
    assert not text.glance(np.zeros((160, 160, 3), dtype=np.uint8))
    found[100:110, 20:60] = 1
    assert text.glance(np.zeros((160, 160, 3), dtype=np.uint8))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("A&S SUPER", ["SUPER"]),
        ("No. 42 is ok", []),
        ("www.example.com", []),
        ("mail me@example.org", []),
        ("call 555 0134 now", []),
        ("visit shop.de today", []),
        ("pay\u202eload word", []),
        ("a" * 40, []),
        ("AREA² STATION", ["STATION"]),
        ("Crème brûlée", ["Crème", "brûlée"]),
    ],
)
def test_what_may_be_quoted(line: str, expected: list[str]) -> None:
    assert text._words(text.Line(line, 0.95)) == expected


def test_what_is_not_read_surely_is_not_quoted() -> None:
    assert text._words(text.Line("STATION", 0.79)) == []


@given(st.text(max_size=200))
def test_quoted_words_are_words(line: str) -> None:
    for word in text._words(text.Line(line, 0.9)):
        assert len(word) <= text.MOST_LETTERS
        assert sum(letter.isalpha() for letter in word) >= text.LEAST_LETTERS
        assert not any(letter.isdigit() or letter.isspace() for letter in word)


def test_at_most_six_words_none_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    read = [text.Line("one two TWO Three four five six seven eight", 0.9)]
    monkeypatch.setattr(text, "lines", lambda rgb: read)
    assert words(np.zeros((10, 10, 3), dtype=np.uint8)) == ["one", "two", "Three", "four", "five", "six"]
