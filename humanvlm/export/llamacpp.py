"""Asking a GGUF model through llama.cpp on this machine's processors: the package ``xllamacpp``, an extra."""

import base64
import io
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from humanvlm.errors import UserError

# At the start of what llama.cpp puts into a prompt where a picture was, and at its end; between them letters that
# differ from server to server.
MARKER, MARKER_END = "<__media_", "__>"


@dataclass(frozen=True)
class Said:
    """A greedy reply. first: what its first token could have been, by id, with their log-probabilities; tokens: how
    many were said."""

    text: str
    first: Mapping[int, float]
    tokens: int


class Ask(Protocol):
    def __call__(self, picture: Image.Image | None, prompt: str, max_new_tokens: int, likeliest: int = 0) -> Said:
        """likeliest: how many first tokens to tell of."""
        ...


def had() -> bool:
    """Whether the package is installed."""
    return find_spec("xllamacpp") is not None


@contextmanager
def loaded(language: Path, tower: Path, *, context: int, exact: bool = False) -> Iterator[Ask]:
    """Ask the model of two GGUF files. context: tokens of prompt and reply together; exact: keys and values are kept in
    float32, not in llama.cpp's half floats.

    Raises UserError when the package is not there or llama.cpp does not load the files.
    """
    if not had():
        raise UserError("llama.cpp is not installed; `pip install 'humanvlm[llamacpp]'`")
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path, params.mmproj.path = str(language), str(tower)
    params.n_ctx, params.n_parallel, params.verbosity = context, 1, 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = len(os.sched_getaffinity(0))
    params.warmup = params.fit_params = params.cache_prompt = False
    if exact:
        params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
        params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    try:
        server: Any = xllamacpp.Server(params)
    except (RuntimeError, ValueError) as error:
        raise UserError(f"{language}, {tower.name}: llama.cpp does not load them ({error}); export again") from None

    def ask(picture: Image.Image | None, prompt: str, max_new_tokens: int, likeliest: int = 0) -> Said:
        content: Any = prompt
        if picture is not None:
            shown = {"type": "image_url", "image_url": {"url": _data_url(picture)}}
            content = [shown, {"type": "text", "text": prompt}]
        answer = server.handle_chat_completions(
            {
                "messages": [{"role": "user", "content": content}],
                "max_tokens": max_new_tokens,
                "temperature": 0,
                "logprobs": likeliest > 0,
                **({"top_logprobs": likeliest} if likeliest else {}),
            }
        )
        if "choices" not in answer:
            raise UserError(f"{language}: llama.cpp gave no reply ({answer.get('error', answer)})")
        choice = answer["choices"][0]
        steps = (choice.get("logprobs") or {}).get("content") or [{"top_logprobs": []}]
        first = {one["id"]: one["logprob"] for one in steps[0]["top_logprobs"]}
        return Said(choice["message"]["content"], first, answer["usage"]["completion_tokens"])

    try:
        yield ask
    finally:
        server = None  # stops its threads


def _data_url(picture: Image.Image) -> str:
    with io.BytesIO() as data:
        picture.convert("RGB").save(data, "PNG")
        return "data:image/png;base64," + base64.b64encode(data.getvalue()).decode()
