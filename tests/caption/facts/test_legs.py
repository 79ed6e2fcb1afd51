"""Trousers of a painted figure: long, on legs that are seen apart."""

from dataclasses import replace

import numpy as np
import pytest

from humanvlm.caption.facts.legs import trousers
from humanvlm.data.facts import Guess
from tests.caption.facts.test_garments import figure

LONG = Guess("long", 0.9)


def test_cloth_to_the_ankles_on_legs_apart_is_trousers() -> None:
    assert trousers(figure(), LONG) == Guess("trousers", 0.9, "geometry")


def test_a_skirt_closes_the_gap() -> None:
    body = figure()
    mask = body.mask.copy()
    mask[135:181, 105:150] = True
    assert trousers(replace(body, mask=mask), LONG) is None
    mask[160:170, 122:134] = False  # some of the way
    found = trousers(replace(body, mask=mask), LONG)
    assert found
    assert 0 < found.probability < 0.6


@pytest.mark.parametrize("length", [None, Guess("short", 0.9)])
def test_only_what_is_long_is_trousers(length: Guess | None) -> None:
    assert trousers(figure(), length) is None


def test_legs_that_are_not_seen_are_unknown() -> None:
    assert trousers(figure(unseen=(13,)), LONG) is None
    body = figure()
    assert trousers(replace(body, mask=np.zeros_like(body.mask)), LONG) is None
