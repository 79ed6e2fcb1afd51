"""From samples to replies: what is known is taken from the store, the rest is asked and saved as it comes.

A killed run asks nothing twice; samples with the same picture and prompt are asked once.
"""

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import version
from typing import Any

import numpy as np
from PIL import Image

from humanvlm.errors import UserError
from humanvlm.evaluate.tasks.base import Dropped, Sample
from humanvlm.evaluate.tasks.pictures import Picture, picture_bytes
from humanvlm.inference.base import CORRUPT, PACKAGES, Model, Reply, Request
from humanvlm.inference.cache import Predictions, digest
from humanvlm.pipeline.contract import progress

log = logging.getLogger("humanvlm")
GIVE_UP = 32  # failures in a row after which a server is taken for dead, when they are too many anyway
MEAN_SIDE = 384


@dataclass(frozen=True)
class Predicted:
    """replies: by ``Sample.key``. dropped: (id, reason, detail) of samples without one. run: what made the replies.

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

    Raises UserError when more than the share ``max_failed`` of the samples failed; replies are kept, and the next run
    asks for the missing ones. Samples with missing or corrupt pictures do not count as failed.
    """
    requests, dropped = make_requests(samples, model.identity, max_new_tokens)
    wanted = {request.key: request for request in requests.values()}
    missing = [request for key, request in wanted.items() if key not in store.replies]
    if store.damaged:
        log.warning("%s: %d damaged lines of a killed run are left out", store.path, store.damaged)
    if len(missing) < len(wanted):
        log.info("benchmark_scores: %d of %d replies are known", len(wanted) - len(missing), len(wanted))
    counts = Counter(request.key for request in requests.values())
    failed: dict[str, Reply] = {}
    streak = 0
    for reply in progress(ask(model, missing, store), len(missing), "benchmark_scores", "replies"):
        if reply.error:
            failed[reply.key] = reply
        streak = streak + 1 if reply.error and reply.error != CORRUPT else 0
        if streak >= GIVE_UP:
            _check(failed.values(), counts, max_failed)
    _check(failed.values(), counts, max_failed)
    replies = {}
    for sample in samples:
        request = requests.get(sample.key)
        if request is None:
            continue
        if error := failed.get(request.key):
            dropped.append((sample.id, error.error, f"{sample.task}: {sample.image}: {error.detail}"))
        else:
            replies[sample.key] = store.replies[request.key]
    run = run_identity(model.identity, requests.values())
    known = len(wanted) - len(missing)
    return Predicted(replies, dropped, run, len(missing) - len(failed), known, store.damaged)


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


def make_request(model: str, picture: str, read: Callable[[], bytes], prompt: str, max_new_tokens: int) -> Request:
    """model, picture: sha256 of the model's identity and of the picture's bytes, which ``read`` gives."""
    return Request(digest([model, picture, prompt, max_new_tokens]), read, prompt, max_new_tokens)


def predict_one(data: bytes, prompt: str, model: Model, store: Predictions, max_new_tokens: int) -> Reply:
    """The reply to one picture (the bytes of its file) and prompt. Raises UserError when there is none."""
    picture = hashlib.sha256(data).hexdigest()
    request = make_request(digest(model.identity), picture, lambda: data, prompt, max_new_tokens)
    if request.key not in store.replies:
        for reply in ask(model, [request], store):
            if reply.error:
                raise UserError(f"no reply to {prompt!r} ({reply.error}: {reply.detail}); run the same command again")
    return store.replies[request.key]


def ask(model: Model, requests: Sequence[Request], store: Predictions) -> Iterator[Reply]:
    """Replies to all requests; those without an error are durable before they are yielded."""
    for replies in model.answer(requests) if requests else ():
        store.add(reply for reply in replies if not reply.error)
        yield from replies


def _check(failed: Collection[Reply], samples: Mapping[str, int], max_failed: float) -> None:
    """Raises UserError when too many failed. samples: how many each request is for."""
    reasons: Counter[str] = Counter()
    for reply in failed:
        if reply.error != CORRUPT:
            reasons[reply.error] += samples[reply.key]
    if reasons.total() > max_failed * sum(samples.values()):
        listed = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
        detail = next(reply.detail for reply in failed if reply.error != CORRUPT)
        raise UserError(
            f"no reply to {reasons.total()} of {sum(samples.values())} samples ({listed}; such as: {detail}); run "
            f"the same command again, which asks for these only, or raise benchmark_scores.max_failed ({max_failed:g})"
        )


def run_identity(identity: Mapping[str, Any], requests: Iterable[Request]) -> dict[str, Any]:
    """What made the replies of a run, and ``hash``, the sha256 of it all: runs of one hash have the same replies."""
    listed = list(requests)
    run = {
        "model": dict(identity),
        "requests": digest(sorted({request.key for request in listed})),
        "prompts": digest(sorted({request.prompt for request in listed})),
        "max_new_tokens": sorted({request.max_new_tokens for request in listed}),
        "versions": {name: version(name) for name in ("humanvlm", *PACKAGES)},
    }
    return {"hash": digest(run), **run}


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
