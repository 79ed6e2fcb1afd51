"""From samples to batches: conversations to tokens and labels, the order of the whole run, padding."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from humanvlm.config.training import Training
from humanvlm.data.prompts import IMAGE_TOKEN
from humanvlm.errors import UserError
from humanvlm.model.build import image_tokens
from humanvlm.train.samples import Pictures, Sample, Turns

IGNORED = -100
Order = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Encoder:
    """Turns conversations into tokens with the processor's chat template."""

    processor: Any

    def encode(self, turns: Turns) -> tuple[list[int], list[int]]:
        """Token ids and labels of a conversation about one picture, equally long, never truncated.

        Image tokens come first. Labels are the replies with their end-of-turn token; all else is IGNORED. Special
        tokens in the texts, which are untrusted, are removed.
        """
        messages = self._messages(turns)
        text = self._render(messages)
        spans = []
        for end in range(2, len(messages) + 1, 2):
            asked = self._render(messages[: end - 1], add_generation_prompt=True)
            replied = self._render(messages[:end]).rstrip()
            if not (text.startswith(asked) and replied.startswith(asked) and text.startswith(replied)):
                raise UserError(
                    "the chat template rewrites earlier turns: replies cannot be told apart; use another model"
                )
            spans.append((len(asked), len(replied)))
        picture = image_tokens(self.processor)
        shift = (picture - 1) * len(IMAGE_TOKEN)
        encoded = self.processor.tokenizer(
            text.replace(IMAGE_TOKEN, IMAGE_TOKEN * picture, 1), add_special_tokens=False, return_offsets_mapping=True
        )
        labels = [
            token if any(first <= start - shift and stop - shift <= last for first, last in spans) else IGNORED
            for token, (start, stop) in zip(encoded["input_ids"], encoded["offset_mapping"], strict=True)
        ]
        return encoded["input_ids"], labels

    def _messages(self, turns: Turns) -> list[dict[str, str]]:
        messages = []
        for question, answer in turns:
            messages += [
                {"role": "user", "content": self._plain(question)},
                {"role": "assistant", "content": self._plain(answer)},
            ]
        messages[0]["content"] = f"{IMAGE_TOKEN}\n{messages[0]['content']}"
        return messages

    def _plain(self, text: str) -> str:
        for token in self.processor.tokenizer.all_special_tokens:
            text = text.replace(token, " ")
        return text.strip()

    def _render(self, messages: list[dict[str, str]], **options: Any) -> str:
        return str(self.processor.apply_chat_template(messages, tokenize=False, **options))


def fitting(
    samples: Sequence[Sample], encoder: Encoder, max_length: int
) -> tuple[list[Sample], list[int], Counter[str]]:
    """Samples that can be learnt from, their lengths in tokens, and the others by reason: too_long, no_labels.

    Of a conversation that is too long, the turns stay that fit.
    """
    kept: list[Sample] = []
    lengths: list[int] = []
    dropped: Counter[str] = Counter()
    for sample in samples:
        tokens, labels = encoder.encode(sample.turns)
        if len(tokens) > max_length and (turns := _beginning(sample.turns, labels, max_length)):
            sample = replace(sample, turns=turns)
            tokens, labels = encoder.encode(turns)
        if len(tokens) > max_length:
            dropped["too_long"] += 1
        elif sum(label != IGNORED for label in labels) < 2:  # the end-of-turn token alone teaches nothing
            dropped["no_labels"] += 1
        else:
            kept.append(sample)
            lengths.append(len(tokens))
    return kept, lengths, dropped


def _beginning(turns: Turns, labels: Sequence[int], max_length: int) -> Turns:
    """As many turns as end before ``max_length`` tokens, one for what may follow a reply. labels: of all the turns."""
    marks = [label != IGNORED for label in labels]
    ends = [place for place, (one, after) in enumerate(pairwise([*marks, False]), 1) if one and not after]
    return turns[: sum(end < max_length for end in ends)]


def schedule(sizes: Sequence[int], shares: Sequence[float], total: int, seed: int) -> Order:
    """The order of a whole run: ``total`` indices into the concatenation of sources of these ``sizes``.

    Every source gives its share (an empty one's share goes to the others), evenly spread over the run, each of its
    samples once before any twice. Depends on nothing but the arguments, so a resumed run sees the same order.
    """
    random = np.random.default_rng(seed)
    weights = np.array([share if size else 0.0 for size, share in zip(sizes, shares, strict=True)])
    if weights.sum() == 0:
        raise UserError("no training samples: every source with a share is empty")
    counts = np.floor(weights / weights.sum() * total).astype(np.int64)
    counts[int(weights.argmax())] += total - counts.sum()
    order, places, first = [], [], 0
    for size, count in zip(sizes, counts.tolist(), strict=True):
        if count:
            passes = [random.permutation(size) for _ in range(-(-count // size))]
            order.append(first + np.concatenate(passes)[:count])
            places.append((np.arange(count) + random.random(count)) / count)
        first += size
    return np.concatenate(order)[np.argsort(np.concatenate(places), kind="stable")]


def grouped(order: Order, lengths: Sequence[int], batch: int, seed: int, batches: int = 16) -> Order:
    """The order with samples of like length in one batch: sorted within windows of ``batches``, which stay in place."""
    random = np.random.default_rng(seed)
    size = np.asarray(lengths)
    windows = []
    for start in range(0, len(order), batch * batches):
        window = order[start : start + batch * batches]
        window = window[np.argsort(size[window], kind="stable")]
        parts = [window[at : at + batch] for at in range(0, len(window), batch)]
        windows += [parts[index] for index in random.permutation(len(parts))]
    return np.concatenate(windows)


def steps(config: Training, samples: int) -> int:
    """Optimiser steps of a run over that many samples an epoch."""
    return config.max_steps if config.max_steps > 0 else max(1, round(config.epochs * samples / config.batch_size))


@dataclass(frozen=True)
class Run(torch.utils.data.Dataset[dict[str, Any]]):
    """Every sample of a run in its order; item ``i`` is what the ``i``-th place of the schedule trains on."""

    samples: Sequence[Sample]
    order: Order
    encoder: Encoder
    pictures: Pictures

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, place: int) -> dict[str, Any]:
        sample = self.samples[int(self.order[place])]
        tokens, labels = self.encoder.encode(sample.turns)
        images = self.encoder.processor.image_processor(self.pictures.read(sample), return_tensors="pt")
        return {"input_ids": tokens, "labels": labels, "pixel_values": images["pixel_values"][0]}


@dataclass(frozen=True)
class Collator:
    """Pads on the right. Logits are asked for only from the first label of the batch on, which labels are cut to."""

    pad_token: int

    def __call__(self, items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """input_ids, attention_mask [B, T]; labels [B, K]; logits_to_keep K; pixel_values [B, 3, H, W]."""
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
        return {
            "input_ids": tokens,
            "attention_mask": mask,
            "labels": labels[:, -keep:],
            "logits_to_keep": keep,
            "pixel_values": torch.stack([item["pixel_values"] for item in items]),
        }
