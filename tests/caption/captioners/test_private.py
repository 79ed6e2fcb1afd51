"""Names and ways to reach people are taken out of texts; ordinary captions stay to the letter."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from humanvlm.caption.captioners.private import redact, redact_row


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("Brad Pitt and Angelina Jolie at the premiere", "A person and a person at the premiere"),
        ("Emma smiles at the camera.", "A person smiles at the camera."),
        ("A man named Max Müller reads.", "A man reads."),
        ("a dog named Buddy on a beach", "a dog on a beach"),
        ("Mr Smith and Dr. Jane Doe shake hands.", "A person and a person shake hands."),
        ("The young Emma Watson waves", "The young person waves"),
        ("michael jackson dances", "A person dances"),
        ("Ludwig van Beethoven's portrait", "A person's portrait"),
        ("Jessica Alba Attends The Premiere Of A Film", "A person Attends The Premiere Of A Film"),
        ("Tom Hanks", "A person"),
        ("Angela&nbsp;Merkel speaks", "A person speaks"),
        ("Em\u200bma smiles at <b>Liam</b>.", "A person smiles at a person ."),
        ("A dancer, photo by Annie Leibovitz", "A dancer,"),
        ("Mail joe@x.org or follow @jane_doe now", "Mail or follow now"),
        ("My phone is 07700 900123", "My phone is"),
        ("Reach us: +49 30 901820 today", "Reach us: today"),
        ("(212) 555-0100", ""),
        ("Call 555-123-4567", ""),
        ("Party at 221B Baker Street, London NW1 6XE tonight", "Party at tonight"),
        ("Hauptstraße 12, Berlin", ", Berlin"),
        ("Seen at 12 rue de la Paix", "Seen at"),
    ],
)
def test_what_names_or_reaches_a_person_goes(text: str, redacted: str) -> None:
    found, counts = redact(text)
    assert found == redacted
    assert counts.total()


@pytest.mark.parametrize(
    "text",
    [
        "A woman in a rose dress on May 5",
        "The Golden Gate Bridge in San Francisco",
        "New York City, Central Park in April",
        "A Big Ben clock tower in London",
        "Victoria Station, St. Paul's Cathedral",
        "A man in Calvin Klein jeans",
        "2 Men on Main Street",
        "1920x1080 wallpaper 2015-2016",
        "Summer dress, size 10-12, $19.99",
        "3 people cross the street",
        "Lake Victoria at dawn",
        "A German shepherd and a French bulldog",
        "ISBN 978-3-16-148410-0",
        "An Elvis impersonator in Madison Square Garden",
        "Woman Walking Dog In Park",
        "a jean jacket, a teddy bear and a  <b>jack</b>",
        "score 21-14, 3-2 win &amp; more",
    ],
)
def test_ordinary_captions_stay_to_the_letter(text: str) -> None:
    assert redact(text) == (text, {})


def test_a_row_and_what_is_counted() -> None:
    row = {"id": "a", "text": "Emma waves", "captions": ["Emma waves", "a dog", "Liam at 0171 234 5678"]}
    redacted, counts = redact_row(row)
    assert redacted == {"id": "a", "text": "A person waves", "captions": ["A person waves", "a dog", "A person at"]}
    assert counts == {"name": 2, "phone": 1}
    assert redact_row({"id": "a", "text": None, "captions": None})[0] == {"id": "a", "text": None, "captions": None}


@given(st.text(st.sampled_from("Emma Smith-.@+0123 (),<b>'é\n")))
def test_any_text_is_redacted(text: str) -> None:
    found, counts = redact(text)
    assert counts or found == text
    assert "Emma Smith" not in found


@pytest.mark.parametrize(
    "piece", ["Emma ", "a@", "0", "1 Aa ", "by ", "photo by A ", "(", "+1 ", "Rue a ", "van ", "<b"]
)
def test_long_texts_are_read_in_one_pass(piece: str) -> None:
    redact(piece * (20_000 // len(piece)))
