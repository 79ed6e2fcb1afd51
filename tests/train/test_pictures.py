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
