"""A reply's tokens as words: whatever the pieces, together they are the reply."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from humanvlm.serve.words import Words, silent_tokens

TEXTS = st.text(alphabet="ab \n\té漢🙂", max_size=30)


@pytest.fixture(scope="module")
def tokenizer(tiny_models: dict[str, str]) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_models["language_model"])


def said(tokenizer: Any, text: str, stops: tuple[str, ...] = ()) -> tuple[list[str], bool]:
    """The pieces of a text, a token at a time, as far as they are asked for."""
    words = Words(tokenizer, silent_tokens(tokenizer), stops)
    pieces = []
    for token in tokenizer.encode(text, add_special_tokens=False):
        pieces.append(words.add(token))
        if words.stopped:
            break
    return [*pieces, words.end()], words.stopped


@given(text=TEXTS)
def test_the_pieces_are_the_trimmed_text(tokenizer: Any, text: str) -> None:
    pieces, stopped = said(tokenizer, text)
    assert ("".join(pieces), stopped) == (text.strip(), False)
    assert not any("\ufffd" in piece for piece in pieces)


@given(text=TEXTS, stop=st.text(alphabet="ab \n", min_size=1, max_size=3), never=st.text("c", min_size=1, max_size=3))
def test_nothing_is_said_from_a_stop_text_on(tokenizer: Any, text: str, stop: str, never: str) -> None:
    pieces, stopped = said(tokenizer, text, (never, stop))
    assert stopped == (stop in text)
    assert "".join(pieces) == text.partition(stop)[0].strip()


def test_special_tokens_are_no_words_but_a_thoughts(tokenizer: Any) -> None:
    tokenizer.add_special_tokens({"additional_special_tokens": ["<think>", "<image>"]})
    pieces, _ = said(tokenizer, "a<|im_end|>b<image><think>c")
    assert "".join(pieces) == "ab<think>c"


def test_half_a_character_at_the_end_is_told(tokenizer: Any) -> None:
    words = Words(tokenizer)
    tokens = tokenizer.encode("é漢", add_special_tokens=False)
    pieces = [words.add(token) for token in tokens[:-1]]
    assert "".join([*pieces, words.end()]).startswith("é\ufffd")
