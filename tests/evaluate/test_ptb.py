"""Tokens against those of the reference implementation, and on any text."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from humanvlm.evaluate.ptb import tokenize, tokenize_corpus

from .coco_captions import load_pairs


def test_the_reference_gives_the_same(shared: Path) -> None:
    pairs = load_pairs(shared)
    assert tokenize_corpus(pairs.candidates) == pairs.candidate_tokens
    texts = [text for group in pairs.references for text in group]
    assert len(texts) == 4003
    assert tokenize_corpus(texts) == [tokens for group in pairs.reference_tokens for tokens in group]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("A man's hat, isn't it?", "a man 's hat is n't it"),
        ("They've cannot gonna", "they 've can not gon na"),
        ("St. Patrick at 6:55 p.m.", "st. patrick at 6:55 p.m."),
        ("The dog -- a t-shirt (red)...", "the dog a t-shirt -lrb- red -rrb-"),
        ("“Quoted” words!", "quoted words"),
        ("it is in the U.S.", "it is in the u.s."),
        ("", ""),
        (" \n\t ", ""),
    ],
)
def test_tokenize(text: str, tokens: str) -> None:
    assert " ".join(tokenize(text)) == tokens


@given(st.text(max_size=200))
def test_any_text_tokenizes(text: str) -> None:
    assert all(token and not token.isspace() for token in tokenize(text))
