"""Features that are kept are what the tower gives, and are computed once."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from humanvlm.config.model import Model
from humanvlm.data.shards import list_shards
from humanvlm.model.build import build_llava
from humanvlm.train import features as module
from humanvlm.train.features import kept_features, tower_digest, tower_features, worth_keeping
from humanvlm.train.pictures import Pictures
from humanvlm.train.samples import Captions, Conversations
from humanvlm.train.store import Source, Store, build


@pytest.fixture(scope="module")
def store(artifacts: Path, tiny_models: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Store:
    readers = [Captions(shard, "a", 20, "captions") for shard in list_shards(artifacts / "human_caption")]
    return build(tmp_path_factory.mktemp("tokens"), [Source("captions", 1, readers)], Model(**tiny_models), 256)


@pytest.fixture
def llava(tiny_models: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    monkeypatch.setenv("HUMANVLM_CACHE", str(tmp_path / "cache"))
    model, processor = build_llava(Model(**tiny_models))
    return model.requires_grad_(False), processor.image_processor


def kept(store: Store, llava: tuple[Any, Any], rank: int = 0, world: int = 1) -> module.Features:
    return kept_features(store, *llava, rank, world, lambda: None)


def test_they_are_what_the_projector_gets(store: Store, llava: tuple[Any, Any]) -> None:
    found = kept(store, llava)
    model, image_processor = llava
    for number in (0, 25, len(store) - 1):
        images = [Pictures().read(one) for one in store.pictures(number)]
        pixels = image_processor(images, return_tensors="pt")["pixel_values"]
        given = found(store.pictures(number))["features"]
        with torch.inference_mode():
            exact = tower_features(model, pixels)
            # As transformers selects and projects them.
            projected = torch.stack(list(model.model.get_image_features(pixels).pooler_output))
            assert torch.allclose(model.model.multi_modal_projector(exact), projected, atol=1e-6)
        assert given.shape == exact.shape == (1, *found.shape)
        assert torch.equal(given, exact.half())
    assert not found(None)["features"].any()
    assert found(None)["features"].shape == (1, *found.shape)


def test_a_picture_is_computed_once_whoever_asks(
    store: Store, llava: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PART", 10)
    seen: list[int] = []
    compute = module._compute

    def counted(*given: Any) -> None:
        seen.append(len(given[1]))
        compute(*given)

    monkeypatch.setattr(module, "_compute", counted)
    assert len(store.every_picture()) == 54  # two captions each
    found: list[module.Features] = []
    model, image_processor = llava

    def other() -> None:
        found.append(kept(store, llava, rank=1, world=2))

    kept_features(store, model, image_processor, 0, 2, other)
    assert seen == [10] * 5 + [4]
    assert set(found[0].places) == set(store.every_picture())
    assert kept(store, llava).places.keys() == found[0].places.keys()
    assert sum(seen) == 54


def test_the_same_bytes_elsewhere_are_the_same_picture(
    store: Store, llava: tuple[Any, Any], artifacts: Path, tmp_path: Path, tiny_models: dict[str, str]
) -> None:
    first = kept(store, llava)
    readers = [Conversations(shard, "b", 20) for shard in list_shards(artifacts / "human_caption_hq")]
    other = build(tmp_path / "tokens", [Source("talk", 1, readers)], Model(**tiny_models), 256)
    files = sorted((tmp_path / "cache" / "features").rglob("*"))
    second = kept(other, llava)
    assert sorted((tmp_path / "cache" / "features").rglob("*")) == files
    assert set(second.places.values()) <= set(first.places.values())


def test_another_tower_has_other_features(llava: tuple[Any, Any]) -> None:
    model, image_processor = llava
    digests = [tower_digest(model, image_processor), tower_digest(model, image_processor)]
    image_processor.image_mean = [0.4, 0.5, 0.5]
    digests.append(tower_digest(model, image_processor))
    model.config.vision_feature_layer = -1 if model.config.vision_feature_layer == -2 else -2
    digests.append(tower_digest(model, image_processor))
    next(model.model.vision_tower.parameters()).data[0] += 1
    digests.append(tower_digest(model, image_processor))
    assert digests[0] == digests[1]
    assert len(set(digests)) == 4


def test_values_beyond_float16_are_kept_whole(store: Store, llava: tuple[Any, Any]) -> None:
    model, _ = llava
    for parameter in model.model.vision_tower.parameters():
        parameter.data *= 1e6 if parameter.ndim == 1 else 1
    given = kept(store, llava)(store.pictures(0))["features"]
    assert given.dtype == torch.float32
    assert given.abs().max() > np.finfo(np.float16).max


def test_a_tower_that_learns_is_asked_every_time(
    store: Store, llava: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert worth_keeping(store, llava[0]) is not torch.cuda.is_available()
    llava[0].model.vision_tower.requires_grad_(True)
    assert not worth_keeping(store, llava[0])
    llava[0].model.vision_tower.requires_grad_(False)
    monkeypatch.setattr(module, "MOST", 1000)
    assert not worth_keeping(store, llava[0])
