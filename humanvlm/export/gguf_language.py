"""The language model of a LLaVA as llama.cpp's GGUF file: a Llama with a byte-level BPE tokenizer.

The token that stands for a picture in a prompt is left out of the vocabulary: llama.cpp puts a picture's features
where its own marker is, and a token that is not there is never said, as with transformers, which suppresses it.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from gguf import GGUFWriter, RopeScalingType

from humanvlm.errors import UserError
from humanvlm.export.checkpoint import Checkpoint
from humanvlm.export.gguf_file import Precision, Tensor, write_gguf
from humanvlm.export.gguf_tokenizer import Words, describe_words

LAYER = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
BIASED = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj")


def check_language(checkpoint: Checkpoint) -> None:
    """Raises UserError, one line, when this writes no such language model."""
    config = checkpoint.config.text_config
    if config.model_type != "llama":
        raise UserError(
            f"{checkpoint.folder}: a language model {config.model_type!r} is not written as GGUF; only those of the "
            "architecture llama are (Llama 2 and 3, SmolLM2)"
        )
    if (rope := _rope(config)["rope_type"]) not in ("default", "llama3"):
        raise UserError(f"{checkpoint.folder}: rotary positions of the type {rope!r} are not written as GGUF")


def write_language(checkpoint: Checkpoint, words: Words, path: Path, precision: Precision) -> None:
    """Write the file ``path``. words: its tokenizer, with the chat template. Raises UserError."""
    check_language(checkpoint)
    config = checkpoint.config.text_config
    head = _head_size(config)

    def describe(writer: GGUFWriter) -> None:
        writer.add_type("model")
        writer.add_name("HumanVLM language model")
        writer.add_file_type(precision.file_type)
        writer.add_context_length(config.max_position_embeddings)
        writer.add_embedding_length(config.hidden_size)
        writer.add_block_count(config.num_hidden_layers)
        writer.add_feed_forward_length(config.intermediate_size)
        writer.add_head_count(config.num_attention_heads)
        writer.add_head_count_kv(config.num_key_value_heads)
        writer.add_key_length(head)
        writer.add_value_length(head)
        writer.add_layer_norm_rms_eps(config.rms_norm_eps)
        writer.add_rope_dimension_count(head)
        writer.add_rope_freq_base(_rope(config)["rope_theta"])
        writer.add_rope_scaling_type(RopeScalingType.NONE)
        writer.add_vocab_size(len(words.tokens))
        describe_words(writer, words)

    write_gguf(path, "llama", describe, list(_tensors(checkpoint, len(words.tokens), precision)))


def _tensors(checkpoint: Checkpoint, vocabulary: int, precision: Precision) -> Iterator[Tensor]:
    config = checkpoint.config.text_config

    def table(name: str, place: str) -> Tensor:
        return Tensor(
            place,
            (vocabulary, config.hidden_size),
            precision.embeddings,
            lambda: checkpoint.read(name)[:vocabulary].numpy(),
        )

    yield table("language.embed_tokens.weight", "token_embd.weight")
    if not checkpoint.config.tie_word_embeddings:
        yield table("language.lm_head.weight", "output.weight")
    if _rope(config)["rope_type"] == "llama3":
        yield Tensor(
            "rope_freqs.weight", (_head_size(config) // 2,), precision.matrices, lambda: _factors(config).numpy()
        )
    yield _plain(checkpoint, "language.norm.weight", "output_norm.weight", precision)
    for layer in range(config.num_hidden_layers):
        for part, place in LAYER.items():
            for kind in ("weight", "bias"):
                name, target = f"language.layers.{layer}.{part}.{kind}", f"blk.{layer}.{place}.{kind}"
                if kind == "bias" and (part not in BIASED or name not in checkpoint):
                    continue
                yield _plain(checkpoint, name, target, precision)


def _plain(checkpoint: Checkpoint, name: str, place: str, precision: Precision) -> Tensor:
    config = checkpoint.config.text_config
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}.get(name.split(".")[-2])

    def read() -> Any:
        weight = checkpoint.read(name)
        return (weight if heads is None else _interleaved(weight, heads)).numpy()

    return Tensor(place, checkpoint.shape(name), precision.matrices, read)


def _interleaved(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """Rows of queries or keys in llama.cpp's order: it rotates neighbours together, transformers halves of a head."""
    halves = weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:])
    return halves.transpose(1, 2).reshape(weight.shape)


def _head_size(config: Any) -> int:
    return int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)


def _rope(config: Any) -> dict[str, Any]:
    return {"rope_type": "default", "rope_theta": 10000.0, **(config.rope_parameters or {})}


def _factors(config: Any) -> torch.Tensor:
    """By what Llama 3.1's scaling divides each frequency: long waves whole, short ones not, those between in part."""
    rope = _rope(config)
    size, factor = _head_size(config), rope["factor"]
    low, high, context = rope["low_freq_factor"], rope["high_freq_factor"], rope["original_max_position_embeddings"]
    waves = 2 * math.pi * rope["rope_theta"] ** (torch.arange(0, size, 2, dtype=torch.float64) / size)
    smooth = ((context / waves - low) / (high - low)).clamp(0, 1)
    factors: torch.Tensor = 1 / ((1 - smooth) / factor + smooth)
    return factors.float()
