"""From the plan to batches: tokens, labels and pictures of samples, padding."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from humanvlm.errors import UserError
from humanvlm.train.pictures import Pictures
from humanvlm.train.plan import Plan
from humanvlm.train.store import Store

IGNORED = -100


@dataclass(frozen=True)
class Run(torch.utils.data.Dataset[dict[str, Any]]):
    """Every sample of a run in its order; item ``i`` is what the ``i``-th place of the plan trains on."""

    store: Store
    plan: Plan
    image_processor: Any
    pictures: Pictures

    def __len__(self) -> int:
        return len(self.plan.order)

    def __getitem__(self, place: int) -> dict[str, Any]:
        sample = int(self.plan.order[place])
        tokens = self.store.tokens(sample).tolist()
        labels = [IGNORED] * len(tokens)
        for start, stop in self.store.spans(sample).tolist():
            labels[start:stop] = tokens[start:stop]
        images = [self.pictures.read(picture) for picture in self.store.pictures(sample)]
        pixels = self.image_processor(images, return_tensors="pt")["pixel_values"] if images else None
        return {"input_ids": tokens, "labels": labels, "pixel_values": pixels}


@dataclass(frozen=True)
class Collator:
    """Pads on the right. Logits are asked for only from the first label of the batch on, which labels are cut to."""

    pad_token: int

    def __call__(self, items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """input_ids, attention_mask [B, T]; labels [B, K]; logits_to_keep K; pixel_values [pictures, 3, H, W]."""
        longest = max(len(item["input_ids"]) for item in items)
        tokens = torch.full((len(items), longest), self.pad_token)
        labels = torch.full((len(items), longest), IGNORED)
        mask = torch.zeros((len(items), longest), dtype=torch.long)
        for row, item in enumerate(items):
            length = len(item["input_ids"])
            tokens[row, :length] = torch.tensor(item["input_ids"])
            labels[row, :length] = torch.tensor(item["labels"])
            mask[row, :length] = 1
        learnt = (labels != IGNORED).any(0).nonzero()
        if not len(learnt):
            raise UserError("a batch without a label token: the chat template and the labels disagree")
        keep = longest - int(learnt[0]) + 1  # the token before the first label predicts it
        pixels = [item["pixel_values"] for item in items if item["pixel_values"] is not None]
        return {
            "input_ids": tokens,
            "attention_mask": mask,
            "labels": labels[:, -keep:],
            "logits_to_keep": keep,
            **({"pixel_values": torch.cat(pixels)} if pixels else {}),
        }
