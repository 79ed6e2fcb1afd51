"""Distinct JPEGs of the sizes that pictures have on the web, cut from photographs that ship with installed packages.

Picture ``i`` is always the same: another crop, size, quality and kind of JPEG of one of the backgrounds of the sample
crawl. The qualities are such that the mean of 3,000 is about 67 kB.
"""

import random
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from humanvlm.data.atomic_io import atomic_file
from humanvlm.synthetic.sources import backgrounds, crop, random_crop

LONG_SIDES = (500, 600, 640, 720, 800, 800, 900, 1000, 1024, 1200)  # px
RATIOS = ((4, 3), (3, 2), (3, 2), (16, 9), (1, 1), (3, 4), (2, 3))  # width : height
QUALITIES = range(69, 91)
PROGRESSIVE_EVERY = 4


def build_pictures(folder: Path, count: int) -> list[Path]:
    """Files of pictures 0 to ``count`` - 1; those that are not in ``folder`` yet are made."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:05d}.jpg" for number in range(count)]
    missing = [path for path in paths if not path.exists()]
    if missing:
        with ProcessPoolExecutor() as pool:
            list(pool.map(write_picture, missing, chunksize=16))
    return paths


def write_picture(path: Path) -> None:
    """Write the picture whose number is the file's name; whole or not at all."""
    number = int(path.stem)
    rng = random.Random(number)
    key = list(backgrounds())[number % len(backgrounds())]
    long, ratio = rng.choice(LONG_SIDES), rng.choice(RATIOS)
    size = (round(long * ratio[0] / max(ratio)), round(long * ratio[1] / max(ratio)))
    picture = crop(key, random_crop(key, size, rng), size, mirrored=rng.random() < 0.5)
    with atomic_file(path, durable=False) as work:
        picture.save(work, "JPEG", quality=rng.choice(QUALITIES), progressive=number % PROGRESSIVE_EVERY == 0)


def describe_sizes(sizes: Sequence[int]) -> str:
    """One line: how many files, their mean and quantiles in kB (1000 bytes)."""
    ordered = sorted(sizes)
    quantiles = {part: ordered[round((len(ordered) - 1) * part / 100)] / 1000 for part in (0, 10, 50, 90, 100)}
    spread = ", ".join(f"p{part} {value:.0f}" for part, value in quantiles.items())
    return f"{len(sizes)} JPEGs, mean {sum(sizes) / len(sizes) / 1000:.1f} kB ({spread})"
