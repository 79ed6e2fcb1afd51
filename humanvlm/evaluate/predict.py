"""From samples to replies: what a sample asks, and which reply is whose."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
from PIL import Image

from humanvlm.evaluate.tasks.base import Dropped, Sample
from humanvlm.evaluate.tasks.pictures import Picture, picture_bytes
from humanvlm.inference.ask import ask_all, make_request, run_identity, served
from humanvlm.inference.base import CORRUPT, Model, Reply, Request
from humanvlm.inference.cache import Predictions, digest

MEAN_SIDE = 384


@dataclass(frozen=True)
class Predicted:
    """replies: by ``Sample.key``. dropped: (id, reason, detail) of samples without one. run: what made the replies,
    and of servers, which models those were.

    made, known: how many distinct requests were asked now, and were in the store. damaged: lines of the store that a
    kill left behind.
    """

    replies: Mapping[str, Reply]
    dropped: Sequence[Dropped]
    run: Mapping[str, Any]
    made: int
    known: int
    damaged: int


def predict(
    samples: Sequence[Sample], model: Model, store: Predictions, max_new_tokens: int, max_failed: float = 0.0
) -> Predicted:
    """A reply to every sample whose picture can be read, unless its request fails.

    Raises UserError when more than the share ``max_failed`` of the samples failed. Samples with missing or corrupt
    pictures do not count as failed.
    """
    requests, dropped = make_requests(samples, model.identity, max_new_tokens)
    asked = ask_all(list(requests.values()), model, store, "benchmark_scores", max_failed)
    replies = {}
    for sample in samples:
        request = requests.get(sample.key)
        if request is None:
            continue
        if error := asked.failed.get(request.key):
            dropped.append((sample.id, error.error, f"{sample.task}: {sample.image}: {error.detail}"))
        else:
            replies[sample.key] = asked.replies[request.key]
    run = run_identity(model.identity, requests.values())
    if names := served(asked.replies.values()):
        run["served"] = names
    return Predicted(replies, dropped, run, asked.made, asked.known, asked.damaged)


def make_requests(
    samples: Iterable[Sample], identity: Mapping[str, Any], max_new_tokens: int
) -> tuple[dict[str, Request], list[Dropped]]:
    """Requests by ``Sample.key``, each filed under what its reply depends on; samples without a picture are dropped."""
    model = digest(identity)

    @cache
    def picture_digest(picture: Picture) -> str:
        return hashlib.sha256(picture_bytes(picture)).hexdigest()

    requests, dropped = {}, []
    for sample in samples:
        try:
            picture = picture_digest(sample.picture)
        except FileNotFoundError:
            dropped.append((sample.id, "missing_image", f"{sample.task}: {sample.image}"))
            continue
        except (ValueError, IsADirectoryError, NotADirectoryError) as error:
            dropped.append((sample.id, CORRUPT, f"{sample.task}: {sample.image}: {error}"))
            continue
        read = partial(picture_bytes, sample.picture)
        requests[sample.key] = make_request(model, picture, read, sample.prompt, max_new_tokens)
    return requests, dropped


def mean_picture(pictures: Iterable[Image.Image], side: int = MEAN_SIDE) -> Image.Image:
    """The mean of the pictures, each scaled to a square of ``side`` pixels: a picture that tells nothing."""
    total: Any = 0.0
    count = 0
    for picture in pictures:
        scaled = picture.resize((side, side), Image.Resampling.BILINEAR)
        total = total + np.asarray(scaled, np.float64)
        count += 1
    if not count:
        raise ValueError("the mean of no pictures")
    return Image.fromarray((total / count).round().astype(np.uint8))
