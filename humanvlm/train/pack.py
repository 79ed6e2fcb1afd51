"""A pack: samples one behind the other as tensors, without padding."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch

NO_TARGET = -100
# How much a token of a reply of n tokens weighs: n to the power of minus that. The averagings of InternVL 2.5
# (Chen et al. 2024, arXiv 2412.05271).
POWERS = {"token": 0.0, "square": 0.5, "sample": 1.0}


@dataclass(frozen=True)
class Pack:
    """Samples one behind the other in one row of L tokens.

    input_ids, position_ids: [1, L]; positions start at 0 in every sample. parts: the lengths of a sample's parts, see
    humanvlm.train.attention; boundaries: int32, the running sum of the samples' lengths from 0. label_places [K]: of
    the tokens that predict a label; targets [K]: the labels; weights [K] float32: how much each counts.
    Pictures in the order of their tokens: pixel_values [n, 3, H, W], or the features [n, T, D] of a frozen tower.
    dummy: the picture belongs to no token; it is computed, times zero, so that all processes do the same collectives.
    """

    input_ids: torch.Tensor
    position_ids: torch.Tensor
    parts: tuple[tuple[int, ...], ...]
    boundaries: torch.Tensor
    label_places: torch.Tensor
    targets: torch.Tensor
    weights: torch.Tensor
    pixel_values: torch.Tensor | None = None
    features: torch.Tensor | None = None
    dummy: bool = False

    def to(self, device: torch.device) -> "Pack":
        """The same on another device."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> "Pack":
        """The same in memory that a GPU reads without a copy: what a DataLoader asks of its items."""
        return self._each(lambda tensor: tensor.pin_memory())

    def _each(self, change: Callable[[torch.Tensor], torch.Tensor]) -> "Pack":
        values: dict[str, Any] = {one.name: getattr(self, one.name) for one in fields(self)}
        changed: dict[str, Any] = {key: change(value) for key, value in values.items() if torch.is_tensor(value)}
        return replace(self, **changed)


def make_pack(
    texts: Sequence[tuple[Any, Any]],
    parts: Sequence[tuple[int, ...]] | None = None,
    power: float = 0.0,
    pixel_values: torch.Tensor | None = None,
    features: torch.Tensor | None = None,
) -> Pack:
    """A pack of samples, each given as its tokens [n] and label spans [m, 2] (start, stop).

    parts: the lengths of each sample's parts, None: each is one. A part after the first goes on where that ends.
    power: see POWERS.

    The pictures are those of the samples, in order; none at all is an error: a pack without pictures takes a dummy,
    with ``blind``. A label is predicted by the token before it, so that a first token, which another sample's end
    precedes, is never one.
    """
    lengths = tuple(len(tokens) for tokens, _ in texts)
    parts = [(length,) for length in lengths] if parts is None else parts
    starts = np.cumsum([0, *lengths])
    row = np.concatenate([np.asarray(tokens, np.int64) for tokens, _ in texts])
    labels = np.concatenate(
        [first + _places(spans) for first, (_, spans) in zip(starts.tolist(), texts, strict=False)]
    ).astype(np.int64)
    return Pack(
        input_ids=torch.from_numpy(row)[None],
        position_ids=torch.from_numpy(np.concatenate([_positions(sample) for sample in parts]))[None],
        parts=tuple(parts),
        boundaries=torch.from_numpy(starts.astype(np.int32)),
        label_places=torch.from_numpy(labels - 1),
        targets=torch.from_numpy(row[labels]),
        weights=torch.from_numpy(np.concatenate([label_weights(spans, power) for _, spans in texts])),
        pixel_values=pixel_values,
        features=features,
    )


def cut(tokens: Any, spans: Any, parts: Sequence[int], kept: Sequence[int]) -> tuple[Any, Any, tuple[int, ...]]:
    """Tokens [n], label spans [m, 2] and lengths of a sample's parts, of those ``kept`` only (places, rising)."""
    ends = np.cumsum(parts)
    starts, lengths = ends - parts, tuple(parts[place] for place in kept)
    spans = np.asarray(spans, np.int64).reshape(-1, 2)
    places = np.searchsorted(ends, spans[:, 0], side="right")
    shift = np.full(len(parts), -1)
    shift[list(kept)] = np.cumsum(lengths) - lengths - starts[list(kept)]
    mine = np.isin(places, kept)
    row = np.concatenate([np.asarray(tokens)[starts[place] : ends[place]] for place in kept])
    return row, spans[mine] + shift[places[mine], None], lengths


def _positions(parts: Sequence[int]) -> Any:
    first, *others = parts
    return np.concatenate([np.arange(first), *(first + np.arange(length) for length in others)])


def _places(spans: Any) -> Any:
    found = [np.arange(max(1, start), stop) for start, stop in np.asarray(spans).reshape(-1, 2).tolist()]
    return np.concatenate([np.zeros(0, np.int64), *found])


def label_weights(spans: Any, power: float) -> Any:
    """[K] float32: how much each label of a sample counts, given its spans and a power of POWERS."""
    sizes = [stop - max(1, start) for start, stop in np.asarray(spans, np.int64).reshape(-1, 2).tolist()]
    return np.repeat([size**-power if size else 0.0 for size in sizes], sizes).astype(np.float32)


def blind(pack: Pack) -> Pack:
    """A pack whose picture, if it has one, belongs to no token; without labels it gets one that counts nothing."""
    if len(pack.targets):
        return replace(pack, dummy=True)
    nowhere = torch.zeros(1, dtype=torch.long)
    return replace(pack, dummy=True, label_places=nowhere, targets=torch.full((1,), NO_TARGET), weights=torch.zeros(1))
