"""What a model is asked and what comes of it: one protocol for checkpoints, models of Hugging Face, and servers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from PIL import Image

from humanvlm.data.image import decode
from humanvlm.inference.replies import final_answer

CORRUPT = "corrupt_image"


@dataclass(frozen=True)
class Request:
    """One question. key: comes back with the reply. picture: reads its file; None: the question is of words alone.
    prompt: without a chat template. schema: of the JSON object that a server is asked to reply with, where it can.
    about: sha256 of the picture that the reply tells of, shown or not; '' where that is unknown."""

    key: str
    picture: Callable[[], bytes] | None = field(repr=False)
    prompt: str
    max_new_tokens: int
    schema: Mapping[str, Any] | None = None
    about: str = ""

    def encoded(self) -> bytes:
        """The picture's file. Raises ValueError when there is none, or it cannot be read any more."""
        if self.picture is None:
            raise ValueError("no picture")
        try:
            return self.picture()
        except OSError as error:
            raise ValueError(str(error)) from None

    def decoded(self) -> Image.Image:
        """The picture, upright, RGB. Raises ValueError as ``encoded`` does, and when it does not decode."""
        return decode(self.encoded())


@dataclass(frozen=True)
class Reply:
    """What came of a request: what a model said, or an ``error`` (a short reason, as of dropped rows) with ``detail``.

    raw: as the model said it, thoughts and wrappers in it. tokens: how many those are; prompt_tokens: how many were
    asked with, a picture's among them; None when unknown. finish: ``stop``, ``length``, ``content_filter``, or what
    else a server says. latency_s: seconds for this reply; of a batch, an equal share. refusal: a server's words for why
    the model does not answer. permanent: of an error, whether it stays until something else is asked. info: what a
    server tells about it, such as the model it ran.
    """

    key: str
    raw: str = ""
    tokens: int | None = None
    finish: str = ""
    latency_s: float = 0.0
    refusal: str = ""
    error: str = ""
    detail: str = ""
    permanent: bool = False
    info: Mapping[str, Any] = field(default_factory=dict)
    prompt_tokens: int | None = None

    @property
    def text(self) -> str:
        """The answer in it; '' where there is none, such as after a thought that never ended."""
        return final_answer(self.raw).text


class Model(Protocol):
    """Something that answers prompts about pictures."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """What a reply depends on beside the request, as JSON: the same identity gives the same replies."""

    def answer(self, requests: Sequence[Request]) -> Iterator[Sequence[Reply]]:
        """One reply to each request, in any order, as they are made; those of one list became ready together.

        What fails for one request is the ``error`` of its reply. Raises UserError when no request can be answered.
        """
