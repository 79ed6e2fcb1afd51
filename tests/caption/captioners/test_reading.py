"""The caption in a reply."""

import pytest

from humanvlm.caption.captioners.reading import caption_in
from humanvlm.inference.base import Reply


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("A man.", "A man."),
        ('{"caption": "A man."}', "A man."),
        ('```json\n{"caption": "A man."}\n```', "A man."),
        ('{"caption": "A man says \\"hi\\"."', 'A man says "hi".'),
        ('{"caption": "A man.", "extra": "no",', "A man."),
        ("{'caption': 'A man.'}", "A man."),
        ('{"caption": "A\nman."}', "A man."),
        ('[{"caption": "A man."}]', "A man."),
        ("<think>hm</think>A man.", "A man."),
        ('"A man."', "A man."),
    ],
)
def test_it_is_taken_out_of_what_is_around_it(raw: str, text: str) -> None:
    assert caption_in(Reply("k", raw)) == (text, "")


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply("k", ""), "empty_reply"),
        (Reply("k", '{"caption": "7"}'), "too_short"),
        (Reply("k", "", refusal="no"), "refusal"),
        (Reply("k", "A man", finish="content_filter"), "filtered"),
        (Reply("k", "<think>A man"), "unfinished_thought"),
        (Reply("k", '{"text": "A man."}'), "broken_json"),
        (Reply("k", "{A man"), "broken_json"),
        (Reply("k", "A man who", finish="length"), "cut"),
    ],
)
def test_or_there_is_a_reason_why_there_is_none(reply: Reply, reason: str) -> None:
    assert caption_in(reply) == ("", reason)


def test_of_what_was_cut_the_whole_sentences_stand() -> None:
    assert caption_in(Reply("k", "A man. He is tal", finish="length")) == ("A man.", "")
