"""VQA accuracy, grounding and attributes against official evaluators."""

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from humanvlm.evaluate.tasks.attributes import balanced_accuracy, parse_answer
from humanvlm.evaluate.tasks.grounding import iou, iou_authors, parse_box
from humanvlm.evaluate.tasks.vqa import accuracy, normalise

SIDE = st.floats(0, 500, allow_nan=False)
BOX = st.tuples(SIDE, SIDE, st.floats(1, 500), st.floats(1, 500)).map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3]))


def load(path: Path) -> Any:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file] if ".jsonl" in path.name else json.load(file)


def test_vqa_is_the_official_evaluators(shared: Path) -> None:
    folder = shared / "benchmarks" / "vqa"
    expected = load(folder / "expected.json.gz")
    answers = {
        row["question_id"]: [answer["answer"] for answer in row["answers"]]
        for row in load(folder / "annotations.json.gz")["annotations"]
    }
    scores = {
        row["question_id"]: accuracy(row["answer"], answers[row["question_id"]])
        for row in load(folder / "results.json.gz")
    }
    assert len(scores) == 934
    assert round(100 * sum(scores.values()) / len(scores), 2) == expected["accuracy"]["overall"] == 56.64
    for question, value in scores.items():
        assert 100 * value == pytest.approx(expected["evalQA"][str(question)], abs=0.00501)
    assert {text: normalise(text) for text in expected["normalised"]} == expected["normalised"]


@given(st.text(max_size=30), st.lists(st.text(max_size=30), min_size=1, max_size=10))
def test_vqa_bounds(reply: str, answers: list[str]) -> None:
    assert 0 <= accuracy(reply, answers) <= 1
    assert accuracy(reply, answers) == pytest.approx(accuracy(reply, answers[::-1]))


def test_vqa_counts_three_as_agreement() -> None:
    assert accuracy("Two.", ["2"] * 4 + ["three"] * 6) == 1
    assert accuracy("a hat", ["hat"] + ["cap"] * 9) == pytest.approx(0.3)
    assert accuracy("the Hat", ["hat"] * 10) == 0  # unanimous answers are compared as they are, as the evaluator does


def test_grounding_is_cocos(shared: Path) -> None:
    folder = shared / "benchmarks" / "grounding"
    expected = json.loads((folder / "expected_refcoco_unc_testA.json").read_text())
    rows = load(folder / "refcoco_unc_testA.jsonl.gz")
    predictions = load(folder / "predictions_refcoco_unc_testA.jsonl.gz")
    boxes = [
        parse_box(prediction["text"], row["width"], row["height"], scale=1.0)
        for row, prediction in zip(rows, predictions, strict=True)
    ]
    values = [iou(box, row["bbox"]) if box else 0.0 for box, row in zip(boxes, rows, strict=True)]
    assert values == pytest.approx([prediction["iou"] or 0.0 for prediction in predictions], abs=1e-6)
    assert boxes.count(None) == expected["unparseable"]
    assert sum(value >= 0.5 for value in values) / len(values) == pytest.approx(expected["acc50"])
    assert sum(value >= 0.75 for value in values) / len(values) == pytest.approx(expected["acc75"])
    assert sum(values) / len(values) == pytest.approx(expected["mean_iou"])


def test_boxes_are_read_from_real_replies(shared: Path) -> None:
    with (shared / "benchmarks" / "box_parsing" / "base_attempts.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 100
    for row in rows:
        assert parse_box(row["raw_response"], 1, 1, scale=1) == pytest.approx(json.loads(row["parsed_bbox"]))


@pytest.mark.parametrize(
    ("reply", "box"),
    [
        ("[10, 20, 30, 40]", (20, 20, 60, 40)),
        ("It is at (10,20,30.5,40).", (20, 20, 61, 40)),
        ("[90, 90, 150, 150]", (180, 90, 300, 150)),
        ("[30, 20, 10, 40]", None),
        ("[10, 20, 10, 40]", None),
        ("[10, 20, 30]", None),
        ("10 20 30 40", None),
        ("", None),
    ],
)
def test_parse_box(reply: str, box: tuple[float, ...] | None) -> None:
    assert parse_box(reply, 200, 100) == (pytest.approx(box) if box else None)


@given(BOX, BOX)
def test_iou_is_bounded_and_symmetric(first: Any, second: Any) -> None:
    assert 0 <= iou(first, second) <= 1
    assert iou(first, second) == pytest.approx(iou(second, first))
    assert iou(first, first) == pytest.approx(1)


def test_the_authors_figure_is_the_more_generous() -> None:
    assert iou((0, 0, 10, 10), (10, 10, 20, 20)) == 0
    assert iou_authors((0, 0, 10, 10), (10, 10, 20, 20), 100, 100) > 0


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


@given(st.lists(st.sampled_from(["yes", "no"]), min_size=2, max_size=40))
def test_saying_yes_always_is_worth_one_half(answers: list[str]) -> None:
    assume(len(set(answers)) == 2)
    assert balanced_accuracy([float(answer == "yes") for answer in answers], answers) == pytest.approx(0.5)
