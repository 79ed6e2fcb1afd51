"""Greedy generation over pictures and prompts."""

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image

from humanvlm.prompts import IMAGE_TOKEN


def chat_text(processor: Any, prompt: str) -> str:
    """The conversation up to the reply: the picture first, then the prompt."""
    messages = [{"role": "user", "content": f"{IMAGE_TOKEN}\n{prompt}"}]
    return str(processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))


def generate(
    model: Any,
    processor: Any,
    images: Sequence[Image.Image],
    prompts: Sequence[str],
    *,
    max_new_tokens: int,
    batch_size: int,
) -> list[str]:
    """One reply for each picture and prompt, in their order. Greedy, with a key-value cache.

    Batches are padded on the left and hold prompts of like length. The model should be float32: in bfloat16 the
    padding of a batch can tip a close decision, and the text would depend on ``batch_size``.
    """
    if len(images) != len(prompts):
        raise ValueError(f"{len(images)} pictures for {len(prompts)} prompts")
    processor.tokenizer.padding_side = "left"
    texts = [chat_text(processor, prompt) for prompt in prompts]
    order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    replies = [""] * len(texts)
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        inputs = processor(
            images=[images[index].convert("RGB") for index in batch],
            text=[texts[index] for index in batch],
            padding=True,
            return_tensors="pt",
            add_special_tokens=False,
        ).to(model.device, dtype=model.dtype)
        with torch.inference_mode():
            output = model.generate(**inputs, max_new_tokens=max_new_tokens, do_sample=False)
        new = output[:, inputs["input_ids"].shape[1] :]
        for index, reply in zip(batch, processor.batch_decode(new, skip_special_tokens=True), strict=True):
            replies[index] = reply.strip()
    return replies
