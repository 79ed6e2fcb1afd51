"""LoRA: what it trains, and that merging it changes nothing."""

from typing import Any

import pytest
import torch

from humanvlm.config.model import Model
from humanvlm.config.stage2_checkpoint import Stage2
from humanvlm.model.build import build_llava
from humanvlm.train.model import merge, with_lora


def llava(tiny_models: dict[str, str], tower: str) -> Any:
    models = tiny_models if tower == "siglip" else {**tiny_models, "vision_tower": "mobilenet-v2-imagenet"}
    return build_llava(Model(**models))[0]


@pytest.mark.parametrize("tower", ["siglip", "mobilenet"])
def test_the_merged_model_computes_what_the_tuned_one_did(tiny_models: dict[str, str], tower: str) -> None:
    plain = llava(tiny_models, tower)
    names = set(plain.state_dict())
    tuned = with_lora(plain, Stage2(lora_r=4, lora_dropout=0.1))
    torch.manual_seed(0)
    for name, parameter in tuned.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.02)
    tuned.eval().double()
    side = 32 if tower == "siglip" else 224
    tokens = 16 if tower == "siglip" else 49
    ids = torch.tensor([[5] + [plain.config.image_token_id] * tokens + [7, 8, 9]])
    inputs = {"input_ids": ids, "pixel_values": torch.randn(1, 3, side, side).double()}
    with torch.inference_mode():
        before = tuned(**inputs).logits
        merged = merge(tuned)
        after = merged(**inputs).logits
        original = llava(tiny_models, tower).double()(**inputs).logits
    assert type(merged).__name__ == "LlavaForConditionalGeneration"
    assert set(merged.state_dict()) == names
    assert torch.allclose(before, after, atol=1e-9)
    assert (before - original).abs().max() > 1e-3


def test_every_linear_layer_and_the_projector_train(tiny_models: dict[str, str]) -> None:
    tuned = with_lora(llava(tiny_models, "mobilenet"), Stage2())
    trained = {name for name, parameter in tuned.named_parameters() if parameter.requires_grad}
    for part in ("q_proj", "down_proj", "expand_1x1", "reduce_1x1", "conv_1x1", "multi_modal_projector.linear_2"):
        assert any(part in name for name in trained), part
    assert not any("conv_3x3" in name or "embed_tokens" in name or "lm_head" in name for name in trained)
