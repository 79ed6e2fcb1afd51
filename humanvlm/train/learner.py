"""What DeepSpeed's engine trains: a LLaVA that turns a pack into the sum of its labels' cross-entropy.

Three things cost less than in the model's own ``forward``: logits are computed at label places only, a few rows at a
time, with their gradient at once, so that they never take more than LOGITS bytes; the tower is left out when its
features are given; samples are packed (humanvlm.train.attention).
"""

from typing import Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable

from humanvlm.train.attention import use_packed_attention
from humanvlm.train.pack import Pack
from humanvlm.train.parts import plain

LOGITS = 256 << 20  # bytes


class Learner(nn.Module):
    """``model``: a LLaVA, or a peft model of one. Its language model and head are changed in place."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        llava = plain(model)
        use_packed_attention(llava.model.language_model)
        llava.lm_head = Head.of(llava.lm_head)
        self._llava = [llava]  # in a list: a part of ``model`` already, not another one

    def forward(self, pack: Pack) -> torch.Tensor:
        """Weighted sum of the cross-entropy (nats) over the pack's labels, a scalar of float32 or more."""
        llava = self._llava[0]
        embeds = llava.get_input_embeddings()(pack.input_ids)
        pictures = self._pictures(pack, embeds.dtype)
        if pack.dummy:
            embeds = embeds + 0 * pictures.sum()
        else:
            places = (pack.input_ids == llava.config.image_token_id)[..., None]
            embeds = embeds.masked_scatter(places, pictures)
        hidden = llava.model.language_model(
            inputs_embeds=embeds,
            position_ids=pack.position_ids,
            parts=pack.parts,
            boundaries=pack.boundaries,
            use_cache=False,
        ).last_hidden_state
        loss: torch.Tensor = llava.lm_head(hidden[0, pack.label_places], pack.targets, pack.weights)
        return loss

    def _pictures(self, pack: Pack, dtype: torch.dtype) -> torch.Tensor:
        """[pictures * tokens, D] in the language model's space."""
        llava = self._llava[0]
        if pack.features is not None:
            return llava.model.multi_modal_projector(pack.features.to(dtype)).flatten(0, 1)  # type: ignore[no-any-return]
        assert pack.pixel_values is not None
        found = llava.model.get_image_features(
            pixel_values=pack.pixel_values.to(dtype),
            vision_feature_layer=llava.config.vision_feature_layer,
            vision_feature_select_strategy=llava.config.vision_feature_select_strategy,
        ).pooler_output
        return torch.cat(list(found)).to(dtype)


class Head(nn.Linear):
    """The language model's head: logits, or with targets the sum of their cross-entropy without keeping logits."""

    @classmethod
    def of(cls, head: nn.Linear) -> "Head":
        """The same weights, shared."""
        made = cls(head.in_features, head.out_features, bias=False, device="meta")
        made.weight = head.weight
        return made

    def forward(
        self, hidden: torch.Tensor, targets: torch.Tensor | None = None, weights: torch.Tensor | None = None
    ) -> torch.Tensor:
        if targets is None:
            return super().forward(hidden.contiguous())  # see humanvlm.model.load.contiguous_head
        loss: torch.Tensor = _CrossEntropy.apply(hidden, self.weight, targets, weights)  # type: ignore[no-untyped-call]
        return loss


class _CrossEntropy(torch.autograd.Function):
    """hidden [K, D], weight [V, D], targets [K] (below 0: none), weights [K] -> weighted sum of cross-entropy; the
    gradients are made on the way, while a chunk's logits are there, instead of computing them twice."""

    @staticmethod
    def forward(
        ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor
    ) -> torch.Tensor:
        wants_hidden, wants_weight, *_ = ctx.needs_input_grad
        rows = max(1, LOGITS // (4 * weight.shape[0]))
        exact = torch.promote_types(hidden.dtype, torch.float32)
        loss = hidden.new_zeros((), dtype=exact)
        by_hidden = torch.zeros_like(hidden) if wants_hidden else None
        by_weight = torch.zeros_like(weight, dtype=exact) if wants_weight else None
        for start in range(0, len(targets), rows):
            chunk, wanted = hidden[start : start + rows], targets[start : start + rows]
            logits = (chunk @ weight.T).to(exact)
            total = logits.logsumexp(-1)
            learnt = (wanted >= 0) * weights[start : start + rows]
            right = wanted.clamp(min=0)[:, None]
            loss += ((total - logits.gather(1, right)[:, 0]) * learnt).sum()
            if by_hidden is None and by_weight is None:
                continue
            slope = logits.sub_(total[:, None]).exp_()
            slope.scatter_add_(1, right, torch.full_like(right, -1, dtype=slope.dtype)).mul_(learnt[:, None])
            slope = slope.to(weight.dtype)
            if by_hidden is not None:
                by_hidden[start : start + rows] = slope @ weight
            if by_weight is not None:
                by_weight += (slope.T @ chunk).to(exact)
        ctx.save_for_backward(by_hidden, by_weight)
        ctx.weight_dtype = weight.dtype
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None, None, None]:
        by_hidden, by_weight = ctx.saved_tensors
        return (
            None if by_hidden is None else by_hidden * upstream.to(by_hidden.dtype),
            None if by_weight is None else (by_weight * upstream).to(ctx.weight_dtype),
            None,
            None,
        )
