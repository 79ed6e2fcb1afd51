"""Steps: the plan's samples, each once over all processes, with their pictures in order."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from humanvlm.train.batches import Pixels, Steps
from humanvlm.train.pack import NO_TARGET, POWERS, Pack, blind, make_pack
from humanvlm.train.plan import Plan
from humanvlm.train.samples import Picture

IMAGE = 999


class Texts:
    """Sample ``i`` is i + 1, some image tokens, then its labels 100 + i, two of them."""

    def __init__(self, pictures: Sequence[int]) -> None:
        self.counts = list(pictures)
        self.lengths = np.array([3 + 4 * count for count in pictures])
        self.labels = np.full(len(pictures), 2)

    def tokens(self, i: int) -> Any:
        return np.array([i + 1, *[IMAGE] * (4 * self.counts[i]), 100 + i, 100 + i], np.uint32)

    def spans(self, i: int) -> Any:
        return np.array([[self.lengths[i] - 2, self.lengths[i]]], np.uint32)

    def parts(self, i: int) -> tuple[int, ...]:
        return (int(self.lengths[i]),)

    def pictures(self, i: int) -> Any:
        return tuple((i, number) for number in range(self.counts[i]))


def look(pictures: Sequence[Any] | None) -> dict[str, torch.Tensor]:
    """Pixels that tell which picture they are."""
    return {"pixel_values": torch.tensor([[-1, -1]] if pictures is None else pictures)}


def steps(texts: Texts, rank: int, world: int, pack_tokens: int = 30, batch_size: int = 6) -> Steps:
    order = np.arange(len(texts.counts)) % len(texts.counts)
    return Steps(
        texts, Plan(order[: len(order) // batch_size * batch_size], batch_size, ""), rank, world, pack_tokens, look
    )


def samples_of(pack: Pack) -> list[int]:
    starts = pack.boundaries[:-1].tolist()
    return [int(pack.input_ids[0, start]) - 1 for start in starts]


@given(st.lists(st.integers(0, 2), min_size=6, max_size=24), st.sampled_from([1, 2, 4, 8]), st.integers(16, 60))
def test_every_sample_of_the_plan_is_computed_once(pictures: list[int], world: int, limit: int) -> None:
    texts = Texts(pictures)
    ranks = [steps(texts, rank, world, limit) for rank in range(world)]
    for number in range(len(ranks[0])):
        made = [rank[number] for rank in ranks]
        assert len({(len(step.packs), step.labels, step.tokens) for step in made}) == 1
        packs = [pack for step in made for pack in step.packs]
        learnt = Counter(target for pack in packs for target in pack.targets.tolist() if target != NO_TARGET)
        batch = ranks[0].plan.batch(number).tolist()
        assert learnt == Counter(100 + sample for sample in batch for _ in range(2))
        assert made[0].labels == made[0].weight == learnt.total()
        assert made[0].tokens == sum(int(texts.lengths[sample]) for sample in batch)
        for pack in packs:
            seen = [list(picture) for sample in samples_of(pack) if sample >= 0 for picture in texts.pictures(sample)]
            assert pack.pixel_values is not None
            assert pack.pixel_values.tolist() == (seen or [[-1, -1]])
            assert pack.dummy == (not seen)
            assert bool((pack.input_ids == IMAGE).any()) == bool(seen)
            assert len(pack.label_places) == len(pack.targets) > 0


def test_labels_are_predicted_by_the_token_before() -> None:
    pack = make_pack([([1, 2, 3], [[1, 3]]), ([4, 5], [[0, 2]])])
    row = pack.input_ids[0]
    assert torch.equal(row[pack.label_places + 1], pack.targets)
    assert pack.targets.tolist() == [2, 3, 5]
    assert pack.parts == ((3,), (2,))


def test_a_reply_weighs_all_its_tokens_their_root_or_one() -> None:
    texts = [([1, 2, 3, 4, 5, 6], [[1, 2], [2, 6]]), ([7, 8], [[1, 2]])]
    assert make_pack(texts).weights.tolist() == [1] * 6
    assert make_pack(texts, power=POWERS["square"]).weights.tolist() == [1, 0.5, 0.5, 0.5, 0.5, 1]
    assert make_pack(texts, power=POWERS["sample"]).weights.tolist() == [1, 0.25, 0.25, 0.25, 0.25, 1]


def test_a_pack_without_labels_counts_nothing() -> None:
    pack = blind(make_pack([([1, 2], [])]))
    assert pack.dummy
    assert pack.targets.tolist() == [NO_TARGET]
    assert pack.label_places.tolist() == [0]


def test_a_pack_moves_whole() -> None:
    pack = make_pack([([1, 2], [[1, 2]])], pixel_values=torch.zeros(1, 3, 2, 2)).to(torch.device("meta"))
    assert pack.parts == ((2,),)
    assert all(value.is_meta for value in vars(pack).values() if torch.is_tensor(value))


def test_pictures_become_what_the_tower_takes(tmp_path: Any) -> None:
    from transformers import SiglipImageProcessorPil

    Image.new("RGB", (50, 40), "white").save(tmp_path / "a.png")
    pixels = Pixels(SiglipImageProcessorPil(size={"height": 32, "width": 32}))
    assert pixels([Picture(str(tmp_path / "a.png"), -1)])["pixel_values"].shape == (1, 3, 32, 32)
    assert pixels(None)["pixel_values"].shape == (1, 3, 32, 32)
    with pytest.raises(Exception, match=r"b\.png"):
        pixels([Picture(str(tmp_path / "b.png"), -1)])
