"""Whether an exported model says what the checkpoint says: log-probabilities and greedy replies."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image

from humanvlm.export.llamacpp import Ask
from humanvlm.inference.generate import chat_text, generate_batch

LIKELIEST = 20  # first tokens whose log-probabilities are compared
UNWHOLE = "\ufffd"  # stands for a token that is a part of a letter, of which llama.cpp tells no probabilities


@dataclass(frozen=True)
class Agreement:
    """samples: questions asked; same: of those, replies of the same text. farthest: the largest difference of
    log-probability between the two, over the likeliest first tokens; None when none could be compared. Seconds are of
    all replies together."""

    samples: int
    same: int
    farthest: float | None
    checkpoint_seconds: float
    seconds: float
    checkpoint_tokens: int
    tokens: int

    @property
    def pace(self) -> float:
        """Tokens a second of the export, with reading the questions."""
        return self.tokens / self.seconds

    @property
    def checkpoint_pace(self) -> float:
        return self.checkpoint_tokens / self.checkpoint_seconds


def compare(
    checkpoint: tuple[Any, Any],
    ask: Ask,
    pictures: Sequence[Image.Image | None],
    prompts: Sequence[str],
    *,
    max_new_tokens: int,
) -> Agreement:
    """Ask both about each picture (None: about none) with its prompt. checkpoint: model and processor, in float32."""
    model, processor = checkpoint
    same = wanted_tokens = tokens = 0
    farthest: float | None = None
    ours = theirs = 0.0
    for picture, prompt in zip(pictures, prompts, strict=True):
        start = time.perf_counter()
        (reply,) = generate_batch(
            model, processor, [picture], [prompt], max_new_tokens=max_new_tokens, special_tokens=False
        )
        between = time.perf_counter()
        said = ask(picture, prompt, max_new_tokens, LIKELIEST)
        ours, theirs = ours + between - start, theirs + time.perf_counter() - between
        wanted = processor.tokenizer.decode(reply.tokens, skip_special_tokens=True)
        same += said.text.replace(UNWHOLE, "") == wanted.replace(UNWHOLE, "")  # cut letters are told in other ways
        wanted_tokens, tokens = wanted_tokens + len(reply.tokens), tokens + said.tokens
        likely = _first(model, processor, picture, prompt)
        if said.first and UNWHOLE not in processor.tokenizer.decode([int(likely.argmax())]):
            away = max(abs(float(likely[token]) - value) for token, value in said.first.items())
            farthest = max(away, farthest or 0.0)
    return Agreement(len(pictures), same, farthest, ours, theirs, wanted_tokens, tokens)


def _first(model: Any, processor: Any, picture: Image.Image | None, prompt: str) -> torch.Tensor:
    """Log-probabilities [V] of the first token, the picture's token, which is never said, left out."""
    inputs = processor(
        images=None if picture is None else [[picture.convert("RGB")]],
        text=[chat_text(processor, prompt, pictured=picture is not None)],
        return_tensors="pt",
        add_special_tokens=False,
    )
    with torch.inference_mode():
        logits = model(**inputs.to(model.device), logits_to_keep=1).logits[0, -1].float().cpu().clone()
        logits[processor.image_token_id] = -torch.inf
        likely: torch.Tensor = logits.log_softmax(-1)
        return likely
