"""Grass and starry skies, by colour and texture, and what looks a little like them."""

import numpy as np
import pytest

from humanvlm.caption.facts.attributes import Picture
from humanvlm.caption.facts.surface import grass, starry, surfaces

RNG = np.random.default_rng(5)
EVERYWHERE = np.ones((240, 320), dtype=bool)


def meadow() -> Picture:
    blades = RNG.integers(-45, 46, (240, 320, 1))
    return np.clip(np.array([80, 125, 50]) + blades, 0, 255).astype(np.uint8)


def night(stars: int, glow: bool = False) -> Picture:
    rgb = np.full((240, 320, 3), 12, dtype=np.uint8)
    for y, x in zip(RNG.integers(2, 238, stars), RNG.integers(2, 318, stars), strict=True):
        rgb[y - 1 : y + 2, x - 1 : x + 2] = 220
    if glow:
        rgb[80:200, 100:220] = 160
    return rgb


def test_rough_green_is_grass_and_smooth_green_is_none() -> None:
    assert grass(meadow(), EVERYWHERE) >= 0.9
    assert grass(np.full((240, 320, 3), (80, 125, 50), dtype=np.uint8), EVERYWHERE) == 0
    assert grass(meadow()[..., [2, 0, 1]], EVERYWHERE) == 0


def test_specks_everywhere_in_the_dark_are_stars() -> None:
    assert starry(night(400), EVERYWHERE) > 0.6
    for rgb in (night(0), night(6), night(400, glow=True), meadow(), 255 - night(400)):
        assert starry(rgb, EVERYWHERE) == 0


@pytest.mark.parametrize("shape", [(1, 1), (2, 300), (300, 2), (64, 64)])
def test_nothing_is_told_of_what_is_not_seen(shape: tuple[int, int]) -> None:
    assert surfaces(np.full((*shape, 3), 60, dtype=np.uint8), np.zeros(shape, dtype=bool)) == {}


def test_a_surface_is_a_phrase_with_a_probability() -> None:
    found = surfaces(meadow(), EVERYWHERE)
    assert list(found) == ["grass"]
    assert (found["grass"].value, found["grass"].source) == ("on grass", "colour")
