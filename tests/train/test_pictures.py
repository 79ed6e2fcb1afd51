"""Reading pictures at random."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from humanvlm.data.shards import list_shards
from humanvlm.errors import UserError
from humanvlm.train.pictures import Pictures
from humanvlm.train.samples import Captions, LeftOut, Picture

COLOURS = ("red", "green", "blue", "white", "black", "yellow")


def test_pictures_come_from_their_own_row(artifacts: Path) -> None:
    pictures = Pictures(row_groups=1)
    shards = list_shards(artifacts / "human_caption")
    offers = [offer for shard in shards for offer in Captions(shard, "", 20, "short").read()]
    samples = [sample for offer in offers if not isinstance(offer, LeftOut) for sample in offer]
    for sample in (samples[-1], samples[0], samples[30]):
        number = COLOURS.index(sample.turns[0][1].split()[4])
        assert abs(np.asarray(pictures.read(sample.pictures[0])).mean() - (30 + 30 * number)) < 3


def test_a_broken_picture_is_named(artifacts: Path) -> None:
    with pytest.raises(UserError, match=r"broken\.jpg: not a readable picture"):
        Pictures().read(Picture(str(artifacts / "data" / "broken.jpg")))
    with pytest.raises(UserError, match=r"gone\.jpg: No such file"):
        Pictures().read(Picture(str(artifacts / "data" / "gone.jpg")))
    assert isinstance(Pictures().read(Picture(str(artifacts / "data" / "1.jpg"))), Image.Image)


def test_large_pictures_are_decoded_as_fine_as_the_tower_needs(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    small = Image.fromarray(random.integers(0, 255, (20, 30, 3), dtype=np.uint8))
    sizes = {"large": (900, 600), "narrow": (900, 130), "narrower": (900, 120), "small": (120, 180)}
    read = {"large": (113, 75), "narrow": (450, 65)}  # an eighth, a half
    for name, size in sizes.items():
        small.resize(size, Image.Resampling.BICUBIC).save(tmp_path / f"{name}.jpg", quality=95)
        whole = Pictures().read(Picture(str(tmp_path / f"{name}.jpg")))
        fine = Pictures({"height": 32, "width": 32}).read(Picture(str(tmp_path / f"{name}.jpg")))
        assert whole.size == size
        assert min(fine.size) >= 64
        assert fine.size == read.get(name, size)
        one, other = (np.asarray(picture.resize((32, 32), 2), float) for picture in (whole, fine))
        assert 10 * np.log10(255**2 / max(((one - other) ** 2).mean(), 1e-9)) > 30  # of photographs: 44 at least
