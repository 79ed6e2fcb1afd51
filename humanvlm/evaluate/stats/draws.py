"""What resampling and exchanging draw: rows of weights, an image a column, in blocks of bounded memory."""

from collections.abc import Callable, Iterator
from functools import lru_cache

import numpy as np

from humanvlm.evaluate.stats.scored import Array

Draw = Callable[[np.random.Generator, int, int], Array]
CELLS = 4_000_000  # numbers of one block: 32 MB
KEPT_CELLS = 1_000_000  # draws up to this size are kept for the next call
BLOCKS = 200  # left out in turn, where metrics are no function of a sum


def draws(draw: Draw, columns: int, rows: int, seed: int) -> Iterator[Array]:
    """Blocks of drawn rows; what is drawn depends on the numbers of rows and columns, and the seed, alone."""
    if rows * columns <= KEPT_CELLS:
        yield _kept(draw, columns, rows, seed)
        return
    step, generator = max(1, CELLS // columns), np.random.default_rng(seed)
    for start in range(0, rows, step):
        yield draw(generator, min(step, rows - start), columns)


@lru_cache(maxsize=8)
def _kept(draw: Draw, columns: int, rows: int, seed: int) -> Array:
    drawn = draw(np.random.default_rng(seed), rows, columns)
    drawn.flags.writeable = False
    return drawn


def resample(generator: np.random.Generator, rows: int, columns: int) -> Array:
    """How often each of ``columns`` images is drawn when as many are, with replacement."""
    chosen = generator.integers(columns, size=(rows, columns)) + columns * np.arange(rows)[:, None]
    return np.bincount(chosen.ravel(), minlength=rows * columns).reshape(rows, columns).astype(np.float64)


def coins(generator: np.random.Generator, rows: int, columns: int) -> Array:
    """Whether each of ``columns`` images is exchanged: 0 or 1."""
    return generator.integers(2, size=(rows, columns), dtype=np.int8).astype(np.float64)


def every_exchange(images: int) -> Array:
    """All ways to exchange: (2 ** images, images), 0 or 1."""
    exchanged: Array = (np.arange(2**images)[:, None] >> np.arange(images) & 1).astype(np.float64)
    return exchanged


def blocks_left_out(images: int) -> Array:
    """Weights that leave out each image, or of many images each of ``BLOCKS`` random blocks."""
    blocks = min(images, BLOCKS)
    block = np.random.default_rng(0).permutation(images) % blocks
    kept: Array = (block[None, :] != np.arange(blocks)[:, None]).astype(np.float64)
    return kept
