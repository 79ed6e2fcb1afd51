"""What is trained on: which rows, which are left out and why, and reading their pictures."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from humanvlm.errors import UserError
from humanvlm.train.samples import (
    Pictures,
    Sample,
    caption_samples,
    conversation_samples,
    hq_samples,
    instruction_samples,
)


def test_captions_of_the_training_split(artifacts: Path) -> None:
    short = caption_samples(artifacts / "human_caption", "short")
    assert (len(short.kept), short.dropped) == (53, {"held_out": 6, "no_caption": 1})
    every = caption_samples(artifacts / "human_caption", "all")
    assert (len(every.kept), every.dropped) == (108, {"held_out": 6})
    assert every.kept[0].turns[0][1] == "a man in green"
    assert len(hq_samples(artifacts / "human_caption_hq").kept) == 54
    assert hq_samples(artifacts / "data").kept == ()


def test_conversations_of_the_training_split_without_their_captions(artifacts: Path) -> None:
    found = conversation_samples(artifacts / "human_caption_hq")
    assert (len(found.kept), found.dropped) == (53, {"held_out": 6, "no_questions": 1})
    assert found.kept[0].turns == (("What color is the coat?", "green"), ("Is he smiling?", "yes"))
    assert not conversation_samples(artifacts / "data").kept


def test_instructions_that_cannot_be_used_are_counted(artifacts: Path) -> None:
    found = instruction_samples(artifacts / "data", artifacts / "human_caption")
    assert [Path(sample.path).name for sample in found.kept] == ["1.jpg", "2.jpg", "2.jpg"]
    assert found.kept[0].turns == (("Is he smiling?", "yes"),)
    assert found.dropped == {"held_out": 1, "bad_picture": 2, "bad_row": 3}
    assert instruction_samples(artifacts / "human_caption", artifacts / "human_caption").kept == ()


def test_pictures_come_from_their_own_row(artifacts: Path) -> None:
    pictures = Pictures(row_groups=1)
    samples = caption_samples(artifacts / "human_caption", "short").kept
    for sample in (samples[-1], samples[0], samples[30]):
        number = ("red", "green", "blue", "white", "black", "yellow").index(sample.turns[0][1].split()[4])
        assert abs(np.asarray(pictures.read(sample)).mean() - (30 + 30 * number)) < 3


def test_a_broken_picture_is_named(artifacts: Path) -> None:
    with pytest.raises(UserError, match=r"broken\.jpg"):
        Pictures().read(Sample(str(artifacts / "data" / "broken.jpg"), -1, (("a", "b"),)))
    picture = Pictures().read(Sample(str(artifacts / "data" / "1.jpg"), -1, (("a", "b"),)))
    assert isinstance(picture, Image.Image)
