"""Greedy generation over pictures and prompts, in batches that do not change what is said.

A batch computes the same sums in another order than a single prompt (padding, blocking of matrix products), so its
logits differ in the last bits. A reply could turn on that only where the two likeliest tokens are that close: a reply
with such a close call is made again alone. So, in float32, replies are those of batch size 1, whatever the batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from PIL import Image

from humanvlm.errors import UserError
from humanvlm.inference.marks import marks_of, plain
from humanvlm.inference.replies import final_answer, holds_thought

# Least lead of the likeliest token over the next, relative to its logit, that is believed of a batch. The largest
# change of a lead seen between batches of 1 and of 2 to 32, in float32 with the default model, is 2e-6; deeper models
# have more noise, which grows as the root of their depth.
MARGIN = 1e-4


@dataclass(frozen=True)
class Generated:
    """A reply as the model said it. tokens: its ids without the end token. finish: ``stop`` (it ended), or ``length``
    (it was cut off). prompt_tokens: how many it was asked with, the picture's among them."""

    raw: str
    tokens: tuple[int, ...]
    finish: str
    prompt_tokens: int = 0


def chat_text(processor: Any, prompt: str, *, pictured: bool = True) -> str:
    """The conversation up to the reply: the picture first unless there is none, then the prompt.

    Marks inside the prompt are taken out: there is one picture, and one turn. Raises UserError when the model's chat
    template, or its tokenizer's where it has none of its own, does not place the picture.
    """
    from jinja2 import TemplateError

    image_token = getattr(processor, "image_token", None)
    words = asked_words(processor, prompt)
    asked: Any = [{"type": "text", "text": words}]
    shown: Any = [{"type": "image"}, *asked]
    template = processor
    if not getattr(processor, "chat_template", None):
        template, asked, shown = processor.tokenizer, words, f"{image_token or ''}\n{words}"
    try:
        text, without = (
            str(
                template.apply_chat_template(
                    [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
                )
            )
            for content in (shown, asked)
        )
    except (ValueError, TypeError, AttributeError, TemplateError) as error:  # no template; one that wants other turns
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:160]
        raise UserError(f"{_name(processor)}: chat template: {reason}") from None
    if not pictured:
        return without
    if text.strip() == without.strip():
        raise UserError(f"{_name(processor)}: its chat template places no picture; ask it through an endpoint instead")
    return text


def asked_words(processor: Any, prompt: str) -> str:
    """The prompt as the chat template gets it: nothing in it opens or ends a turn."""
    image_token = getattr(processor, "image_token", None)
    return plain(prompt, (*marks_of(processor.tokenizer), *filter(None, (image_token,)))).strip()


def by_length(prompts: Sequence[str], batch_size: int) -> list[list[int]]:
    """The indices of the prompts in batches of like length, which need little padding."""
    order = sorted(range(len(prompts)), key=lambda index: (len(prompts[index]), index))
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


def generate(
    model: Any,
    processor: Any,
    images: Sequence[Image.Image],
    prompts: Sequence[str],
    *,
    max_new_tokens: int,
    batch_size: int,
) -> list[str]:
    """The answer of a checkpoint of ours to each picture and prompt, in their order; '' where it has none."""
    replies = [""] * len(prompts)
    for batch in by_length(prompts, batch_size):
        pictures, texts = [images[index] for index in batch], [prompts[index] for index in batch]
        made = generate_batch(model, processor, pictures, texts, max_new_tokens=max_new_tokens, special_tokens=False)
        for index, reply in zip(batch, made, strict=True):
            replies[index] = final_answer(reply.raw).text
    return replies


def generate_batch(
    model: Any,
    processor: Any,
    images: Sequence[Image.Image | None],
    prompts: Sequence[str],
    *,
    max_new_tokens: int,
    special_tokens: bool | None = None,
    margin: float = MARGIN,
) -> list[Generated]:
    """Replies to one batch, padded on the left, with a key-value cache. All have pictures, or none has.

    special_tokens: whether the tokenizer adds its own around the chat template's text; None: unless that begins with
    them. Other dtypes than float32 have noise far above any margin: their replies depend on their batch a little.
    """
    if len(images) != len(prompts):
        raise ValueError(f"{len(images)} pictures for {len(prompts)} prompts")
    tokenizer = processor.tokenizer
    tokenizer.padding_side = "left"
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    pictured = images[0] is not None if images else True
    if any((image is not None) != pictured for image in images):
        raise ValueError("a batch of prompts with pictures and without")
    texts = [chat_text(processor, prompt, pictured=pictured) for prompt in prompts]
    if special_tokens is None:
        special_tokens = not (tokenizer.bos_token and texts[0].startswith(tokenizer.bos_token))

    def run(rows: Sequence[int]) -> tuple[list[Generated], list[float]]:
        inputs = processor(
            images=[[image.convert("RGB")] for row in rows if (image := images[row])] or None,
            text=[texts[row] for row in rows],
            padding=True,
            return_tensors="pt",
            add_special_tokens=special_tokens,
        ).to(model.device, dtype=model.dtype)
        made, leads = _run(model, tokenizer, inputs, max_new_tokens)
        begun = [thought_begun(texts[row], asked_words(processor, prompts[row])) for row in rows]
        return [replace(one, raw=start + one.raw) for start, one in zip(begun, made, strict=True)], leads

    replies, leads = run(range(len(texts)))
    if model.dtype != torch.float32 or len(texts) == 1:
        return replies
    return [
        run([row])[0][0] if lead < margin else reply
        for row, (reply, lead) in enumerate(zip(replies, leads, strict=True))
    ]


class _Leads:
    """A logits processor that changes nothing and notes, each step, the likeliest token's lead over the next."""

    def __init__(self) -> None:
        self.steps: list[torch.Tensor] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        first, second = scores.topk(2, dim=-1).values.float().unbind(-1)
        self.steps.append((first - second) / first.abs().clamp(min=1.0))
        return scores


def _run(model: Any, tokenizer: Any, inputs: Any, max_new_tokens: int) -> tuple[list[Generated], list[float]]:
    """One batch: its replies, and the least lead of each. The batch ends when all its replies have."""
    from transformers import LogitsProcessorList

    leads = _Leads()
    with torch.inference_mode():
        output = model.generate(
            **inputs,
            max_new_tokens=max_new_tokens,
            do_sample=False,
            num_beams=1,
            repetition_penalty=1.0,  # some checkpoints bring another along: plain greedy compares like with like
            no_repeat_ngram_size=0,
            pad_token_id=tokenizer.pad_token_id,
            logits_processor=LogitsProcessorList([leads]),
        )
    new = output[:, inputs["input_ids"].shape[1] :].tolist()
    ends = model.generation_config.eos_token_id
    ends = {ends} if isinstance(ends, int) else set(ends or ())
    least = torch.stack(leads.steps).cummin(0).values.tolist()
    replies, smallest = [], []
    for row, ids in enumerate(new):
        length = next((place for place, token in enumerate(ids) if token in ends), None)
        tokens = tuple(ids[:length])
        raw = _decoded(tokenizer, tokens)
        asked = int(inputs["attention_mask"][row].sum())
        replies.append(Generated(raw, tokens, "length" if length is None else "stop", asked))
        smallest.append(least[len(ids) - 1 if length is None else length][row])
    return replies, smallest


def thought_begun(text: str, prompt: str) -> str:
    """The start of a thought with which a chat template ends, so that the reply begins within it; '' without one."""
    words = prompt.strip()
    end = text.rpartition(words)[2] if words else text
    return "<think>" if final_answer(end).unfinished else ""


def _decoded(tokenizer: Any, tokens: Sequence[int]) -> str:
    """The words of a reply. The marks of a thought stay, also where they are special tokens."""
    text = str(tokenizer.decode(tokens, skip_special_tokens=True)).strip()
    marked = str(tokenizer.decode(tokens, skip_special_tokens=False)).strip()
    return marked if marked != text and holds_thought(marked) else text


def _name(processor: Any) -> str:
    return str(getattr(processor.tokenizer, "name_or_path", "") or "model")
