"""Grass, starry skies and brick walls, by colour and texture, and what looks a little like them."""

import cv2
import numpy as np
import pytest

from humanvlm.caption.facts.attributes import Picture
from humanvlm.caption.facts.colour import averaged, lab_of
from humanvlm.caption.facts.surface import BAKED, REDDER, bricks, grass, starry, surfaces

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


def wall(clay: tuple[int, int, int], joint: tuple[int, int, int], turn: float = 0, bond: bool = True) -> Picture:
    """Courses of bricks, every second one half a brick along, or unbroken planks."""
    rgb = np.full((400, 500, 3), clay, dtype=np.uint8)
    for course, y in enumerate(range(0, 400, 24)):
        rgb[y : y + 4] = joint
        for x in range(course % 2 * 32, 500, 64) if bond else ():
            rgb[y : y + 24, x : x + 4] = joint
    noisy = np.clip(rgb + RNG.normal(0, 4, rgb.shape), 0, 255).astype(np.uint8)
    turned = cv2.warpAffine(noisy, cv2.getRotationMatrix2D((250, 200), turn, 1), (500, 400))
    return np.asarray(turned[80:320, 90:410], dtype=np.uint8)


CLAY, LIGHT, DARK = (150, 75, 55), (205, 170, 155), (70, 40, 35)


@pytest.mark.parametrize("turn", [0, 12, 90])
@pytest.mark.parametrize("joint", [LIGHT, DARK])
def test_rectangles_of_clay_that_joints_part_are_a_brick_wall(joint: tuple[int, int, int], turn: float) -> None:
    assert bricks(wall(CLAY, joint, turn), EVERYWHERE) > 0.6
    behind = EVERYWHERE.copy()
    behind[80:, 100:220] = False  # somebody in front
    assert bricks(wall(CLAY, joint, turn), behind) > 0.6


def test_planks_plain_walls_and_other_colours_are_no_bricks() -> None:
    others = wall(CLAY, LIGHT, bond=False), wall(CLAY, CLAY), wall((60, 90, 150), (200, 200, 210)), meadow(), night(400)
    assert [bricks(rgb, EVERYWHERE) for rgb in others] == [0] * 5


def test_rough_green_is_grass_and_smooth_green_is_none() -> None:
    assert grass(meadow(), averaged(meadow()), EVERYWHERE) >= 0.9
    for rgb in (np.full((240, 320, 3), (80, 125, 50), dtype=np.uint8), meadow()[..., [2, 0, 1]]):
        assert grass(rgb, averaged(rgb), EVERYWHERE) == 0


def test_specks_everywhere_in_the_dark_are_stars() -> None:
    assert starry(night(400), EVERYWHERE) > 0.6
    for rgb in (night(0), night(6), night(400, glow=True), meadow(), 255 - night(400)):
        assert starry(rgb, EVERYWHERE) == 0


@pytest.mark.parametrize("shape", [(1, 1), (2, 300), (300, 2), (64, 64)])
def test_nothing_is_told_of_what_is_not_seen(shape: tuple[int, int]) -> None:
    rgb = np.full((*shape, 3), 60, dtype=np.uint8)
    assert surfaces(rgb, averaged(rgb), np.zeros(shape, dtype=bool)) == {}


def test_a_surface_is_a_phrase_with_a_probability() -> None:
    found = surfaces(meadow(), averaged(meadow()), EVERYWHERE)
    assert list(found) == ["grass"]
    assert (found["grass"].value, found["grass"].source) == ("on grass", "colour")


def test_whatever_has_the_colours_of_clay_is_redder_than_green_and_blue() -> None:
    levels = np.arange(0, 256, 3, dtype=np.uint8)
    rgb = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(1, -1, 3)
    _, a, b = np.moveaxis(lab_of(rgb), -1, 0)
    chroma, last, first = BAKED
    hue = np.degrees(np.arctan2(b, a))
    clay = rgb[(hue < last) & (hue > first) & (np.hypot(a, b) > chroma)].astype(int)
    assert len(clay) > 10_000
    assert (clay[:, 0] - clay[:, 1:].max(axis=1)).min() >= REDDER
