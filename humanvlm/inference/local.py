"""Models on this machine: a checkpoint of ours, or an image-text-to-text model of Hugging Face."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from humanvlm.errors import UserError
from humanvlm.inference.base import CORRUPT, Reply, Request
from humanvlm.pipeline.engine import DeadWorkerError, map_shards
from humanvlm.weights.hub import file_digests

# What determines replies beside checkpoint and code.
PACKAGES = ("torch", "transformers", "tokenizers", "pillow")


@dataclass(frozen=True)
class Local:
    """A checkpoint folder asked on this machine, greedily. own: made by the stages here, so that its chat template is
    the whole prompt; of other models, the tokenizer adds what it always does. processes: how many of them share the
    batches where there is no GPU, each with the weights and one thread."""

    folder: Path
    dtype: str = "float32"
    batch_size: int = 8
    own: bool = True
    processes: int = 1

    @cached_property
    def identity(self) -> Mapping[str, Any]:
        """Files, dtype, batch size, device, packages, and the code that this module reaches.

        Raises UserError when there is no checkpoint.
        """
        from importlib.metadata import version

        from humanvlm.pipeline.closure import closure
        from humanvlm.pipeline.runner import code_identity

        return {
            "kind": "checkpoint" if self.own else "hub",
            "files": file_digests(self.folder),  # weights, tokenizer, chat template, end tokens
            "dtype": self.dtype,
            "batch_size": self.batch_size,
            "decoding": "greedy",
            "device": _device(),
            "code": code_identity(sorted(closure(__name__))),
            "versions": {name: version(name) for name in PACKAGES},
        }

    @cached_property
    def loaded(self) -> tuple[Any, Any]:
        """Model and processor, loaded when first asked for."""
        import torch

        from humanvlm.model.load import load_checkpoint

        model, processor = load_checkpoint(self.folder, dtype=getattr(torch, self.dtype), own=self.own)
        return model.to(_device()), processor

    def answer(self, requests: Sequence[Request]) -> Iterator[Sequence[Reply]]:
        """Batches of like length, with pictures or without. A picture that does not decode is the error
        ``corrupt_image`` of its request. With several processes, requests must pickle.

        Raises UserError when one of the processes dies.
        """
        from humanvlm.inference.generate import by_length

        kinds: dict[tuple[int, bool], list[Request]] = {}
        for request in requests:
            kinds.setdefault((request.max_new_tokens, request.picture is None), []).append(request)
        batches = [
            [chosen[index] for index in batch]
            for _, chosen in sorted(kinds.items())
            for batch in by_length([request.prompt for request in chosen], self.batch_size)
        ]
        if self.processes == 1 or _device() == "cuda":
            yield from map(self.reply, batches)
            return
        try:
            yield from map_shards(_reply, [(replace(self), batch) for batch in batches], self.processes)
        except DeadWorkerError:
            raise UserError(
                f"one of the {self.processes} processes that answer died (out of memory, or killed); replies so far "
                "are kept: run the same command again, with fewer `processes` if memory was short"
            ) from None

    def reply(self, batch: Sequence[Request]) -> list[Reply]:
        """One reply to each of a batch, all of which may be as long."""
        from humanvlm.inference.generate import generate_batch

        pictures, asked, replies = [], [], []
        for request in batch:
            try:
                pictures.append(request.decoded() if request.picture else None)
                asked.append(request)
            except ValueError as error:
                replies.append(Reply(request.key, error=CORRUPT, detail=str(error)))
        if not asked:
            return replies
        model, processor = self.loaded
        start = time.monotonic()
        made = generate_batch(
            model,
            processor,
            pictures,
            [request.prompt for request in asked],
            max_new_tokens=batch[0].max_new_tokens,
            special_tokens=False if self.own else None,
        )
        seconds = round((time.monotonic() - start) / len(asked), 4)
        return replies + [
            Reply(request.key, one.raw, len(one.tokens), one.finish, seconds, prompt_tokens=one.prompt_tokens)
            for request, one in zip(asked, made, strict=True)
        ]


def _reply(asked: tuple[Local, Sequence[Request]]) -> list[Reply]:
    model, batch = asked
    return _kept(model).reply(batch)


@lru_cache(maxsize=1)
def _kept(model: Local) -> Local:
    """The same, which a process then loads once."""
    return model


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
