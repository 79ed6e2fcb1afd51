"""Replies of a checkpoint in batches: how fast, and do they depend on the batch?

Asks the default model (its projector is new), or a checkpoint, four kinds of questions about distinct pictures, in
batches of 1 and of other sizes, in float32 and in bfloat16. ``differ`` counts replies that are not those of batch size
1 and the same dtype; ``again`` those that were made again alone because two tokens were too close (humanvlm/model/
generate.py). Prints a table, and the same figures as one JSON object in the last line. Exits with 1 when a reply in
float32 differs.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from pictures import build_pictures
from PIL import Image

from humanvlm.config.model import Model
from humanvlm.data import prompts
from humanvlm.data.image import decode
from humanvlm.inference.generate import Generated, by_length, generate_batch
from humanvlm.model.build import build_llava
from humanvlm.model.load import load_checkpoint

QUESTIONS = (
    prompts.SHORT_CAPTION,
    prompts.YES_NO.format(question="Is there a person in the picture?"),
    prompts.QUESTION.format(question="What colour is the coat of the man on the left?"),
    prompts.FIND.format(expression="the man in front of the wall"),
)


@dataclass(frozen=True)
class Row:
    """One dtype and batch size. tokens: of all replies; seconds: wall time of all batches."""

    dtype: str
    batch_size: int
    replies: int
    tokens: int
    seconds: float
    differ: int
    again: int


def ask(
    model: Any, processor: Any, pictures: Sequence[Image.Image], batch_size: int, tokens: int
) -> tuple[list[Generated], float, int]:
    """Replies in the order of the pictures, seconds, and how many were made again alone."""
    texts = [QUESTIONS[index % len(QUESTIONS)] for index in range(len(pictures))]
    whole = model.generate
    calls: list[int] = []

    def counted(**inputs: Any) -> Any:
        calls.append(1)
        return whole(**inputs)

    model.generate = counted
    made: dict[int, Generated] = {}
    start = time.perf_counter()
    batches = by_length(texts, batch_size)
    for batch in batches:
        images, asked = [pictures[index] for index in batch], [texts[index] for index in batch]
        replies = generate_batch(model, processor, images, asked, max_new_tokens=tokens, special_tokens=False)
        made |= dict(zip(batch, replies, strict=True))
    seconds = time.perf_counter() - start
    del model.generate
    return [made[index] for index in range(len(pictures))], seconds, len(calls) - len(batches)


def rows(model: Any, processor: Any, pictures: Sequence[Image.Image], options: argparse.Namespace) -> Iterator[Row]:
    for dtype in options.dtypes:
        model.to(getattr(torch, dtype))
        alone: list[Generated] = []
        for size in (1, *options.batch_sizes):
            replies, seconds, again = ask(model, processor, pictures, size, options.tokens)
            alone = alone or replies
            differ = sum(one.tokens != other.tokens for one, other in zip(replies, alone, strict=True))
            tokens = sum(len(reply.tokens) for reply in replies)
            yield Row(dtype, size, len(replies), tokens, round(seconds, 2), differ, again)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, help="a folder such as artifacts/stage2_checkpoint/model")
    parser.add_argument("--pictures", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=24, help="new tokens a reply at most")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=(8, 16))
    parser.add_argument("--dtypes", nargs="+", default=("float32", "bfloat16"))
    options = parser.parse_args()
    model, processor = load_checkpoint(options.checkpoint) if options.checkpoint else build_llava(Model())
    files = build_pictures(Path(".state/bench/pictures"), options.pictures)
    pictures = [decode(path.read_bytes()) for path in files]
    found = []
    print(
        f"{'dtype':9} {'batch':>5} {'replies':>7} {'tokens':>7} {'seconds':>8} {'tokens/s':>8} "
        f"{'differ':>6} {'again':>5}"
    )
    for row in rows(model, processor, pictures, options):
        found.append(row)
        print(
            f"{row.dtype:9} {row.batch_size:5} {row.replies:7} {row.tokens:7} {row.seconds:8.1f} "
            f"{row.tokens / row.seconds:8.1f} {row.differ:6} {row.again:5}",
            flush=True,
        )
    print(json.dumps({"threads": torch.get_num_threads(), "rows": [asdict(row) for row in found]}))
    return 1 if any(row.differ for row in found if row.dtype == "float32") else 0


if __name__ == "__main__":
    sys.exit(main())
