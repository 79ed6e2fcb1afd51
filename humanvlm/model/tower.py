"""MobileNetV2 as a vision tower: 7x7 feature cells, or fewer pooled ones, become tokens that LLaVA reads like patches.

Sandler et al. 2018 (arXiv 1801.04381), with torchvision's ImageNet weights. Importing this module registers the tower
with transformers' Auto classes, so that a saved checkpoint loads by its ``model_type``.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.dataclasses import strict
from transformers import AutoConfig, AutoModel, MobileNetV2Config, MobileNetV2Model, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling

from humanvlm.errors import UserError

CHANNELS = 1280
CELL = 32  # pixels a side


@strict
class TokensConfig(MobileNetV2Config):  # type: ignore[misc]
    """MobileNetV2 with torchvision's padding and epsilon, and what LLaVA asks of a tower."""

    model_type = "mobilenet_v2_tokens"
    tf_padding: bool = False
    layer_norm_eps: float = 1e-5
    hidden_size: int = CHANNELS  # and those that tell places
    places: int = 0  # rows, and columns, that channels after the network's tell apart
    patch_size: int = CELL  # pixels a side that a token stands for; above CELL, cells are pooled


def tokens_config(image_size: int, side: int = 0) -> TokensConfig:
    """A tower of square pictures that makes ``side`` x ``side`` tokens (0: one of each cell) which tell their places.

    A convolution hardly knows where it looks, as the patches of a transformer do, so that a token's row and column are
    channels of their own (Liu et al. 2018, arXiv 1807.03247), 0 or 1.
    """
    side = side or image_size // CELL
    return TokensConfig(
        image_size=image_size, patch_size=image_size // side, hidden_size=CHANNELS + 2 * side, places=side
    )


class MobileNetV2Tokens(PreTrainedModel):  # type: ignore[misc]
    """Pictures [B, 3, H, W] float, ImageNet-normalised -> hidden_states of one [B, H//P * W//P, D], P the
    ``patch_size``: means of the network's cells where these are smaller; its channels first, then rows and columns."""

    config: TokensConfig
    config_class = TokensConfig
    base_model_prefix = "backbone"
    main_input_name = "pixel_values"
    input_modalities = ("image",)

    def __init__(self, config: TokensConfig) -> None:
        super().__init__(config)
        self.backbone = MobileNetV2Model(config, add_pooling_layer=False)
        self.post_init()

    def forward(self, pixel_values: torch.Tensor, **kwargs: Any) -> BaseModelOutputWithPooling:
        cells = self.backbone(pixel_values, output_hidden_states=False, return_dict=True).last_hidden_state
        rows, columns = (side // self.config.patch_size for side in pixel_values.shape[2:])
        if cells.shape[2:] != (rows, columns):
            cells = torch.nn.functional.adaptive_avg_pool2d(cells, (rows, columns))
        if places := self.config.places:
            row, column = torch.meshgrid(*(torch.arange(side) for side in (rows, columns)), indexing="ij")
            known = torch.cat([torch.nn.functional.one_hot(axis, places) for axis in (row, column)], 2)
            known = known.permute(2, 0, 1).to(cells).expand(len(cells), -1, -1, -1)
            cells = torch.cat([cells, known], 1)
        tokens = cells.flatten(2).transpose(1, 2)
        return BaseModelOutputWithPooling(last_hidden_state=tokens, hidden_states=(tokens,))

    def train(self, mode: bool = True) -> "MobileNetV2Tokens":
        """Always evaluation mode: batch statistics of eight pictures would ruin the pretrained running statistics."""
        super().train(False)
        return self


AutoConfig.register(TokensConfig.model_type, TokensConfig, exist_ok=True)
AutoModel.register(TokensConfig, MobileNetV2Tokens, exist_ok=True)


def load_tower(weights: Path, config: TokensConfig | None = None) -> MobileNetV2Tokens:
    """The tower with torchvision's weights, float32, in evaluation mode. ``weights``: a verified state dict file.

    Raises UserError when a key of the file has no place, or a weight of the tower gets no value.
    """
    tower = MobileNetV2Tokens(config or TokensConfig())
    result = tower.load_state_dict(rename(torch.load(weights, map_location="cpu", weights_only=True)), strict=False)
    if result.missing_keys or result.unexpected_keys:
        key = (result.missing_keys + result.unexpected_keys)[0]
        raise UserError(f"{weights}: not torchvision's MobileNetV2: {key!r} has no counterpart")
    return tower.eval()  # type: ignore[no-any-return]


def rename(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """torchvision's keys to the tower's; the classifier, the only part without a place, is left out."""
    return {_rename_key(key): value for key, value in state.items() if not key.startswith("classifier.")}


_PARTS = ("convolution", "normalization")


def _rename_key(key: str) -> str:
    if match := re.fullmatch(r"features\.(0|18)\.([01])\.(\w+)", key):
        block, part, rest = match.groups()
        return f"backbone.{'conv_stem.first_conv' if block == '0' else 'conv_1x1'}.{_PARTS[int(part)]}.{rest}"
    if match := re.fullmatch(r"features\.(\d+)\.conv\.(\d)\.(?:([01])\.)?(\w+)", key):
        block, step, part, rest = int(match[1]), int(match[2]), match[3], match[4]
        steps = ("conv_3x3", "reduce_1x1") if block == 1 else ("expand_1x1", "conv_3x3", "reduce_1x1")
        last = len(steps) - 1  # the linear projection: convolution and normalisation are numbered, not nested
        name = steps[min(step, last)]
        kind = _PARTS[int(part)] if part else _PARTS[step - last]
        prefix = "conv_stem" if block == 1 else f"layer.{block - 2}"
        return f"backbone.{prefix}.{name}.{kind}.{rest}"
    return key
