"""Estimates: operations by part, memory by how it is shared."""

from typing import Any

import pytest
import torch

from humanvlm.config.loading import load_params
from humanvlm.config.model import Model
from humanvlm.config.profiles import profile_path
from humanvlm.model.build import build_llava
from humanvlm.train.costs import Sizes
from humanvlm.train.model import projector_only, tuned


def test_operations_and_memory_follow_the_formula(tiny_models: dict[str, str]) -> None:
    model = projector_only(build_llava(Model(**tiny_models))[0])
    sizes = Sizes.of(model)
    assert sizes.trained == sizes.projector == 32 * 32 + 32 + 32 * 32 + 32
    assert (sizes.layers, sizes.width, sizes.picture) == (2, 32, 16)
    once = sizes.operations(100, 10, 32, length=50, tower_learns=False)
    attention = 8 * 2 * 32 * 25 * 100
    wanted = 4 * sizes.language * 100 + 4 * sizes.head * 10 + 2 * sizes.tower * 32 + 6 * sizes.projector * 32
    assert once == wanted + attention + 2 * sizes.trained * 100
    assert sizes.operations(100, 10, 32, length=50, tower_learns=True) == once + 2 * sizes.tower * 32
    alone = sizes.memory(100, world=1, zero=2, half=False, checkpointing=False)
    assert alone > sizes.memory(100, world=4, zero=2, half=False, checkpointing=False)
    assert sizes.memory(100, 4, 3, False, False) < sizes.memory(100, 4, 2, False, False)
    assert sizes.memory(100, 1, 2, True, False) < alone
    assert sizes.memory(100, 1, 2, False, True) < alone


def published(profile: str) -> Any:
    """The LLaVA of a profile from its parts' published sizes, without weights."""
    from transformers import LlamaConfig, LlavaConfig, LlavaForConditionalGeneration, SiglipVisionConfig

    if profile == "nano":
        tower = SiglipVisionConfig(vision_use_head=False)  # the defaults are those of B/16-224
        text = LlamaConfig(
            vocab_size=49_153, hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9,
            num_key_value_heads=3, tie_word_embeddings=True,
        )  # fmt: skip
    else:
        tower = SiglipVisionConfig(
            hidden_size=1152, intermediate_size=4304, num_hidden_layers=27, num_attention_heads=16, image_size=384,
            patch_size=14, vision_use_head=False,
        )  # fmt: skip
        text = LlamaConfig(
            vocab_size=128_257, hidden_size=4096, intermediate_size=14_336, num_hidden_layers=32,
            num_attention_heads=32, num_key_value_heads=8, tie_word_embeddings=False,
        )  # fmt: skip
    picture = (tower.image_size // tower.patch_size) ** 2
    config = LlavaConfig(
        vision_config=tower, text_config=text, image_seq_length=picture, tie_word_embeddings=text.tie_word_embeddings
    )
    with torch.device("meta"):
        return LlavaForConditionalGeneration(config)


def test_nano_has_the_public_size() -> None:
    count = sum(parameter.numel() for parameter in published("nano").parameters())
    assert count == 85_797_120 + (134_515_008 + 576) + 775_296  # tower; language model and its image token; projector
    assert 220e6 < count < 223e6


@pytest.mark.parametrize(("profile", "first", "second"), [("h100-1", 49, 38), ("nano", 9, 11)])
def test_the_profiles_fit_one_card(profile: str, first: int, second: int) -> None:
    """The figures of their comments, in GiB."""
    params = load_params(profile_path(profile))
    stages = (params.stage1_checkpoint, params.stage2_checkpoint)
    models = (projector_only(published(profile)), tuned(published(profile), params.stage2_checkpoint))
    found = [
        Sizes.of(model).memory(stage.pack_tokens, 1, stage.zero_stage, True, stage.gradient_checkpointing) / 2**30
        for stage, model in zip(stages, models, strict=True)
    ]
    assert [round(one) for one in found] == [first, second]


def test_one_card_learns_from_as_many_samples_a_step_as_the_paper() -> None:
    one, paper = (load_params(profile_path(name)) for name in ("h100-1", "paper"))
    assert one.model == paper.model
    for stage in ("stage1_checkpoint", "stage2_checkpoint"):
        how = {"pack_tokens", "zero_stage"}
        assert getattr(one, stage).model_dump(exclude=how) == getattr(paper, stage).model_dump(exclude=how)
