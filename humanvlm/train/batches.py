"""From the plan to packs: what each process computes of a step."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image

from humanvlm.train.pack import POWERS, Pack, blind, cut, label_weights, make_pack
from humanvlm.train.packing import Piece, packs, pieces
from humanvlm.train.pictures import Pictures
from humanvlm.train.plan import Plan
from humanvlm.train.samples import Picture


class Samples(Protocol):
    """What a token store answers of sample ``i``: humanvlm.train.store."""

    @property
    def lengths(self) -> Any: ...
    @property
    def labels(self) -> Any: ...
    def tokens(self, i: int) -> Any: ...
    def spans(self, i: int) -> Any: ...
    def parts(self, i: int) -> tuple[int, ...]: ...
    def pictures(self, i: int) -> Any: ...


@dataclass(frozen=True)
class Step:
    """What one process computes of an optimiser step. labels, tokens, and weight, which is that of all
    labels: of the whole step, over all processes."""

    packs: tuple[Pack, ...]
    labels: int
    tokens: int
    weight: float

    def pin_memory(self) -> "Step":
        return replace(self, packs=tuple(pack.pin_memory() for pack in self.packs))


@dataclass(frozen=True)
class Pixels:
    """Reads pictures and makes them what the tower takes: pixel_values [n, 3, H, W]."""

    image_processor: Any
    pictures: Pictures = field(default_factory=Pictures)

    @classmethod
    def of(cls, image_processor: Any) -> "Pixels":
        """Reads pictures as fine as the processor needs them."""
        return cls(image_processor, Pictures(image_processor.size))

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
    weighting: str = "token"

    def __len__(self) -> int:
        return self.plan.steps

    def __getitem__(self, step: int) -> Step:
        numbers = [int(number) for number in self.plan.batch(step)]
        shared = pieces([self.samples.parts(number) for number in numbers], self.world)
        mine = packs([piece.tokens for piece in shared], self.world, self.pack_tokens)[self.rank]
        made = tuple(self._pack(numbers, [shared[place] for place in places]) for places in mine)
        labels = sum(int(self.samples.labels[number]) for number in numbers)
        weight = sum(float(label_weights(self.samples.spans(number), self._power).sum()) for number in numbers)
        return Step(made, labels, sum(int(self.samples.lengths[number]) for number in numbers), weight)

    @property
    def _power(self) -> float:
        return POWERS[self.weighting]

    def blank(self) -> Pack:
        """A pack of no samples."""
        return self._pack((), ())

    def _pack(self, numbers: Sequence[int], shared: Sequence[Piece]) -> Pack:
        own = [numbers[piece.sample] for piece in shared]
        texts, parts = [], []
        for number, piece in zip(own, shared, strict=True):
            sample = self.samples
            tokens, spans, lengths = cut(
                sample.tokens(number), sample.spans(number), sample.parts(number), (0, *(1 + k for k in piece.others))
            )
            texts.append((tokens, spans))
            parts.append(lengths)
        pictures = [picture for number in own for picture in self.samples.pictures(number)]
        if not pictures:
            return blind(make_pack(texts or [(np.zeros(1), ())], parts or None, self._power, **self.look(None)))
        return make_pack(texts, parts, self._power, **self.look(pictures))
