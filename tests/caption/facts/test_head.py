"""What heads are said to show: hats and glasses that are there, none that are not, nothing of what is too small."""

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest

from humanvlm.caption.facts import attributes
from humanvlm.caption.facts.crops import head_of
from humanvlm.caption.facts.head import Looks, looks_of
from humanvlm.data.facts import NONE, Guess
from humanvlm.inspect.plots import picture_of

Rows = dict[str, dict[str, Any]]


def looked_at(rgb: Any, points: Any, bearded: float = 0.0) -> Looks:
    head = head_of(rgb, points)
    assert head is not None
    labels = attributes.label_probabilities(np.ascontiguousarray(head.rgb[10:220, 28:228]))
    return looks_of(head, labels, bearded)


def said(guess: Guess | None) -> str | None:
    return guess.value if guess and guess.probability >= 0.6 else None


def test_a_bare_head_with_hair(rows: Rows) -> None:
    looks = looked_at(np.asarray(picture_of(rows["astronaut"])), rows["astronaut"]["faces"][0]["points"])
    assert said(looks.eyewear) == NONE
    assert said(looks.headwear) in (NONE, None)
    assert said(looks.hair) in ("brown", "blond", None)
    assert said(looks.hair_length) in ("short", None)
    assert (said(looks.facing), said(looks.head)) == ("camera", "upright")
    assert said(looks.mouth) != "closed"  # she shows her teeth
    assert looks.beard is None  # not of a man


def test_glasses_and_a_hat_that_hides_the_hair(rows: Rows) -> None:
    looks = looked_at(np.asarray(picture_of(rows["hopper"])), rows["hopper"]["faces"][0]["points"])
    assert said(looks.eyewear) == "glasses"
    assert looks.headwear is not None
    assert looks.headwear.value != NONE
    assert looks.headwear_colour is not None
    assert looks.headwear_colour.value in ("black", "dark blue")
    assert looks.hair is None
    assert said(looks.mouth) == "closed"


def test_a_beard_is_looked_for_on_men_only(rows: Rows) -> None:
    rgb, points = np.asarray(picture_of(rows["astronaut"])), rows["astronaut"]["faces"][0]["points"]
    beard = looked_at(rgb, points, bearded=0.9).beard
    assert beard is not None
    assert beard.value == NONE


@pytest.mark.parametrize(("degrees", "side"), [(-25, "tilted right"), (25, "tilted left")])
def test_a_tilted_head_leans_to_the_pictures_side(rows: Rows, degrees: float, side: str) -> None:
    rgb = np.asarray(picture_of(rows["astronaut"]))
    height, width = rgb.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)  # counter-clockwise when positive
    points = np.asarray(rows["astronaut"]["faces"][0]["points"]).reshape(-1, 2) @ turn[:, :2].T + turn[:, 2]
    assert said(looked_at(cv2.warpAffine(rgb, turn, (width, height)), points.reshape(-1)).head) == side


def test_what_is_too_small_is_not_told(rows: Rows) -> None:
    rgb, points = np.asarray(picture_of(rows["hopper"])), np.asarray(rows["hopper"]["faces"][0]["points"])
    for factor, told in ((0.12, True), (0.07, False)):
        small = cv2.resize(rgb, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        looks = looked_at(small, points * factor)
        assert looks.eyewear is None
        assert (looks.facing is not None) is told


def test_a_head_that_the_picture_cuts_off_has_neither_hair_nor_hat(rows: Rows) -> None:
    rgb, points = np.asarray(picture_of(rows["astronaut"])), np.asarray(rows["astronaut"]["faces"][0]["points"])
    cut = rgb[70:]
    looks = looked_at(cut, (points.reshape(-1, 2) - [0, 70]).reshape(-1))
    assert (looks.hair, looks.hair_length, looks.headwear) == (None, None, None)
    assert looks.eyewear is not None
    assert replace(looks, eyewear=None) != Looks()
