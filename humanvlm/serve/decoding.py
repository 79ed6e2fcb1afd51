"""Several replies written side by side, a token each at a time: rows join and leave between steps.

Each row has a slot of a key-value cache that is written in place: a step copies nothing, and whoever joins or leaves
moves nobody else. A prompt is read alone; a step of n rows reads the weights once instead of n times, which is what it
costs.

A batch computes the same sums in another order than a single reply does, so its logits differ in the last bits
(``humanvlm.inference.generate``). Where the likeliest token leads by less than that, ``alone`` says what it would be.
"""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import Cache

from humanvlm.errors import UserError
from humanvlm.serve.conversation import Prompt

GROWTH = 256  # tokens by which all slots grow when the longest row is full


def check_model(model: Any, what: str) -> None:
    """Raises UserError when a model is none that this can serve: a LLaVA whose language model attends to all of the
    past."""
    kind = str(getattr(model.config, "model_type", "?"))
    layers = DynamicCache(config=model.config.get_text_config()).layers
    if kind != "llava" or any(getattr(layer, "is_sliding", False) for layer in layers):
        raise UserError(f"{what}: a {kind} model, which `humanvlm serve` does not serve; try vLLM, `vllm serve {what}`")


def alone(model: Any, prompt: Prompt, tokens: Sequence[int]) -> torch.Tensor:
    """Logits (vocabulary) of what follows ``tokens``, as a model gives them to this prompt alone."""
    cache = DynamicCache(config=model.config.get_text_config())
    logits = _read(model, prompt, cache)
    length = prompt.length
    with torch.inference_mode():
        for token in tokens:
            length += 1
            logits = model(
                input_ids=torch.tensor([[token]], device=model.device),
                attention_mask=torch.ones(1, length, dtype=torch.long, device=model.device),
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            ).logits[0, -1]
    return _allowed(model, logits)


def leads(logits: torch.Tensor) -> list[float]:
    """By how much the likeliest token of each row (rows, vocabulary) leads over the next, relative to its logit."""
    first, second = logits.topk(2, dim=-1).values.float().unbind(-1)
    return list(((first - second) / first.abs().clamp(min=1.0)).tolist())


class Rows:
    """The replies under way, numbered from 0 without gaps."""

    def __init__(self, model: Any, slots: int) -> None:
        self.model = model
        self.cache = _Slots(slots)

    def __len__(self) -> int:
        return len(self.cache.lengths)

    def join(self, prompt: Prompt) -> torch.Tensor:
        """Read a prompt into the next row; logits (vocabulary) of its first token."""
        read = DynamicCache(config=self.model.config.get_text_config())
        logits = _read(self.model, prompt, read)
        self.cache.add(read, prompt.length)
        return _allowed(self.model, logits)

    def step(self, tokens: Sequence[int]) -> torch.Tensor:
        """Give each row its next token; logits (rows, vocabulary) of the ones after."""
        cache, device = self.cache, self.model.device
        positions = cache.advance(device)
        mask = torch.arange(cache.longest, device=device) <= positions[:, None]
        with torch.inference_mode():
            logits = self.model(
                input_ids=torch.tensor(tokens, device=device)[:, None],
                attention_mask=mask[:, None, None],
                position_ids=positions[:, None],
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            ).logits[:, -1]
        return _allowed(self.model, logits)

    def leave(self, row: int) -> None:
        """Free a row; the last one takes its number."""
        self.cache.remove(row)


class _Slots(Cache):  # type: ignore[misc]
    """Keys and values (slots, heads, tokens, dimensions) of each layer; row i is slot i, ``lengths[i]`` tokens long."""

    def __init__(self, slots: int) -> None:
        super().__init__(layers=[])
        self.slots = slots
        self.lengths: list[int] = []
        self.stored: list[tuple[torch.Tensor, torch.Tensor]] = []
        self.rows = self.positions = torch.empty(0, dtype=torch.long)

    @property
    def longest(self) -> int:
        return max(self.lengths)

    def add(self, read: Any, length: int) -> None:
        row = len(self.lengths)
        self._grow(length + 1, [(layer.keys, layer.values) for layer in read.layers])
        for kept, layer in zip(self.stored, read.layers, strict=True):
            for into, new in zip(kept, (layer.keys, layer.values), strict=True):
                into[row, :, :length] = new[0]
        self.lengths.append(length)

    def remove(self, row: int) -> None:
        last = len(self.lengths) - 1
        if row != last:
            length = self.lengths[last]
            for kept in self.stored:
                for one in kept:
                    one[row, :, :length] = one[last, :, :length]
            self.lengths[row] = length
        self.lengths.pop()

    def advance(self, device: Any) -> torch.Tensor:
        """A token more in each row; where it goes."""
        self.rows = torch.arange(len(self.lengths), device=device)
        self.positions = torch.tensor(self.lengths, device=device)
        self.lengths = [length + 1 for length in self.lengths]
        self._grow(self.longest, self.stored)
        return self.positions

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What transformers' attention calls: keep the new token's keys and values, and give those of all."""
        keys, values = self.stored[layer_idx]
        keys[self.rows, :, self.positions] = key_states[:, :, 0]
        values[self.rows, :, self.positions] = value_states[:, :, 0]
        count, longest = len(self.lengths), self.longest
        return keys[:count, :, :longest], values[:count, :, :longest]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return self.longest - 1 if self.lengths else 0

    def _grow(self, tokens: int, like: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> None:
        """Room for so many tokens in every slot. Zeros, since what is masked is still multiplied, by zero."""
        have = self.stored[0][0].shape[2] if self.stored else 0
        if tokens <= have:
            return
        size = -(-tokens // GROWTH) * GROWTH
        grown = []
        for number, layer in enumerate(like):
            pair = []
            for which, one in enumerate(layer):
                new = one.new_zeros(self.slots, one.shape[1], size, one.shape[3])
                if have:
                    new[:, :, :have] = self.stored[number][which]
                pair.append(new)
            grown.append((pair[0], pair[1]))
        self.stored = grown


def _read(model: Any, prompt: Prompt, cache: Any) -> torch.Tensor:
    inputs = prompt.inputs.to(model.device, dtype=model.dtype)
    with torch.inference_mode():
        return torch.as_tensor(model(**inputs, past_key_values=cache, use_cache=True, logits_to_keep=1).logits[0, -1])


def _allowed(model: Any, logits: torch.Tensor) -> torch.Tensor:
    """The logits without the tokens that the model is never to say, such as a picture's."""
    if refused := getattr(model.generation_config, "suppress_tokens", None):
        logits = logits.clone()
        logits[..., refused] = -torch.inf
    return logits
