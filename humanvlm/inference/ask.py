"""Asking a model many things: what is known is taken from the store, the rest is asked and saved as it comes.

A killed run asks nothing twice; the same picture and prompt are asked once.
"""

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from humanvlm.errors import UserError
from humanvlm.inference.base import CORRUPT, Model, Reply, Request
from humanvlm.inference.cache import Predictions, digest
from humanvlm.inference.local import PACKAGES
from humanvlm.pipeline.contract import progress

log = logging.getLogger("humanvlm")
GIVE_UP = 32  # failures in a row after which a server is taken for dead, when they are too many anyway
REFUSED = 5  # requests that are refused for good, before any is answered, after which none is thought to be


@dataclass(frozen=True)
class Asked:
    """replies, failed: by the key of their request; each request is in one of them. made, known: how many distinct
    requests were asked now, and were in the store. damaged: lines of the store that a kill left behind."""

    replies: Mapping[str, Reply]
    failed: Mapping[str, Reply]
    made: int
    known: int
    damaged: int


def make_request(
    model: str,
    picture: str,
    read: Callable[[], bytes] | None,
    prompt: str,
    max_new_tokens: int,
    schema: Mapping[str, Any] | None = None,
    about: str = "",
) -> Request:
    """model, picture: sha256 of the model's identity and of the picture's bytes, which ``read`` gives; '' and None of
    a question without a picture. about: sha256 of the picture that such a question is about."""
    parts = [model, picture, prompt, max_new_tokens, *([dict(schema)] if schema else [])]
    return Request(digest(parts), read, prompt, max_new_tokens, schema, picture or about)


def ask_all(
    requests: Sequence[Request], model: Model, store: Predictions, stage: str, max_failed: float = 0.0
) -> Asked:
    """A reply to every request, unless it fails. Of requests with one key, each counts and one is asked.

    stage: its section has ``max_failed``. Raises UserError when more than that share failed, or when the first few were
    all refused for good; replies are kept, and the next run asks for the missing ones. Pictures that do not decode do
    not count as failed.
    """
    counts = Counter(request.key for request in requests)
    wanted = {request.key: request for request in requests}
    missing = [request for key, request in wanted.items() if key not in store.replies]
    known = len(wanted) - len(missing)
    if store.damaged:
        log.warning("%s: %d damaged lines of a killed run are left out", store.path, store.damaged)
    if known:
        log.info("%s: %d of %d replies are known", stage, known, len(wanted))
    failed: dict[str, Reply] = {}
    streak, answered = 0, known
    for reply in progress(_ask(missing, model, store), len(missing), stage, "replies"):
        if reply.error:
            failed[reply.key] = reply
        streak = streak + 1 if reply.error and reply.error != CORRUPT else 0
        answered += not reply.error
        if reply.permanent and not answered and _refused(failed.values()):
            raise UserError(f"{stage}: the first {REFUSED} requests got no reply ({reply.error}: {reply.detail})")
        if streak >= GIVE_UP:
            _check(failed.values(), counts, stage, max_failed)
    _check(failed.values(), counts, stage, max_failed)
    replies = {key: store.replies[key] for key in wanted if key not in failed}
    _warn_of_others(model, replies.values(), stage)
    return Asked(replies, failed, len(missing) - len(failed), known, store.damaged)


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


def served(replies: Iterable[Reply]) -> dict[str, int]:
    """How many replies came from which model, as the server calls it; nothing of servers that do not say."""
    names = Counter(str(reply.info["model"]) for reply in replies if reply.info.get("model"))
    return dict(names.most_common())


def _ask(requests: Sequence[Request], model: Model, store: Predictions) -> Iterator[Reply]:
    """Replies to all requests; those without an error are durable before they are yielded."""
    about = {request.key: request.about for request in requests}
    for replies in model.answer(requests) if requests else ():
        store.add((reply for reply in replies if not reply.error), about)
        yield from replies


def _refused(failed: Collection[Reply]) -> bool:
    """Whether these are enough to believe that nothing will be answered."""
    counted = [reply for reply in failed if reply.error != CORRUPT]
    return len(counted) >= REFUSED and all(reply.permanent for reply in counted)


def _check(failed: Collection[Reply], counts: Mapping[str, int], stage: str, max_failed: float) -> None:
    """Raises UserError when too many failed. counts: how many samples each request is for."""
    reasons: Counter[str] = Counter()
    for reply in failed:
        if reply.error != CORRUPT:
            reasons[reply.error] += counts[reply.key]
    if reasons.total() <= max_failed * sum(counts.values()):
        return
    listed = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
    example = next(reply for reply in failed if reply.error == reasons.most_common(1)[0][0])
    again = "change that and run again" if example.permanent else "run the same command again"
    raise UserError(
        f"no reply to {reasons.total()} of {sum(counts.values())} samples ({listed}; such as: {example.detail}); "
        f"{again}, which asks for these only, or raise {stage}.max_failed ({max_failed:g})"
    )


def _warn_of_others(model: Model, replies: Iterable[Reply], stage: str) -> None:
    """Say it when a server ran another model than it was asked for: a newer one, a smaller one, or an alias."""
    wanted = model.identity.get("request", {}).get("model")
    others = [f"{name!r} ({count})" for name, count in served(replies).items() if name != wanted]
    if wanted and others:
        log.warning("%s: %r was asked for, but replies came from %s", stage, wanted, ", ".join(others))
