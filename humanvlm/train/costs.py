"""What a run will take: operations, memory, hours. Estimates from sizes, said before the first step.

A token costs 2 operations a weight forward and 2 backward through a weight that is frozen, 2 more where it learns
(Kaplan et al. 2020, arXiv 2001.08361); logits are computed at labels only; attention adds 4 L D a layer and token.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from humanvlm.train.attention import kernel
from humanvlm.train.parts import part_of, plain

if TYPE_CHECKING:
    from humanvlm.config.training import Training
    from humanvlm.train.plan import Plan
    from humanvlm.train.store import Store


@dataclass(frozen=True)
class Sizes:
    """Weights of a model, by what they cost. head: of the matrix that makes logits; picture: tokens of one."""

    language: int
    tower: int
    projector: int
    head: int
    trained: int
    layers: int
    width: int
    picture: int

    @classmethod
    def of(cls, model: Any) -> "Sizes":
        llava = plain(model)
        counts = {"language_model": 0, "vision_tower": 0, "projector": 0}
        embeddings = {id(llava.get_input_embeddings().weight), id(llava.lm_head.weight)}
        for name, parameter in llava.named_parameters():
            if id(parameter) not in embeddings:
                counts[part_of(name)] += parameter.numel()
        text = llava.config.text_config
        return cls(
            language=counts["language_model"],
            tower=counts["vision_tower"],
            projector=counts["projector"],
            head=llava.lm_head.weight.numel(),
            trained=sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad),
            layers=text.num_hidden_layers,
            width=text.hidden_size,
            picture=llava.config.image_seq_length,
        )

    def operations(self, tokens: float, labels: float, patches: float, *, length: float, tower_learns: bool) -> float:
        """Floating-point operations of a step. patches: tokens that the tower computes (0: its features are cached);
        length: of a sample, on average."""
        language = 4 * self.language * tokens + 4 * self.head * labels
        attention = 8 * self.layers * self.width * length / 2 * tokens
        seen = (4 if tower_learns else 2) * self.tower * patches + 6 * self.projector * patches
        return language + attention + seen + 2 * self.trained * tokens

    def memory(self, pack_tokens: float, world: int, zero: int, half: bool, checkpointing: bool) -> float:
        """Bytes a process needs: weights, gradients, AdamW's state, activations of a pack."""
        each = 2 if half else 4
        weights = each * (self.language + self.tower + self.projector + self.head) / (world if zero == 3 else 1)
        gradients = each * self.trained / (world if zero >= 2 else 1)
        state = 12 * self.trained / (world if zero >= 1 else 1)
        kept = (2 if checkpointing else 34) * each / 2 * self.width * self.layers * pack_tokens
        return weights + gradients + state + kept


def speed(device: torch.device, dtype: torch.dtype) -> float:
    """Operations a second of a matrix product, measured in a tenth of a second or so."""
    size = 4096 if device.type == "cuda" else 1024
    one = torch.randn(size, size, device=device, dtype=dtype)
    count, start = 0, time.monotonic()
    one @ one
    while count < 3 or time.monotonic() - start < 0.1:
        one @ one
        count += 1
        if device.type == "cuda":
            torch.cuda.synchronize()
    return 2 * size**3 * (count + 1) / (time.monotonic() - start)


def operations(sizes: Sizes, parts: Mapping[str, int], plan: "Plan", store: "Store", *, kept: bool) -> float:
    """Floating-point operations of a token, on average over the plan. kept: the tower's features are."""
    length, labels = _averages(plan, store)
    patches = 0 if kept else sizes.picture / length
    return sizes.operations(1, labels / length, patches, length=length, tower_learns="vision_tower" in parts)


def _averages(plan: "Plan", store: "Store") -> tuple[float, float]:
    """Tokens and label tokens of a sample."""
    seen = plan.order[:: max(1, len(plan.order) // 10_000)]
    return float(store.lengths[seen].mean()), float(store.labels[seen].mean())


def opening(
    config: "Training",
    sizes: Sizes,
    parts: Mapping[str, int],
    plan: "Plan",
    store: "Store",
    *,
    first: int,
    half: bool,
    world: int,
    kept: bool,
    peak: float,
) -> str:
    """What is said before the first step: how it is computed, what learns, how much at a time, and what it may take.

    kept: the tower's features are, and it is not run. peak: operations a second of matrix products, of all processes.
    """
    gpu = torch.cuda.is_available()
    device, dtype = torch.device("cuda" if gpu else "cpu"), torch.bfloat16 if half else torch.float32
    length, labels = _averages(plan, store)
    work = plan.batch_size * length * operations(sizes, parts, plan, store, kept=kept)
    left = plan.steps - first
    at_once = min(config.pack_tokens, plan.batch_size * length)
    memory = sizes.memory(at_once, world, config.zero_stage, half, config.gradient_checkpointing)
    lines = (
        f"DeepSpeed, ZeRO {config.zero_stage}, offload {config.offload}, {world} process(es) on {device.type}, "
        f"{'bfloat16' if half else 'float32'}, attention {kernel(device, dtype)}",
        f"learns: {', '.join(f'{part} {count:,}' for part, count in parts.items())} parameters",
        f"{left} of {plan.steps} steps of {plan.batch_size} samples, about {plan.batch_size * length:,.0f} tokens "
        f"({plan.batch_size * labels:,.0f} learnt), at most {config.pack_tokens:,} at a time a process",
        f"a step is about {work / 1e9:,.0f} GFLOP; matrix products run at {peak / 1e9:,.0f} GFLOP/s, at half that "
        f"it takes {left * work / peak * 2 / 3600:.2f} h; memory about {memory / 2**30:.1f} GiB a process",
    )
    return "\n  ".join(lines)
