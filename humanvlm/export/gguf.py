"""A LLaVA as the two GGUF files of llama.cpp: its language model, and ``mmproj``, its tower with the projector."""

from pathlib import Path

from humanvlm.export.checkpoint import Checkpoint
from humanvlm.export.gguf_file import PRECISIONS
from humanvlm.export.gguf_language import check_language, write_language
from humanvlm.export.gguf_tokenizer import words_of
from humanvlm.export.gguf_tower import check_tower, write_tower


def check(folder: Path) -> None:
    """Raises UserError, one line, when llama.cpp does not compute what the checkpoint in this folder does."""
    checkpoint = Checkpoint(folder)
    check_tower(checkpoint)
    check_language(checkpoint)


def write(folder: Path, out: Path, precision: str) -> tuple[Path, Path]:
    """Write the checkpoint's language model and its tower; return their files. precision: a name of ``PRECISIONS``.

    Raises UserError as ``check`` does, or when the tokenizer is of no kind that is written.
    """
    from transformers import AutoProcessor, GenerationConfig

    checkpoint = Checkpoint(folder)
    processor = AutoProcessor.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    ends = GenerationConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False).eos_token_id
    words = words_of(processor, tuple([ends] if isinstance(ends, int) else ends or ()), str(folder))
    language, tower = out / f"humanvlm-{precision}.gguf", out / f"mmproj-humanvlm-{precision}.gguf"
    write_tower(checkpoint, processor.image_processor, tower, PRECISIONS[precision])
    write_language(checkpoint, words, language, PRECISIONS[precision])
    return language, tower
