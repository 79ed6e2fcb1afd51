"""A small SigLIP-LLaVA with random weights in llama.cpp says what it says in torch."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from humanvlm.config.model import Model
from humanvlm.export.agreement import compare
from humanvlm.export.gguf import write
from humanvlm.export.llamacpp import Ask, loaded
from humanvlm.export.measure import TEXTS
from humanvlm.inference.generate import chat_text
from humanvlm.model.build import build_llava
from humanvlm.model.load import load_checkpoint

pytest.importorskip("xllamacpp", reason="needs llama.cpp: pip install 'humanvlm[llamacpp]'")

SIDE = 32  # of the tower: such pictures neither side scales
PICTURES, STEPS = 50, 150
PROMPT = "Describe the picture."
COLOURS, PLACES = ("red", "blue", "green", "white"), ("on the left", "in front of a wall", "by a window")
WHO = ("A man", "A woman", "A child", "Someone", "He")


@pytest.fixture(scope="module")
def saved(tiny_models: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that learnt a sentence by heart for each picture: one of random weights is as likely to say one
    thing as the other, and rounding would decide."""
    folder = tmp_path_factory.mktemp("model")
    model, processor = build_llava(Model(**tiny_models, system_prompt="", vision_feature_layer=-2))
    learn_by_heart(model, processor)
    for part in (model, processor):
        part.save_pretrained(folder)
    return folder


def learn_by_heart(model: Any, processor: Any) -> None:
    asked = chat_text(processor, PROMPT)
    inputs = processor(
        images=[[picture] for picture in pictures(PICTURES)],
        text=[asked + sentence(number) + processor.tokenizer.eos_token for number in range(PICTURES)],
        return_tensors="pt",
        padding=True,
        padding_side="right",
        add_special_tokens=False,
    )
    start = len(processor(images=[[pictures(1)[0]]], text=[asked], add_special_tokens=False)["input_ids"][0])
    labels = inputs["input_ids"].masked_fill(inputs["attention_mask"] == 0, -100)
    labels[:, :start] = -100
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(STEPS):
        loss = model(**inputs, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert loss < 0.05


def sentence(number: int) -> str:
    """One that only the picture tells from the others."""
    colour, place, who = (words[number // step % len(words)] for words, step in ((COLOURS, 1), (PLACES, 4), (WHO, 12)))
    return f"{who} in a {colour} coat, {place}."


@pytest.fixture(scope="module")
def llava(saved: Path) -> tuple[Any, Any]:
    return load_checkpoint(saved)


@pytest.fixture(scope="module")
def ask(saved: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    with loaded(*write(saved, tmp_path_factory.mktemp("gguf"), "f32"), context=256, exact=True) as asked:
        yield asked


def pictures(count: int) -> list[Image.Image]:
    """Noise of few hues, which a tower can tell apart."""
    random = np.random.default_rng(5)
    return [Image.fromarray(random.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)) for _ in range(count)]


def test_text_alone_is_the_same_but_for_rounding(llava: tuple[Any, Any], ask: Ask) -> None:
    prompts = ["Describe the picture in one sentence.", "A man in 12 coats?", "Who is it?", "ça, 37 日本", "a\n\nb"]
    found = compare(llava, ask, [None] * len(prompts), prompts, max_new_tokens=16)
    assert found.farthest is not None
    assert found.farthest < 1e-3
    assert found.same == found.samples == len(prompts)


def test_replies_about_fifty_pictures_are_the_same(llava: tuple[Any, Any], ask: Ask) -> None:
    found = compare(llava, ask, pictures(PICTURES), [PROMPT] * PICTURES, max_new_tokens=32)
    assert found.farthest is not None
    assert found.farthest < 0.1  # llama.cpp's GELU is a table of half floats, and the approximation by tanh
    assert found.same == found.samples == PICTURES


@pytest.mark.slow
def test_a_published_language_model_is_the_same(tiny_models: dict[str, str], tmp_path: Path) -> None:
    for part in build_llava(Model(vision_tower=tiny_models["vision_tower"], system_prompt="")):
        part.save_pretrained(tmp_path / "model")
    checkpoint = load_checkpoint(tmp_path / "model")
    with loaded(*write(tmp_path / "model", tmp_path, "f32"), context=256, exact=True) as asked:
        text = compare(checkpoint, asked, [None] * len(TEXTS), TEXTS, max_new_tokens=8)
        shown = compare(checkpoint, asked, pictures(8), [PROMPT] * 8, max_new_tokens=8)
    assert text.same == text.samples
    assert text.farthest is not None
    assert text.farthest < 0.01
    assert shown.farthest is not None
    assert shown.farthest < 0.1
