"""Addresses, hashes and texts, in whatever form a cell has them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from humanvlm.index.cells import MOST_PARSED, MOST_TEXTS, NO_TEXT, address, hash_of, texts_of

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=30).filter(
    lambda text: text.strip().lower() not in NO_TEXT and not text.lstrip().startswith(("[", "(", "{", "array"))
)


def numpy_prints(texts: list[str]) -> str:
    return "[" + "\n ".join(map(repr, texts)) + "]"


@given(texts=st.lists(TEXT, min_size=1, max_size=5))
def test_lists_in_a_cell_of_text(texts: list[str]) -> None:
    expected = [text.strip() for text in texts]
    forms = (
        texts,
        json.dumps(texts),
        repr(texts),
        numpy_prints(texts),
        f"array({texts!r}, dtype=object)",
        repr(tuple(texts)),
    )
    for form in forms:
        assert texts_of(form) == expected


TURNS = [{"from": "human", "value": "describe"}, {"from": "gpt", "value": "a woman"}]
ROLES = [
    {"role": "system", "content": "you see"},
    {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "describe"}]},
    {"role": "assistant", "content": [{"type": "text", "text": "a woman"}]},
]


@pytest.mark.parametrize(
    ("cell", "texts"),
    [
        ({"caption": "a dog", "score": 0.5}, ["a dog"]),
        ({"en": "a dog", "pt-br": "um cão"}, ["a dog", "um cão"]),
        ({"width": 3, "said": "a dog"}, ["a dog"]),
        ({"author": "somebody", "said": "a dog"}, []),
        ([{"text": "a dog"}, {"text": "a cat"}], ["a dog", "a cat"]),
        ('{"text": ["a dog", "a cat"]}', ["a dog", "a cat"]),
        (TURNS, ["a woman"]),
        (ROLES, ["a woman"]),
        (json.dumps(ROLES), ["a woman"]),
        (repr(TURNS), ["a woman"]),
        (f"[{TURNS[0]!r}\n {TURNS[1]!r}]", ["a woman"]),
        (TURNS[:1], []),
        ("['a', None, nan]", ["a"]),
        ("[nan 'a']", ["a"]),
        ("[]", []),
        ("nan", []),
        (None, []),
        (3, []),
    ],
)
def test_structs_chats_and_missing_values(cell: object, texts: list[str]) -> None:
    assert texts_of(cell) == texts


@pytest.mark.parametrize(
    "text",
    ["[not a list", "['tis the season]", "['a' + 'b']", '("Mona Lisa")', "{'a', 'b'}", "[1, 2]", "{not: 'json'}",
     '{"a": 1}', "[" * 100_000,
     "['" + "\\'" * 50_000, "[" + "'a'," * MOST_PARSED, "array(" * 20_000, "['a'" + ")" * 50_000],
)  # fmt: skip
def test_what_prints_no_list_stays_a_text(text: str) -> None:
    assert texts_of(text) == [text]


def test_texts_of_one_cell_are_bounded() -> None:
    assert len(texts_of(["a"] * (MOST_TEXTS + 1))) == MOST_TEXTS
    nested: object = "a"
    for _ in range(20):
        nested = [nested]
    assert texts_of(nested) == []


@pytest.mark.parametrize(
    ("cell", "url", "reason"),
    [
        ("http://a.example/a b?c#d", "http://a.example/a b?c#d", ""),
        ("//a.example/1", "https://a.example/1", ""),
        ("a#1?.jpg", "http://h.example/x/a%231%3F.jpg", ""),
        ("100% man.jpg", "http://h.example/x/100%25%20man.jpg", ""),
        (".\\sub\\a.jpg", "http://h.example/x/sub/a.jpg", ""),
        ("a#1.JPG#3", "http://h.example/x/a%231.JPG", ""),
        ("C:\\a.jpg", "", "not_http"),
        ("NaN", "", "unknown_url"),
        (" ", "", "missing_url"),
        (None, "", "missing_url"),
        (7, "", "not_a_string"),
    ],
)
def test_addresses(cell: object, url: str, reason: str) -> None:
    assert address(cell, "http://h.example/x/") == (url, reason)
    if url.startswith("http://h.example"):
        assert address(cell, None) == ("", "relative_url")


def test_hashes() -> None:
    assert hash_of("sha256:" + "AB" * 32, "sha256") == ("ab" * 32, "")
    assert hash_of("ab" * 32, "md5") == (None, "not_md5")
    assert hash_of(None, "md5") == hash_of("nan", "md5") == (None, "")
