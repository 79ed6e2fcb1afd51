"""Joining, saving, loading and asking a LLaVA, on models small enough to do it in a second."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from humanvlm.config.model import Model
from humanvlm.errors import UserError
from humanvlm.inference.generate import chat_text, generate
from humanvlm.model.build import build_llava, check_patches, image_tokens
from humanvlm.model.language import load_language_model
from humanvlm.model.load import load_checkpoint

PROMPTS = ["Describe the picture in one sentence.", "A man", "Who is on the left of the wall with a window?", "Hi", "?"]


@pytest.fixture(scope="module")
def llava(tiny_models: dict[str, str]) -> tuple[Any, Any]:
    return build_llava(Model(**tiny_models, system_prompt=""))


@pytest.fixture(scope="module")
def pictures() -> list[Image.Image]:
    random = np.random.default_rng(3)
    return [Image.fromarray(random.integers(0, 256, (40, 30 + i, 3), dtype=np.uint8)) for i in range(len(PROMPTS))]


def ask(llava: tuple[Any, Any], pictures: list[Image.Image], batch_size: int) -> list[str]:
    return generate(*llava, pictures, PROMPTS, max_new_tokens=12, batch_size=batch_size)


def test_batch_size_and_order_do_not_change_replies(llava: tuple[Any, Any], pictures: list[Image.Image]) -> None:
    alone = ask(llava, pictures, 1)
    assert len(set(alone)) > 1
    assert ask(llava, pictures, 2) == alone
    assert ask(llava, pictures, 5) == alone
    backwards = generate(*llava, pictures[::-1], PROMPTS[::-1], max_new_tokens=12, batch_size=3)
    assert backwards[::-1] == alone


def test_the_picture_changes_the_logits(llava: tuple[Any, Any], pictures: list[Image.Image]) -> None:
    model, processor = llava
    inputs = processor(images=pictures[:2], text=[chat_text(processor, "Hi")] * 2, return_tensors="pt")
    with torch.inference_mode():
        logits = model(**inputs).logits
    assert not torch.allclose(logits[0], logits[1], atol=1e-6)


def test_saving_and_loading_keeps_every_weight_and_reply(
    llava: tuple[Any, Any], pictures: list[Image.Image], tmp_path: Path
) -> None:
    for part in llava:
        part.save_pretrained(tmp_path)
    loaded = load_checkpoint(tmp_path)
    state = loaded[0].state_dict()
    assert all(torch.equal(value, state[name]) for name, value in llava[0].state_dict().items())
    assert ask(loaded, pictures, 2) == ask(llava, pictures, 2)


def test_a_checkpoint_that_lacks_a_weight_is_refused(llava: tuple[Any, Any], tmp_path: Path) -> None:
    for part in llava:
        part.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    gone = next(name for name in weights if "projector" in name)
    del weights[gone]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match="missing keys"):
        load_checkpoint(tmp_path)
    with pytest.raises(UserError, match="no checkpoint"):
        load_checkpoint(tmp_path / "absent")


def test_a_picture_that_is_cropped_takes_the_tokens_of_its_crop() -> None:
    crop, shortest = {"height": 32, "width": 32}, {"shortest_edge": 40}
    images = SimpleNamespace(size=shortest, crop_size=crop, do_center_crop=True)
    processor = SimpleNamespace(
        image_processor=images, patch_size=8, num_additional_image_tokens=1, vision_feature_select_strategy="default"
    )
    assert image_tokens(processor) == 16


def test_dropping_the_first_patch_leaves_one_token_less(tiny_models: dict[str, str]) -> None:
    model, processor = build_llava(Model(**tiny_models, drop_first_patch=True))
    assert image_tokens(processor) == 15
    reply = generate(model, processor, [Image.new("RGB", (9, 9))], ["Hi"], max_new_tokens=2, batch_size=1)
    assert len(reply) == 1


@pytest.mark.parametrize("key", [{"drop_first_patch": True}, {"vision_feature_select_strategy": "default"}])
def test_a_dropped_patch_is_known_before_any_weight_is_loaded(tiny_models: dict[str, str], key: dict[str, Any]) -> None:
    check_patches(Model(**tiny_models), "here")
    with pytest.raises(UserError, match=r"^here: .*728 of 729.* set model\.drop_first_patch to false") as error:
        check_patches(Model(**tiny_models, **key), "here")
    assert "\n" not in str(error.value)


def test_the_pooling_head_of_siglip_is_left_out(llava: tuple[Any, Any]) -> None:
    assert not [name for name, _ in llava[0].named_parameters() if ".head." in name]


def test_turns_with_parts_and_plain_turns_read_the_same(llava: tuple[Any, Any]) -> None:
    processor = llava[1]
    parts = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Hi"}]}]
    text = processor.apply_chat_template(parts, tokenize=False, add_generation_prompt=True)
    assert text == chat_text(processor, "Hi")
    assert text.startswith("<|im_start|>system\n<|im_end|>\n<|im_start|>user\n<image>\nHi<|im_end|>")


def test_a_model_that_is_nowhere_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUMANVLM_HUB", "")  # the user decided
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="no-such-model") as error:
        load_language_model("nobody/no-such-model")
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_the_default_language_model(monkeypatch: pytest.MonkeyPatch, repo: Path) -> None:
    monkeypatch.chdir(repo)  # shares the converted model in .state/models
    model, tokenizer = load_language_model("smollm2-135m-instruct")
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": "What is the capital of France? Answer with one word."}],
        tokenize=False,
        add_generation_prompt=True,
    )
    inputs = tokenizer(text, return_tensors="pt")
    with torch.inference_mode():
        output = model.generate(**inputs, max_new_tokens=8, do_sample=False)
    assert "Paris" in tokenizer.decode(output[0, inputs["input_ids"].shape[1] :])
