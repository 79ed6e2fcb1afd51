"""The vision tower against torchvision's layout, and against what its pictures show."""

from typing import Any

import pytest
import torch
from PIL import Image

from humanvlm.errors import UserError
from humanvlm.model.build import image_tokens, load_vision_tower
from humanvlm.model.tower import MobileNetV2Tokens, TokensConfig, load_tower, rename, tokens_config
from humanvlm.weights.catalog import model_file

NAME = "mobilenet-v2-imagenet"
CATS = {281, 282, 285}  # tabby, tiger cat, Egyptian cat
COFFEE = {504, 967, 968, 969}  # coffee mug, espresso, cup, eggnog


@pytest.fixture(scope="module")
def tower() -> tuple[Any, Any]:
    return load_vision_tower(NAME)


@pytest.mark.parametrize(("picture", "classes"), [("chelsea", CATS), ("coffee", COFFEE)])
def test_tokens_hold_what_the_picture_shows(tower: tuple[Any, Any], picture: str, classes: set[int]) -> None:
    import skimage.data

    model, images = tower
    pixels = images(Image.fromarray(getattr(skimage.data, picture)()), return_tensors="pt")["pixel_values"]
    weights = torch.load(model_file(NAME), weights_only=True)
    with torch.inference_mode():
        tokens = model(pixels).hidden_states[-1]
        scores = tokens[..., :1280].mean(1) @ weights["classifier.1.weight"].T + weights["classifier.1.bias"]
    assert tokens.shape == (1, 49, 1280 + 14)
    assert int(scores.argmax()) in classes


def test_every_weight_of_the_file_has_a_place(tower: tuple[Any, Any]) -> None:
    weights = torch.load(model_file(NAME), weights_only=True)
    renamed = rename(weights)
    assert len(weights) - len(renamed) == 2
    assert set(renamed) == set(tower[0].state_dict())


def test_a_foreign_file_is_refused(tmp_path: Any) -> None:
    state = torch.load(model_file(NAME), weights_only=True)
    state["features.19.0.weight"] = torch.zeros(1)
    torch.save(state, tmp_path / "other.pth")
    with pytest.raises(UserError, match=r"features\.19\.0\.weight"):
        load_tower(tmp_path / "other.pth")


def test_training_keeps_the_running_statistics() -> None:
    tower = MobileNetV2Tokens(TokensConfig()).train()
    before = {name: value.clone() for name, value in tower.named_buffers()}
    tower(torch.randn(2, 3, 64, 64))
    assert all(torch.equal(value, before[name]) for name, value in tower.named_buffers())


def test_the_tower_computes_in_bfloat16(tower: tuple[Any, Any]) -> None:
    pixels = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    half = load_tower(model_file(NAME), tokens_config(224)).to(torch.bfloat16)
    with torch.inference_mode():
        exact, rounded = tower[0](pixels).hidden_states[-1], half(pixels.bfloat16()).hidden_states[-1]
    assert torch.nn.functional.cosine_similarity(exact.flatten(), rounded.float().flatten(), dim=0) > 0.99


def test_tokens_of_a_picture(tower: tuple[Any, Any]) -> None:
    class Processor:
        image_processor = tower[1]
        patch_size = tower[0].config.patch_size
        num_additional_image_tokens = 0
        vision_feature_select_strategy = "full"

    assert image_tokens(Processor()) == 49


def test_pooled_tokens_are_means_of_cells_and_tell_their_places(tower: tuple[Any, Any]) -> None:
    pixels = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    pooled = load_tower(model_file(NAME), tokens_config(224, 1))
    with torch.inference_mode():
        cells, one = tower[0](pixels).last_hidden_state, pooled(pixels).last_hidden_state
        four = load_tower(model_file(NAME), tokens_config(224, 4))(pixels).last_hidden_state
    assert one.shape == (1, 1, 1282)
    assert torch.allclose(one[0, 0, :1280], cells[0, :, :1280].mean(0), atol=1e-5)
    assert four.shape == (1, 16, 1288)
    rows, columns = four[0, :, 1280:1284].argmax(1), four[0, :, 1284:].argmax(1)
    assert [(int(row), int(column)) for row, column in zip(rows, columns, strict=True)] == [
        (row, column) for row in range(4) for column in range(4)
    ]


@pytest.mark.parametrize("side", range(1, 8))
def test_a_picture_costs_the_square_of_its_side(side: int) -> None:
    config = tokens_config(224, side)
    assert (config.image_size // config.patch_size) ** 2 == side**2
