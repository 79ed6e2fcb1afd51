"""Models under test: a checkpoint of ours, an image-text-to-text model of Hugging Face, a server. One protocol."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from humanvlm.config.benchmark_scores import BenchmarkScores
from humanvlm.data.image import decode
from humanvlm.errors import UserError
from humanvlm.weights.hub import file_digests, snapshot

# What determines a local model's replies beside its files: the code here, and these packages.
CODE = ("inference/base.py", "data/image.py", "inference/generate.py", "model/load.py", "model/tower.py")
PACKAGES = ("torch", "transformers", "tokenizers", "pillow")
CORRUPT = "corrupt_image"


@dataclass(frozen=True)
class Request:
    """One question. key: comes back with the reply. picture: reads its file. prompt: without a chat template."""

    key: str
    picture: Callable[[], bytes] = field(repr=False)
    prompt: str
    max_new_tokens: int

    def decoded(self) -> Image.Image:
        """The picture, upright, RGB. Raises ValueError when it does not decode or cannot be read any more."""
        try:
            return decode(self.picture())
        except OSError as error:
            raise ValueError(str(error)) from None


@dataclass(frozen=True)
class Reply:
    """What came of a request: a text, or an ``error`` (a short reason, as of dropped rows) and its ``detail``.

    tokens: how many the text has, None when unknown. finish: ``stop``, ``length``, or what a server says. latency_s:
    seconds for this reply; of a batch, an equal share. info: what a server tells about it, such as the model it ran.
    raw: the text with its thoughts and wrappers, where it has any. refusal: what a server says instead of a text.
    """

    key: str
    text: str = ""
    tokens: int | None = None
    finish: str = ""
    latency_s: float = 0.0
    error: str = ""
    detail: str = ""
    info: Mapping[str, Any] = field(default_factory=dict)
    raw: str = ""
    refusal: str = ""


class Model(Protocol):
    """Something that answers prompts about pictures."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """What a reply depends on beside the request, as JSON: the same identity gives the same replies."""

    def answer(self, requests: Sequence[Request]) -> Iterator[Sequence[Reply]]:
        """One reply to each request, in any order, as they are made; those of one list became ready together.

        What fails for one request is the ``error`` of its reply. Raises UserError when no request can be answered.
        """


def open_model(config: BenchmarkScores, checkpoint: Path) -> Model:
    """The model that ``config.model`` names; ``checkpoint`` is the folder of ours. No weights are loaded yet.

    Raises UserError naming the key when there is no such model.
    """
    kind, _, name = config.model.partition(":")
    if config.model == "checkpoint":
        return Local(checkpoint, config.dtype, config.batch_size)
    if kind == "hub" and name:
        return Local(snapshot(name), config.dtype, config.batch_size, own=False)
    if config.model == "endpoint":
        from humanvlm.inference.endpoint import open_endpoint

        return open_endpoint(config.endpoint)
    raise UserError(
        f"benchmark_scores.model: {config.model!r} is no model; known: checkpoint, hub:ORG/NAME[@REVISION], "
        "hub:FOLDER, endpoint"
    )


@dataclass(frozen=True)
class Local:
    """A checkpoint folder asked on this machine, greedily. own: made by the stages here, so that its chat template is
    the whole prompt; of other models, the tokenizer adds what it always does."""

    folder: Path
    dtype: str = "float32"
    batch_size: int = 8
    own: bool = True

    @cached_property
    def identity(self) -> Mapping[str, Any]:
        """Files, dtype, batch size, device, code and packages. Raises UserError when there is no checkpoint."""
        from importlib.metadata import version

        from humanvlm.pipeline.runner import code_identity

        return {
            "kind": "checkpoint" if self.own else "hub",
            "files": file_digests(self.folder),  # weights, tokenizer, chat template, end tokens
            "dtype": self.dtype,
            "batch_size": self.batch_size,
            "decoding": "greedy",
            "device": _device(),
            "code": code_identity(CODE),
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
        """Batches of like length. A picture that does not decode is the error ``corrupt_image`` of its request."""
        from humanvlm.inference.generate import by_length

        for limit in sorted({request.max_new_tokens for request in requests}):
            chosen = [request for request in requests if request.max_new_tokens == limit]
            for batch in by_length([request.prompt for request in chosen], self.batch_size):
                yield self._answer([chosen[index] for index in batch], limit)

    def _answer(self, batch: Sequence[Request], max_new_tokens: int) -> list[Reply]:
        from humanvlm.inference.generate import generate_batch

        pictures, asked, replies = [], [], []
        for request in batch:
            try:
                pictures.append(request.decoded())
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
            max_new_tokens=max_new_tokens,
            special_tokens=False if self.own else None,
        )
        seconds = round((time.monotonic() - start) / len(asked), 4)
        return replies + [
            Reply(request.key, one.text, len(one.tokens), one.finish, seconds)
            for request, one in zip(asked, made, strict=True)
        ]


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
