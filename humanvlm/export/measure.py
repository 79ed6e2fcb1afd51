"""How far an exported model agrees with its checkpoint, measured as it is exported, and told in its card."""

import logging
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from itertools import islice
from pathlib import Path

from PIL import Image

from humanvlm.data.image import DecodeError, decode
from humanvlm.data.prompts import CAPTION, DETAILED_CAPTION, HQ_CAPTION, SHORT_CAPTION
from humanvlm.data.shards import list_shards, read_columns, rows_at
from humanvlm.export import llamacpp
from humanvlm.export.agreement import LIKELIEST, Agreement, compare
from humanvlm.model.load import load_checkpoint

log = logging.getLogger("humanvlm")

TEXTS = (CAPTION, SHORT_CAPTION, DETAILED_CAPTION, HQ_CAPTION)
MAX_NEW_TOKENS = 32
WORDS = 256  # tokens that a question and its chat template take at most
STRETCH = """\
The model learnt from pictures scaled to {side}x{side}; llama.cpp puts bars beside one that is not square. Give it
pictures of that size (`magick picture.jpg -resize '{side}x{side}!' square.png`), or it sees something else."""
NO_RUNTIME = "Not measured: llama.cpp was not installed (`pip install 'humanvlm[llamacpp]'`).\n"
NO_PICTURES = "Not measured: there were no held-out pictures to ask about.\n"


def held_out(artifact: Path, count: int) -> list[Image.Image]:
    """The first pictures of the split ``test`` of an artifact ``human_caption``, which no stage learnt from; those that
    do not decode are passed over."""

    def found() -> Iterator[Image.Image]:
        for shard in list_shards(artifact):
            splits = read_columns(shard, ("split",))["split"].to_pylist()
            places = {place for place, split in enumerate(splits) if split == "test"}
            for row in rows_at(shard, places, ("image",)):
                try:
                    yield decode(row["image"]["bytes"])
                except DecodeError as error:
                    log.warning("%s: a picture is passed over (%s)", shard, error)

    return list(islice(found(), count))


def agreement(folder: Path, language: Path, tower: Path, pictures: list[Image.Image]) -> str:
    """The part of a card on how two GGUF files agree with the checkpoint in ``folder``, as Markdown."""
    if not llamacpp.had():
        log.warning("llama.cpp is not installed; the card says that the export was not compared with the checkpoint")
        return NO_RUNTIME
    if not pictures:
        return NO_PICTURES
    checkpoint = load_checkpoint(folder)
    config = checkpoint[0].config
    side = config.vision_config.image_size
    square = [picture.resize((side, side), Image.Resampling.BICUBIC) for picture in pictures]
    tokens = config.image_seq_length + WORDS + MAX_NEW_TOKENS
    prompts = [SHORT_CAPTION] * len(pictures)
    with llamacpp.loaded(language, tower, context=tokens) as ask:
        found = {
            "text alone": compare(checkpoint, ask, [None] * len(TEXTS), TEXTS, max_new_tokens=MAX_NEW_TOKENS),
            "pictures of the tower's size": compare(checkpoint, ask, square, prompts, max_new_tokens=MAX_NEW_TOKENS),
            "pictures as they come": compare(checkpoint, ask, pictures, prompts, max_new_tokens=MAX_NEW_TOKENS),
        }
    for what, one in found.items():
        log.info("export: %s: %d of %d replies are the checkpoint's", what, one.same, one.samples)
    return told(found, side)


def told(found: Mapping[str, Agreement], side: int) -> str:
    """The table of what was asked about -> what came of it, with a word on how it was measured. side: of the tower's
    square, px."""
    rows = "\n".join(
        f"| {what} | {one.samples} | {one.same} | "
        f"{'' if one.farthest is None else f'{one.farthest:.4f}'} | {one.pace:.1f} | {one.checkpoint_pace:.1f} |"
        for what, one in found.items()
    )
    return f"""\
Measured when it was exported, on a CPU, against the checkpoint in float32 with transformers: greedy replies of up to
{MAX_NEW_TOKENS} tokens by llama.cpp (xllamacpp {version("xllamacpp")}), and log-probabilities of the first token, the
largest difference among its {LIKELIEST} likeliest.
{STRETCH.format(side=side)}

| asked about | replies | of the same text | largest difference | tokens/s | checkpoint's tokens/s |
| --- | --- | --- | --- | --- | --- |
{rows}
"""
