"""Which parameters a stage trains, and how fast."""

from typing import Any

import pytest

from humanvlm.config.model import Model
from humanvlm.config.stage1_checkpoint import Stage1
from humanvlm.config.stage2_checkpoint import Stage2
from humanvlm.model.build import build_llava
from humanvlm.train.export import merge
from humanvlm.train.model import parameter_groups, projector_only, tuned
from humanvlm.train.parts import trained_by_part


def llava(tiny_models: dict[str, str], tower: str) -> Any:
    models = tiny_models if tower == "siglip" else {**tiny_models, "vision_tower": "mobilenet-v2-imagenet"}
    return build_llava(Model(**models))[0]


def test_every_linear_layer_and_the_projector_train(tiny_models: dict[str, str]) -> None:
    model = tuned(llava(tiny_models, "mobilenet"), Stage2())
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    for part in ("q_proj", "down_proj", "expand_1x1", "reduce_1x1", "conv_1x1", "multi_modal_projector.linear_2"):
        assert any(part in name for name in trained), part
    assert not any("conv_3x3" in name or "embed_tokens" in name or "lm_head" in name for name in trained)


@pytest.mark.parametrize(
    ("language", "tower", "parts"),
    [
        ("lora", "lora", {"projector", "vision_tower", "language_model"}),
        ("lora", "frozen", {"projector", "language_model"}),
        ("full", "lora", {"projector", "vision_tower", "language_model"}),
        ("full", "frozen", {"projector", "language_model"}),
        ("frozen", "lora", {"projector", "vision_tower"}),
        ("frozen", "frozen", {"projector"}),
    ],
)
def test_parts_learn_as_chosen_and_merge(
    tiny_models: dict[str, str], language: Any, tower: Any, parts: set[str]
) -> None:
    names = set(llava(tiny_models, "siglip").state_dict())
    model = tuned(llava(tiny_models, "siglip"), Stage2(language_model=language, vision_tower=tower, lora_r=4))
    assert set(trained_by_part(model)) == parts
    learning = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert all("lora" in name for name in learning if "vision_tower" in name)
    assert all(("lora" in name) == (language == "lora") for name in learning if "language_model" in name)
    assert set(merge(model).state_dict()) == names


def test_parts_have_their_learning_rates_and_vectors_do_not_decay(tiny_models: dict[str, str]) -> None:
    config = Stage2(learning_rate=1e-3, projector_learning_rate=1e-4, weight_decay=0.1)
    groups = parameter_groups(tuned(llava(tiny_models, "siglip"), config), config)
    assert {(group["lr"], group["weight_decay"], group["params"][0].ndim > 1) for group in groups} == {
        (1e-4, 0.1, True),
        (1e-4, 0.0, False),
        (1e-3, 0.1, True),
    }
    (matrices, vectors) = parameter_groups(projector_only(llava(tiny_models, "siglip")), Stage1(weight_decay=0.1))
    assert (len(matrices["params"]), len(vectors["params"])) == (2, 2)
    assert matrices["lr"] == vectors["lr"] == 1e-3
