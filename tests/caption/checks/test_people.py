"""Names of persons and statements that no picture shows are found; places, makes and things are not."""

from pathlib import Path

import pytest
import yaml

from humanvlm.caption.checks.people import name_cuts, sensitive_cuts
from humanvlm.caption.checks.tokens import sentence_spans, tokens

LISTS = yaml.safe_load(Path(__file__).with_name("people.yaml").read_text(encoding="utf-8"))


def named(text: str) -> bool:
    return any(True for _ in name_cuts(tokens(text), sentence_spans(text)))


def stated(text: str) -> bool:
    return any(True for _ in sensitive_cuts(text, tokens(text), sentence_spans(text)))


@pytest.mark.parametrize("text", LISTS["names"])
def test_a_name_is_found(text: str) -> None:
    assert named(text)


@pytest.mark.parametrize("text", LISTS["no names"])
def test_what_names_nobody_is_left(text: str) -> None:
    assert not named(text)


@pytest.mark.parametrize("text", LISTS["statements"])
def test_a_statement_is_found(text: str) -> None:
    assert stated(text)


@pytest.mark.parametrize("text", LISTS["no statements"])
def test_what_states_nothing_of_anybody_is_left(text: str) -> None:
    assert not stated(text)
