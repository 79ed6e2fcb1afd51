"""How many tokens a request is thought to have."""

from humanvlm.inference.base import Request
from humanvlm.inference.tokens import most_tokens, picture_tokens, scaled, text_tokens


def test_text_and_pictures_by_size() -> None:
    assert text_tokens("") == 0
    assert text_tokens("a" * 41) == 11
    assert picture_tokens(280, 281) == 10 * 11
    assert scaled(2000, 1000, 1000) == (1000, 500)
    assert scaled(2000, 1000, 0) == (2000, 1000)
    assert scaled(20, 4000, 1000) == (5, 1000)


def test_the_most_is_of_the_largest_picture_and_the_longest_reply() -> None:
    words = Request("k", None, "a" * 40, 8)
    assert most_tokens(words, 280) == 10 + 8
    assert most_tokens(Request("k", bytes, "a" * 40, 8), 280) == 10 + 100 + 8
    assert most_tokens(Request("k", bytes, "a" * 40, 8), 0) > 1000
