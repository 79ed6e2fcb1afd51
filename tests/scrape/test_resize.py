"""Cutting and padding of pixels."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from humanvlm.scrape.resize import fit, resample

sides = st.integers(1, 40)


@given(st.tuples(sides, sides), st.tuples(sides, sides), st.sampled_from([1, 3, 4]))
def test_the_centre_is_kept_and_the_rest_is_white(
    size: tuple[int, int], canvas: tuple[int, int], channels: int
) -> None:
    pixels = np.random.default_rng(3).integers(0, 250, (size[1], size[0], channels), np.uint8)
    result = fit(pixels, canvas)
    assert result.shape == (canvas[1], canvas[0], channels)
    wanted = Image.new("L", canvas, "white")
    wanted.paste(Image.fromarray(pixels[:, :, 0]), ((canvas[0] - size[0]) // 2, (canvas[1] - size[1]) // 2))
    assert (result[:, :, 0] == np.asarray(wanted)).all()


@given(st.tuples(sides, sides), st.tuples(sides, sides), st.sampled_from([1, 3, 4]))
def test_an_even_picture_stays_even(size: tuple[int, int], wanted: tuple[int, int], channels: int) -> None:
    result = resample(np.full((size[1], size[0], channels), 77, np.uint8), wanted)
    assert result.shape == (wanted[1], wanted[0], channels)
    assert (result == 77).all()
