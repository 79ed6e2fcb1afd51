"""Attributes: CelebA's file, models' replies, and the scores by hand."""

import gzip
import json
from pathlib import Path

import pytest

from humanvlm.errors import UserError
from humanvlm.evaluate.tasks.attributes import (
    Labels,
    parse_answer,
    read_labels,
    read_presence,
    score_attributes,
    score_files,
)


def test_by_hand() -> None:
    """Hat: 3 of 4 pictures with, 2 found, 1 false alarm; beard: none has one, all said so but one unreadable."""
    truths = [Labels(str(n), {"hat": n < 3, "beard": False}) for n in range(4)]
    hats = [True, True, False, True]
    answers: list[dict[str, bool | None]] = [{"hat": hat, "beard": False} for hat in hats]
    answers[0]["beard"] = None
    scored = score_attributes(["hat", "beard"], truths, answers)
    scores = scored.scores
    assert scores["accuracy[attribute=hat]"] == pytest.approx(2 / 4)
    assert scores["balanced_accuracy[attribute=hat]"] == pytest.approx((2 / 3 + 0) / 2)
    assert scores["f1[attribute=hat]"] == pytest.approx(2 * 2 / (2 * 2 + 1 + 1))
    assert scores["accuracy[attribute=beard]"] == scores["balanced_accuracy[attribute=beard]"] == pytest.approx(3 / 4)
    assert scores["f1[attribute=beard]"] == 0
    assert scores["accuracy"] == pytest.approx((2 / 4 + 3 / 4) / 2)
    assert scored.counts == {"missing": 0, "unparseable": 1, "answers": 8, "attributes": 2}
    assert scored.per_sample["wrong"] == [["beard"], [], ["hat"], ["hat"]]


def test_attributes_that_nobody_asks_about_are_left_out() -> None:
    scored = score_attributes(["hat", "beard"], [Labels("1", {"hat": True})], [{"hat": True}])
    assert scored.scores["accuracy"] == 1
    assert scored.counts["answers"] == 1


@pytest.mark.parametrize(
    ("value", "present"),
    [
        ("Yes, she does.", True),
        ("no", False),
        (1, True),
        (-1, False),
        (0, False),
        ("-1", False),
        (True, True),
        ("?", None),
    ],
)
def test_presence(value: str | int, present: bool | None) -> None:
    assert read_presence(value) is present


def test_celeba(shared: Path, tmp_path: Path) -> None:
    """The header of this part of the file promises all of CelebA's 202,599 pictures."""
    path = shared / "benchmarks" / "attributes" / "list_attr_celeba_20k.txt.gz"
    names, labels, promised = read_labels(path)
    assert (len(names), len(labels), promised) == (40, 20000, 202599)
    with gzip.open(path, "rt") as file:
        lines = file.read().splitlines()
    always_no = tmp_path / "no.txt"
    always_no.write_text("\n".join([*lines[:2], *(f"{line.split()[0]}" + " -1" * 40 for line in lines[2:])]))
    scored = score_files(path, always_no, allow_missing=False)
    male = sum(line.split()[1 + names.index("Male")] == "-1" for line in lines[2:])
    assert scored.scores["accuracy[attribute=Male]"] == pytest.approx(male / 20000)
    assert scored.scores["balanced_accuracy"] == pytest.approx(0.5)
    assert scored.scores["f1"] == 0
    assert scored.counts["header_off_by"] == 202599 - 20000


def test_replies_one_a_row(tmp_path: Path) -> None:
    references, predictions = tmp_path / "truth.jsonl", tmp_path / "said.jsonl"
    references.write_text(
        '{"id": 1, "attributes": {"hat": true, "beard": false}}\n{"id": 2, "attributes": {"hat": 1}}\n'
    )
    said = [(1, "hat", "Yes."), (1, "beard", "maybe"), (2, "hat", "No.")]
    rows = [json.dumps({"id": key, "attribute": name, "text": text}) for key, name, text in said]
    predictions.write_text("\n".join(rows))
    scored = score_files(references, predictions, allow_missing=False)
    assert scored.scores["accuracy"] == pytest.approx((1 / 2 + 0) / 2)
    assert scored.counts["unparseable"] == 1
    predictions.write_text("\n".join(rows[1:]))
    with pytest.raises(UserError, match="no answer about hat of 1 of"):
        score_files(references, predictions, allow_missing=False)
    assert score_files(references, predictions, allow_missing=True).counts["missing"] == 1
    predictions.write_text("\n".join([*rows, rows[0]]))
    with pytest.raises(UserError, match=r"said.jsonl:4: hat of 1 is there twice"):
        score_files(references, predictions, allow_missing=False)
    predictions.write_text("\n".join([*rows, json.dumps({"id": 1, "attribute": "shoes", "text": "no"})]))
    with pytest.raises(UserError, match="1 has the attribute shoes, which is not in"):
        score_files(references, predictions, allow_missing=False)


@pytest.mark.parametrize("line", ["a.jpg 1", "a.jpg 1 0", "a.jpg 1 x", "a.jpg 1 1 1"])
def test_broken_lines_are_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "list.txt"
    path.write_text(f"1\nHat Beard\n{line}\n")
    with pytest.raises(UserError, match=r"list.txt:3: 2 values, each 1 or -1"):
        read_labels(path)


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("Yes.", "yes"),
        ("no", "no"),
        ("No, yes would be wrong", "no"),
        ("I think yes", "yes"),
        ("maybe yes, maybe no", None),
        ("nothing known", None),
        ("", None),
    ],
)
def test_parse_answer(reply: str, answer: str | None) -> None:
    assert parse_answer(reply) == answer
