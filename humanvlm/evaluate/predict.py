"""Replies of a model to samples, saved as they are made: a killed run asks nothing twice.

``predictions.jsonl`` in the work folder holds one line a reply, fsynced a batch at a time.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from humanvlm.evaluate.tasks import Sample, read_picture

Ask = Callable[[Sequence[Image.Image], Sequence[str]], Sequence[str]]
Dropped = tuple[str, str, str]


def load_replies(path: Path) -> dict[str, str]:
    """Replies by key. A line that a kill left half written is cut off."""
    replies: dict[str, str] = {}
    if not path.exists():
        return replies
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        os.truncate(path, whole)
    for line in data[:whole].splitlines():
        record = json.loads(line)
        replies[record["key"]] = record["reply"]
    return replies


def save_replies(path: Path, replies: Iterable[tuple[str, str]]) -> None:
    """Append replies by key, durably."""
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps({"key": key, "reply": reply}) + "\n" for key, reply in replies)
        file.flush()
        os.fsync(file.fileno())


def answer(
    samples: Sequence[Sample], replies: dict[str, str], path: Path, ask: Ask, batch_size: int
) -> Iterator[Dropped | None]:
    """Ask for every reply that is missing and add it to ``replies`` and to the file at ``path``.

    Yields once a sample: None, or (id, reason, detail) when its picture is missing or does not decode.
    """
    todo = iter([sample for sample in samples if sample.key not in replies])
    while batch := list(islice(todo, batch_size)):
        pictures, asked = [], []
        for sample in batch:
            try:
                pictures.append(read_picture(sample.picture))
            except FileNotFoundError:
                yield sample.id, "missing_image", f"{sample.task}: {sample.image}"
            except ValueError as error:
                yield sample.id, "corrupt_image", f"{sample.task}: {sample.image}: {error}"
            else:
                asked.append(sample)
        if not asked:
            continue
        texts = ask(pictures, [sample.prompt for sample in asked])
        made = [(sample.key, text.strip()) for sample, text in zip(asked, texts, strict=True)]
        save_replies(path, made)
        replies.update(made)
        yield from [None] * len(made)


def mean_picture(pictures: Iterable[Image.Image], image_processor: Any) -> Image.Image:
    """The mean of the pictures as the model sees them (resized, cropped): a picture that tells nothing.

    image_processor: a Hugging Face one, whose ``pixel_values`` are (1, 3, H, W), scaled by 1/255 and normalised.
    """
    total: Any = 0.0
    count = 0
    for picture in pictures:
        total = total + np.asarray(image_processor(images=picture, return_tensors="np")["pixel_values"][0], np.float64)
        count += 1
    if not count:
        raise ValueError("the mean of no pictures")
    mean, std = (np.array(getattr(image_processor, name)).reshape(3, 1, 1) for name in ("image_mean", "image_std"))
    pixels = np.clip((total / count * std + mean) * 255, 0, 255).round().astype(np.uint8)
    return Image.fromarray(pixels.transpose(1, 2, 0))
