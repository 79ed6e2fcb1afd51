"""Exact attention over packs: samples lie one behind the other in one row, and none sees another.

A sample is one causal part, or several: the first is what the others begin with, a picture for example, and each other
one sees that and itself, as if it stood alone after it.

Registered with transformers' attention interface as ``packed``: a language model whose code passes its keyword
arguments on to attention, as those of transformers 5 do, needs no change. No mask is made and none is computed on: of
samples of lengths n_i the work is the sum of n_i^2, not its square.

On a GPU in bfloat16 one call of FlashAttention's variable-length kernel (Dao 2023, arXiv 2307.08691), which torch
brings along; elsewhere a causal product for each sample, and on a CPU one for each part of it.
"""

import functools
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.functional import dropout as dropped
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "packed"


def use_packed_attention(language_model: Any) -> None:
    """Make a transformers language model compute attention by ``parts``, which its callers then pass."""
    language_model.set_attn_implementation(NAME)


def kernel(device: torch.device, dtype: torch.dtype) -> str:
    """What computes it: ``flash varlen`` or ``sdpa by sample``."""
    half = dtype in (torch.bfloat16, torch.float16)
    return "flash varlen" if device.type == "cuda" and half and _varlen() is not None else "sdpa by sample"


def packed_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    parts: Sequence[tuple[int, ...]] | None = None,
    boundaries: torch.Tensor | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Causal attention within each sample. query [1, H, L, D], key and value [1, G, L, D] -> [1, L, H, D].

    parts: the lengths of each sample's parts, L together. boundaries: int32 [N + 1], the running sum of the samples'
    lengths from 0, for the GPU's kernel, which takes samples of one part each.
    Without parts, as in generation, it is transformers' own ``sdpa``; in training that raises RuntimeError, for then
    the model lost them on the way and samples would read each other.
    """
    if parts is None:
        if module.training:
            raise RuntimeError(f"{type(module).__name__} got no parts: its model does not pass keyword arguments on")
        return sdpa_attention_forward(module, query, key, value, attention_mask, dropout, scaling, **options)  # type: ignore[no-any-return]
    lengths = [sum(sample) for sample in parts]
    whole = all(len(sample) == 1 for sample in parts)
    if whole and boundaries is not None and kernel(query.device, query.dtype) == "flash varlen":
        return _flash(query, key, value, lengths, boundaries, scaling), None
    groups = query.shape[1] // key.shape[1]
    key, value = repeat_kv(key, groups), repeat_kv(value, groups)
    split = zip(parts, *(torch.split(tensor, lengths, 2) for tensor in (query, key, value)), strict=True)
    found = []
    for sample, q, k, v in split:
        if len(sample) > 1 and query.device.type == "cpu":
            found.append(_by_part(q, k, v, sample, dropout, scaling))
            continue
        mask = None if len(sample) == 1 else visible(sample, query.device)
        found.append(
            scaled_dot_product_attention(q, k, v, mask, dropout_p=dropout, is_causal=mask is None, scale=scaling)
        )
    return torch.cat(found, dim=2).transpose(1, 2).contiguous(), None


def _by_part(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    parts: tuple[int, ...],
    dropout: float,
    scaling: float | None,
) -> torch.Tensor:
    """What ``visible`` says, [1, H, L, D], without computing on what is not: plain products, which on a CPU take half
    the time of its fused kernel with a mask."""
    q, k, v = (torch.split(part[0], list(parts), 1) for part in (query, key, value))
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    found = [_causal(q[0], k[0], v[0], dropout, scale)]
    for own, keys, values in zip(q[1:], k[1:], v[1:], strict=True):
        found.append(_causal(own, torch.cat([k[0], keys], 1), torch.cat([v[0], values], 1), dropout, scale))
    return torch.cat(found, 1)[None]


def _causal(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, dropout: float, scale: float) -> torch.Tensor:
    """query [H, N, D] are the last N of M tokens, key and value [H, M, D] -> [H, N, D]."""
    heads, count, total = len(query), query.shape[1], key.shape[1]
    unseen = query.new_full((count, total), -math.inf).triu(total - count + 1)
    strength = torch.baddbmm(unseen.expand(heads, -1, -1), query, key.transpose(1, 2), alpha=scale).softmax(-1)
    return dropped(strength, dropout) @ value


@functools.lru_cache(maxsize=256)  # all layers ask for the same
def visible(parts: tuple[int, ...], device: torch.device) -> torch.Tensor:
    """[L, L] bool: which tokens (columns) a token of a sample sees: those before it in its part, and the first part."""
    number = torch.repeat_interleave(torch.tensor(parts)).to(device)
    same = number[:, None] == number[None]
    return (same | (number == 0)[None]).tril()


def packed_mask(
    *args: Any, q_length: int, kv_length: int, attention_mask: torch.Tensor | None = None, **options: Any
) -> torch.Tensor | None:
    """None where every sample starts at its first token; with padding or a cache transformers' own."""
    if attention_mask is None and q_length == kv_length:
        return None
    return sdpa_mask(  # type: ignore[no-any-return]
        *args, q_length=q_length, kv_length=kv_length, attention_mask=attention_mask, **options
    )


def _varlen() -> Any:
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return None
    return varlen_attn


def _flash(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    lengths: Sequence[int],
    boundaries: torch.Tensor,
    scaling: float | None,
) -> torch.Tensor:
    groups, longest = query.shape[1] // key.shape[1], max(lengths)
    q, k, v = (part[0].transpose(0, 1) for part in (query, repeat_kv(key, groups), repeat_kv(value, groups)))
    result: torch.Tensor = _varlen()(
        q, k, v, boundaries, boundaries, longest, longest, scale=scaling, window_size=(-1, 0)
    )
    return result[None]


AttentionInterface.register(NAME, packed_attention)
AttentionMaskInterface.register(NAME, packed_mask)
