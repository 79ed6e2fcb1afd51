"""What is trained on of the shards: which rows, and which are left out and why."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from humanvlm.data.shards import list_shards
from humanvlm.train.samples import Captions, Conversations, LeftOut, Reader, Sample, turns_of


def read(readers: Iterator[Reader]) -> tuple[list[Sample], Counter[str]]:
    offers = [offer for reader in readers for offer in reader.read()]
    samples = [sample for offer in offers if not isinstance(offer, LeftOut) for sample in offer]
    return samples, Counter(offer.reason for offer in offers if isinstance(offer, LeftOut))


def captions(folder: Path, column: str) -> tuple[list[Sample], Counter[str]]:
    return read(Captions(shard, "", 20, column) for shard in list_shards(folder))


def test_captions_of_the_training_split(artifacts: Path) -> None:
    short, dropped = captions(artifacts / "human_caption", "short")
    assert (len(short), dropped) == (53, {"held_out": 6, "no_caption": 1})
    every, dropped = captions(artifacts / "human_caption", "captions")
    assert (len(every), dropped) == (108, {"held_out": 6})
    assert every[0].turns[0][1] == "a man in green"
    (shard, *_) = list_shards(artifacts / "human_caption")
    for offer in Captions(shard, "", 20, "captions").read():  # those of a picture together
        assert isinstance(offer, LeftOut) or (len(offer) == 2 and len({sample.pictures for sample in offer}) == 1)
    hq, _ = captions(artifacts / "human_caption_hq", "human_caption_hq")
    assert len(hq) == 54
    assert "background" in hq[0].turns[0][0]


def test_rows_that_are_left_out_are_named(artifacts: Path) -> None:
    (shard, *_) = list_shards(artifacts / "human_caption")
    left = [offer for offer in Captions(shard, "", 20, "short").read() if isinstance(offer, LeftOut)]
    assert [(row.reason, row.id) for row in left] == [
        ("held_out", "shard-00000.parquet:0"),
        ("no_caption", "shard-00000.parquet:1"),
        ("held_out", "shard-00000.parquet:10"),
    ]


def test_conversations_of_the_training_split_without_their_captions(artifacts: Path) -> None:
    found, dropped = read(Conversations(shard, "", 20) for shard in list_shards(artifacts / "human_caption_hq"))
    assert (len(found), dropped) == (53, {"held_out": 6, "no_questions": 1})
    assert found[0].turns == (("What color is the coat?", "green"), ("Is he smiling?", "yes"))


@pytest.mark.parametrize(
    ("talk", "turns"),
    [
        ([{"from": "human", "value": "Who?<image>"}, {"from": "gpt", "value": " A <image>man "}], "<image>\nWho?"),
        ([{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "A man"}], "Who?"),
        (
            [
                {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Who?"}]},
                {"role": "assistant", "content": [{"type": "text", "text": "A man"}]},
            ],
            "<image>\nWho?",
        ),
        (
            [{"from": "human", "value": "This <image> or that <image>?"}, {"from": "gpt", "value": "A man"}],
            "This <image> or that <image>?",
        ),
        (
            [{"from": "human", "value": "<ima<image>ge> Who?"}, {"from": "gpt", "value": "A man"}],
            "<image>\n<ima ge> Who?",
        ),
        ([{"from": "human", "value": "Who?"}], None),
        ([{"from": "gpt", "value": "A man"}, {"from": "human", "value": "Who?"}], None),
        ([{"from": "human", "value": "<image>"}, {"from": "gpt", "value": "A man"}], None),
        ([{"from": "human", "value": "Who?"}, {"from": "gpt", "value": ""}], None),
        ([{"from": "human", "value": 3}, {"from": "gpt", "value": "A man"}], None),
        ([{"from": "human", "value": "Who?"}, {"from": "tool", "value": "A man"}], None),
        ([], None),
    ],
)
def test_conversations_of_both_kinds(talk: list[dict[str, Any]], turns: str | None) -> None:
    assert turns_of(talk) == (None if turns is None else (((turns, "A man"),), None))


def test_a_system_text_comes_before_the_turns() -> None:
    talk = [{"from": who, "value": who} for who in ("system", "human", "gpt")]
    assert turns_of(talk) == ((("human", "gpt"),), "system")
    assert turns_of([*talk[1:], talk[0]]) is None
