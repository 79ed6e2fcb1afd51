"""Texts that name minors, adults, and what is unsafe beside a minor."""

import pytest

from humanvlm.curate.minors import adult_named, minor_named, unsafe_named


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("A Girl at the pool", "Girl"),
        ("two kids, one dog", "kids"),
        ("a 12-year-old skater", "12-year-old"),
        ("Twelve year old wins", "Twelve year old"),
        ("Anna, aged 9", "aged 9"),
        ("model, 17yo", "17yo"),
        ("ein Mädchen am See", "Mädchen"),
        ("水着の少女", "少女"),
        ("14歳の写真", "14歳"),
        ("a 35-year-old man with his girlfriend", ""),
        ("aged 40, a cowgirl", ""),
        ("kindness of a boyish babysitter", ""),
        ("", ""),
    ],
)
def test_minors_are_named(text: str, named: str) -> None:
    assert minor_named(["A street.", text]) == named


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("Two BIKINIS", "BIKINIS"),
        ("in a swim suit", "swim suit"),
        ("水着の女性", "水着"),
        ("a brass band, a branch", ""),
    ],
)
def test_what_is_unsafe_is_named(text: str, named: str) -> None:
    assert unsafe_named([text]) == named


def test_adults_are_named() -> None:
    assert adult_named(["a dog", "two women talk"])
    assert not adult_named(["a womanly shape", "people"])


def test_long_texts_are_read_once() -> None:
    text = "swim " * 100_000 + "12 years " * 50_000
    assert (minor_named([text]), unsafe_named([text])) == ("", "")
