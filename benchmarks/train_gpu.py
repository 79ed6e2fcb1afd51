"""How busy training keeps a GPU: tokens and samples a second, MFU, memory, and what each optimisation gains.

Random weights, so that nothing is downloaded: ``paper`` is SigLIP so400m/14-384 with Llama-3-8B (profiles paper and
h100-1), ``nano`` is SigLIP-B/16-224 with SmolLM2-135M (profile nano), ``tiny`` for a trial on a CPU. Needs torch and
transformers only; the step is the trainer's own (humanvlm.train.learner) with AdamW, one process, without DeepSpeed.

Each way of computing takes the same samples: one picture and 40 to 160 tokens of text, the second half learnt.
``plain``: padded, logits everywhere; ``labels``: logits at labels only; ``packed``: and without padding. MFU is counted
operations (humanvlm.train.costs: no recomputation, no padding) a second over ``--peak``, by default 989 TFLOP/s, an
H100's in bfloat16, on a CPU a measured matrix product. Prints a table, and the same figures as JSON in the last line.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import LlamaConfig, LlavaConfig, LlavaForConditionalGeneration, SiglipVisionConfig

from humanvlm.train.attention import kernel
from humanvlm.train.costs import Sizes, speed
from humanvlm.train.learner import Learner
from humanvlm.train.pack import Pack, make_pack
from humanvlm.train.packing import packs

TOWERS: dict[str, Any] = {
    "paper": {"hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": 27, "num_attention_heads": 16}
    | {"image_size": 384, "patch_size": 14},
    "nano": {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
    | {"image_size": 224, "patch_size": 16},
    "tiny": {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    | {"image_size": 32, "patch_size": 8},
}
LANGUAGES: dict[str, Any] = {
    "paper": {"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32}
    | {"num_key_value_heads": 8, "vocab_size": 128_257, "rope_theta": 500_000.0, "tie_word_embeddings": False},
    "nano": {"hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9}
    | {"num_key_value_heads": 3, "vocab_size": 49_153, "tie_word_embeddings": True},
    "tiny": {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    | {"num_key_value_heads": 2, "vocab_size": 500, "tie_word_embeddings": True},
}
PEAK_H100 = 989e12


@dataclass(frozen=True)
class Text:
    """Tokens of a sample, and where its labels are."""

    tokens: Any
    spans: Any


class LowRank(nn.Module):
    """A frozen linear layer with a low-rank update (LoRA, without dropout)."""

    def __init__(self, base: nn.Linear, rank: int) -> None:
        super().__init__()
        like = {"device": base.weight.device, "dtype": base.weight.dtype}
        self.base = base
        self.down = nn.Linear(base.in_features, rank, bias=False, **like)
        self.up = nn.Linear(rank, base.out_features, bias=False, **like)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.base(inputs) + self.up(self.down(inputs))
        return result


def build(name: str, stage: int, rank: int, device: torch.device, dtype: torch.dtype) -> Any:
    """A LLaVA of random weights of which a stage's parts learn."""
    vision = SiglipVisionConfig(**TOWERS[name], vision_use_head=False)
    patches = (vision.image_size // vision.patch_size) ** 2
    text = LlamaConfig(**LANGUAGES[name], max_position_embeddings=8192)
    config = LlavaConfig(
        vision_config=vision, text_config=text, image_token_index=text.vocab_size - 1, image_seq_length=patches,
        vision_feature_layer=-1, vision_feature_select_strategy="full", tie_word_embeddings=text.tie_word_embeddings,
    )  # fmt: skip
    torch.set_default_dtype(dtype)
    with device:
        model = LlavaForConditionalGeneration(config)
    torch.set_default_dtype(torch.float32)
    model.requires_grad_(False)
    model.model.multi_modal_projector.requires_grad_(True)
    if stage == 2:
        for part in (model.model.language_model, model.model.vision_tower):
            for path, module in list(part.named_modules()):
                if isinstance(module, nn.Linear):
                    parent, _, last = path.rpartition(".")
                    setattr(part.get_submodule(parent), last, LowRank(module, rank))
    return model


def samples(model: Any, count: int) -> list[Text]:
    """One picture and 40 to 160 tokens each."""
    random, config = np.random.default_rng(0), model.config
    made = []
    for _ in range(count):
        length = int(random.integers(40, 160))
        text = random.integers(5, config.text_config.vocab_size - 2, length)
        tokens = np.concatenate([[1], np.full(config.image_seq_length, config.image_token_id), text])
        made.append(Text(tokens, [[len(tokens) - length // 2, len(tokens)]]))
    return made


def padded_loss(model: Any, texts: Sequence[Text], pixels: torch.Tensor, everywhere: bool) -> torch.Tensor:
    """Sum of the cross-entropy of a padded batch, by the model's own forward; logits everywhere or at labels only."""
    device = pixels.device
    longest = max(len(text.tokens) for text in texts)
    tokens, mask, labels = (torch.full((len(texts), longest), value, device=device) for value in (0, 0, -100))
    for row, text in enumerate(texts):
        tokens[row, : len(text.tokens)], mask[row, : len(text.tokens)] = torch.from_numpy(text.tokens), 1
        for start, stop in text.spans:
            labels[row, start:stop] = tokens[row, start:stop]
    inputs = {"input_ids": tokens, "attention_mask": mask, "pixel_values": pixels}
    if everywhere:
        logits = model(**inputs).logits[:, :-1].flatten(0, 1)
        return nn.functional.cross_entropy(logits.float(), labels[:, 1:].flatten(), reduction="sum")
    hidden = model.model(**inputs).last_hidden_state[:, :-1]
    learnt = labels[:, 1:] >= 0
    return nn.functional.cross_entropy(model.lm_head(hidden[learnt]).float(), labels[:, 1:][learnt], reduction="sum")


@dataclass(frozen=True)
class Timed:
    """Seconds of a step by phase, peak memory in GB."""

    forward: float
    backward: float
    update: float
    memory: float

    @property
    def step(self) -> float:
        return self.forward + self.backward + self.update


def measure(losses: Sequence[Callable[[], torch.Tensor]], model: Any, steps: int, device: torch.device) -> Timed:
    """A step is all of ``losses``, one after the other, and one update."""

    def now() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    adam = torch.optim.AdamW(learning, lr=1e-5, fused=True)
    spent = [0.0, 0.0, 0.0]
    for step in range(steps + 1):
        if step == 1:
            spent = [0.0, 0.0, 0.0]
            if device.type == "cuda":
                torch.cuda.reset_peak_memory_stats()
        for made in losses:
            start = now()
            loss = made()
            middle = now()
            torch.autograd.backward(loss)
            spent[0] += middle - start
            spent[1] += now() - middle
        start = now()
        adam.step()
        adam.zero_grad()
        spent[2] += now() - start
    memory = torch.cuda.max_memory_allocated() / 1e9 if device.type == "cuda" else 0.0
    forward, backward, update = (part / steps for part in spent)
    return Timed(forward, backward, update, memory)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=list(TOWERS), default="tiny")
    parser.add_argument("--stage", type=int, choices=(1, 2), default=1)
    parser.add_argument("--samples", type=int, default=16, help="of a step")
    parser.add_argument("--pack-tokens", type=int, default=8192)
    parser.add_argument("--padded-samples", type=int, default=8, help="at a time, where padded")
    parser.add_argument("--steps", type=int, default=4, help="counted ones")
    parser.add_argument("--rank", type=int, default=128, help="of the low-rank updates of stage 2")
    parser.add_argument("--checkpointing", action="store_true", help="recompute activations")
    parser.add_argument("--compile", action="store_true", help="torch.compile the decoder's layers too")
    parser.add_argument("--peak", type=float, default=0.0, help="operations a second that MFU is a share of")
    given = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    product = speed(device, dtype)
    peak = given.peak or (PEAK_H100 if device.type == "cuda" else product)
    torch.manual_seed(0)
    model = build(given.model, given.stage, given.rank, device, dtype)
    if given.checkpointing:
        model.model.language_model.gradient_checkpointing_enable({"use_reentrant": False})
    model.train()
    sizes = Sizes.of(model)
    texts = samples(model, given.samples)
    side = model.config.vision_config.image_size
    pixels = torch.randn(given.samples, 3, side, side, device=device, dtype=dtype)
    lengths = [len(text.tokens) for text in texts]
    labels: int = sum(stop - start for text in texts for start, stop in text.spans)
    length, seen = sum(lengths) / len(lengths), sizes.picture * given.samples
    work = sizes.operations(sum(lengths), labels, seen, length=length, tower_learns=given.stage == 2)
    starts = range(0, given.samples, given.padded_samples)
    batches = [range(at, min(at + given.padded_samples, given.samples)) for at in starts]

    def padded(everywhere: bool) -> list[Callable[[], torch.Tensor]]:
        def loss(part: range) -> torch.Tensor:
            seen = pixels[part.start : part.stop]
            return padded_loss(model, [texts[i] for i in part], seen, everywhere) / labels

        return [partial(loss, part) for part in batches]

    ways: dict[str, Timed] = {}
    for name, everywhere in (("plain", True), ("labels", False)):
        ways[name] = measure(padded(everywhere), model, given.steps, device)
    wanted = sum(float(one().detach()) for one in padded(False))
    learner = Learner(model)
    made: list[Pack] = [
        make_pack([(texts[i].tokens, texts[i].spans) for i in places], pixel_values=pixels[places].cpu()).to(device)
        for places in packs(lengths, 1, given.pack_tokens)[0]
    ]

    def packed_loss(pack: Pack) -> torch.Tensor:
        result: torch.Tensor = learner(pack) / labels
        return result

    packed = [partial(packed_loss, pack) for pack in made]
    found = sum(float(one().detach()) for one in packed)
    ways["packed"] = measure(packed, model, given.steps, device)
    if given.compile:
        for layer in model.model.language_model.layers:
            layer.compile(dynamic=True)
        ways["compiled"] = measure(packed, model, given.steps, device)
    print(f"{given.model}, stage {given.stage}, {device.type}, {dtype}, attention {kernel(device, dtype)}")
    print(
        f"matrix product {product / 1e12:.2f} TFLOP/s; MFU of {peak / 1e12:.2f}; a step counts {work / 1e12:.3f} TFLOP"
    )
    print(f"{'':9} {'tokens/s':>9} {'samples/s':>9} {'MFU':>6} {'GB':>6} {'forward':>8} {'backward':>8} {'update':>7}")
    rows = {}
    for name, timed in ways.items():
        row = rows[name] = {
            "tokens_a_second": sum(lengths) / timed.step,
            "samples_a_second": given.samples / timed.step,
            "mfu": work / timed.step / peak,
            "memory_gb": timed.memory,
            **{"forward_s": timed.forward, "backward_s": timed.backward, "update_s": timed.update},
        }
        print(
            f"{name:9} {row['tokens_a_second']:9.0f} {row['samples_a_second']:9.1f} {row['mfu']:6.1%} "
            f"{timed.memory:6.1f} {timed.forward:8.3f} {timed.backward:8.3f} {timed.update:7.3f}"
        )
    print(f"loss, packed against padded: {found:.6f} {wanted:.6f}")
    about = {"model": given.model, "stage": given.stage, "device": device.type, "peak": peak, "operations_a_step": work}
    print(json.dumps({**about, "matrix_product": product, "loss_packed": found, "loss_padded": wanted, "ways": rows}))


if __name__ == "__main__":
    main()
