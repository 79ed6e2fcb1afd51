"""From samples of the token store to packs: what one process computes at a time, as tensors without padding."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image

from humanvlm.train.packing import packs
from humanvlm.train.pictures import Pictures
from humanvlm.train.plan import Plan
from humanvlm.train.samples import Picture

NO_TARGET = -100


class Samples(Protocol):
    """What a token store answers of sample ``i``: humanvlm.train.store."""

    lengths: Any
    labels: Any

    def tokens(self, i: int) -> Any: ...
    def spans(self, i: int) -> Any: ...
    def parts(self, i: int) -> tuple[int, ...]: ...
    def pictures(self, i: int) -> Any: ...


@dataclass(frozen=True)
class Pack:
    """Samples one behind the other in one row of L tokens.

    input_ids, position_ids: [1, L]; positions start at 0 in every sample. parts: the lengths of a sample's parts, see
    humanvlm.train.attention; boundaries: int32, the running sum of the samples' lengths from 0. label_places [K]: of
    the tokens that predict a label; targets [K]: the labels.
    Pictures in the order of their tokens: pixel_values [n, 3, H, W], or the features [n, T, D] of a frozen tower.
    dummy: the picture belongs to no token; it is computed, times zero, so that all processes do the same collectives.
    """

    input_ids: torch.Tensor
    position_ids: torch.Tensor
    parts: tuple[tuple[int, ...], ...]
    boundaries: torch.Tensor
    label_places: torch.Tensor
    targets: torch.Tensor
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


@dataclass(frozen=True)
class Step:
    """What one process computes of an optimiser step. labels, tokens: of the whole step, over all processes."""

    packs: tuple[Pack, ...]
    labels: int
    tokens: int

    def pin_memory(self) -> "Step":
        return replace(self, packs=tuple(pack.pin_memory() for pack in self.packs))


def make_pack(
    texts: Sequence[tuple[Any, Any]],
    parts: Sequence[tuple[int, ...]] | None = None,
    pixel_values: torch.Tensor | None = None,
    features: torch.Tensor | None = None,
) -> Pack:
    """A pack of samples, each given as its tokens [n] and label spans [m, 2] (start, stop).

    parts: the lengths of each sample's parts, None: each is one. A part after the first goes on where that ends.

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
        pixel_values=pixel_values,
        features=features,
    )


def _positions(parts: Sequence[int]) -> Any:
    first, *others = parts
    return np.concatenate([np.arange(first), *(first + np.arange(length) for length in others)])


def _places(spans: Any) -> Any:
    found = [np.arange(max(1, start), stop) for start, stop in np.asarray(spans).reshape(-1, 2).tolist()]
    return np.concatenate([np.zeros(0, np.int64), *found])


def blind(pack: Pack) -> Pack:
    """A pack whose picture, if it has one, belongs to no token; without labels it gets one that counts nothing."""
    if len(pack.targets):
        return replace(pack, dummy=True)
    nowhere = torch.zeros(1, dtype=torch.long)
    return replace(pack, dummy=True, label_places=nowhere, targets=torch.full((1,), NO_TARGET))


@dataclass(frozen=True)
class Pixels:
    """Reads pictures and makes them what the tower takes: pixel_values [n, 3, H, W]."""

    image_processor: Any
    pictures: Pictures = field(default_factory=Pictures)

    def __call__(self, pictures: Sequence[Picture] | None) -> dict[str, torch.Tensor]:
        """Of a sequence of pictures, or of a blank one."""
        images = [Image.new("RGB", (32, 32))] if pictures is None else [self.pictures.read(one) for one in pictures]
        return {"pixel_values": self.image_processor(images, return_tensors="pt")["pixel_values"]}


@dataclass(frozen=True)
class Steps(torch.utils.data.Dataset[Step]):
    """The optimiser steps of a run as ``rank`` of ``world`` computes them; item ``i`` is step ``i``.

    look: pictures, as the store names them, to the
    keyword of ``make_pack`` that holds them; ``None``: a blank one.
    """

    samples: Samples
    plan: Plan
    rank: int
    world: int
    pack_tokens: int
    look: Callable[[Sequence[Any] | None], dict[str, torch.Tensor]]

    def __len__(self) -> int:
        return self.plan.steps

    def __getitem__(self, step: int) -> Step:
        numbers = [int(number) for number in self.plan.batch(step)]
        lengths = [int(self.samples.lengths[number]) for number in numbers]
        mine = packs(lengths, self.world, self.pack_tokens)[self.rank]
        made = tuple(self._pack([numbers[place] for place in places]) for places in mine)
        return Step(made, sum(int(self.samples.labels[number]) for number in numbers), sum(lengths))

    def blank(self) -> Pack:
        """A pack of no samples."""
        return self._pack(())

    def _pack(self, numbers: Sequence[int]) -> Pack:
        texts = [(self.samples.tokens(number), self.samples.spans(number)) for number in numbers]
        parts = [self.samples.parts(number) for number in numbers]
        pictures = [picture for number in numbers for picture in self.samples.pictures(number)]
        if not pictures:
            return blind(make_pack(texts or [(np.zeros(1), ())], parts or None, **self.look(None)))
        return make_pack(texts, parts, **self.look(pictures))
