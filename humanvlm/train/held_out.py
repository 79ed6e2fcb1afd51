"""Captions of pictures that are never trained on: what the validation loss is of, and which pictures replies show.

They are the first rows of the split ``test`` of ``human_caption``, so that every step and every resumed run sees the
same ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from humanvlm.data.prompts import SHORT_CAPTION
from humanvlm.data.shards import find_shards, read_rows
from humanvlm.train.encode import Encoded, Encoder
from humanvlm.train.plan import Plan
from humanvlm.train.samples import PROMPTS, Picture, Sample, column_of, texts_of


@dataclass(frozen=True)
class HeldOut:
    """Samples with one turn about one picture each, as a token store gives them (humanvlm.train.batches.Samples)."""

    rows: Sequence[Sample]
    encoded: Sequence[Encoded]

    def __len__(self) -> int:
        return len(self.rows)

    def first(self, count: int) -> "HeldOut":
        return HeldOut(self.rows[:count], self.encoded[:count])

    @property
    def lengths(self) -> Any:
        return np.array([len(one.tokens) for one in self.encoded], np.int64)

    @property
    def labels(self) -> Any:
        return np.array([one.labels for one in self.encoded], np.int64)

    def tokens(self, i: int) -> Any:
        return self.encoded[i].tokens

    def spans(self, i: int) -> Any:
        return self.encoded[i].spans

    def parts(self, i: int) -> tuple[int, ...]:
        return self.encoded[i].parts

    def pictures(self, i: int) -> Sequence[Picture]:
        return self.rows[i].pictures

    @property
    def plan(self) -> Plan:
        """All of them as one step."""
        return Plan(np.arange(len(self), dtype=np.int64), len(self), "held out")


def held_out(human_caption: Path, caption: str, encoder: Encoder, count: int, max_length: int) -> HeldOut:
    """The first ``count`` held-out rows with a caption that fits, the first of a row; fewer where there are fewer.

    caption: of the stage's configuration, so that they are asked as what it learns is.
    """
    column = column_of(caption)
    rows: list[Sample] = []
    encoded: list[Encoded] = []
    for shard in find_shards(human_caption) if count else ():
        for number, row in enumerate(read_rows(shard, ("split", column))):
            text = next(filter(None, (encoder.plain(text).strip() for text in texts_of(row[column]))), "")
            if row["split"] != "test" or not text:
                continue
            turns = ((PROMPTS.get(column, SHORT_CAPTION), text),)
            sample = Sample((Picture(str(shard), number),), turns, id=f"{shard.name}:{number}")
            one = encoder.encode(sample)
            if len(one.tokens) <= max_length:
                rows.append(sample)
                encoded.append(one)
            if len(rows) == count:
                return HeldOut(rows, encoded)
    return HeldOut(rows, encoded)
