"""The official VQAv2 evaluator's report, and its quirks."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from humanvlm.errors import UserError
from humanvlm.evaluate.tasks.vqa import accuracy, normalise, official_report, score_files


def test_the_official_report(shared: Path) -> None:
    folder = shared / "benchmarks" / "vqa"
    with gzip.open(folder / "expected.json.gz", "rt") as file:
        expected = json.load(file)
    questions, annotations, results = (folder / f"{name}.json.gz" for name in ("questions", "annotations", "results"))
    scored = score_files(questions, annotations, results, allow_missing=False)
    report = official_report(scored)
    assert report["overall"] == 56.64
    assert report == expected["accuracy"] | {"evalQA": expected["evalQA"]}
    assert scored.scores["accuracy"] == pytest.approx(0.5664, abs=5e-5)
    assert scored.scores["accuracy[question_type=where is]"] == pytest.approx(0.6356, abs=5e-5)
    normalised = dict(zip(scored.per_sample["reply"], scored.per_sample["normalised"], strict=True))
    there = {reply: value for reply, value in expected["normalised"].items() if reply in normalised}
    assert len(there) > 300
    assert {reply: normalised[reply] for reply in there} == there


def test_annotators_that_the_file_does_not_tell_apart_are_left_out_together() -> None:
    answers = ["hat", "hat", "cap", "cap"]
    assert accuracy("hat", answers) == pytest.approx((2 * 1 / 3 + 2 * 2 / 3) / 4)
    assert accuracy("hat", answers, [1, 1, 1, 1]) == pytest.approx((2 * 0 / 3 + 2 * 2 / 3) / 4)


@pytest.mark.parametrize(
    ("reply", "value"), [("2.5", 1.0), ("1,000", 1.0), ("dont know", 1.0), ("it's", 0.0), ("its", 1.0), ("a.b", 1.0)]
)
def test_punctuation_and_contractions(reply: str, value: float) -> None:
    answers = {"2.5": "2.5", "1,000": "1000", "dont know": "don't know", "it's": "its", "its": "its", "a.b": "ab"}
    assert accuracy(reply, [answers[reply]] * 9 + ["something else"]) == value


def write(folder: Path, **files: Any) -> dict[str, Path]:
    paths = {}
    for name, value in files.items():
        paths[name] = folder / f"{name}.json"
        paths[name].write_text(json.dumps(value))
    return paths


def annotation(number: int | str, **changed: Any) -> dict[str, Any]:
    answers = [{"answer": "yes", "answer_id": place} for place in range(10)]
    return {"question_id": number, "image_id": 1, "answers": answers} | changed


def result(number: int, answer: Any = "yes") -> dict[str, Any]:
    return {"question_id": number, "answer": answer}


@pytest.mark.parametrize(
    ("annotations", "predictions", "told"),
    [
        ([annotation(1), annotation(2)], [result(1)], r"predictions.json: no prediction for id 2 of .*\(1 of 2 are"),
        ([annotation(1)], [result(1), result(5)], "predictions.json: id 5 is not in .*annotations.json"),
        ([annotation(1)], [result(1), result(1)], r"predictions.json\[1\]: id 1 is there twice"),
        ([annotation(1)], [result(1, None)], r"predictions.json\[0\]: no answer"),
        ([annotation(1)], [result(1, ["yes"])], r"predictions.json\[0\]: answer is not a string"),
        ([annotation(1)], ["yes"], r"predictions.json\[0\]: a JSON str; an object is expected"),
        ([annotation(1), annotation(1)], [result(1)], r"annotations.json\[1\]: id 1 is there twice"),
        ([annotation(1, answers=[])], [result(1)], r"annotations.json\[0\]: answers"),
        ([annotation(True)], [result(1)], r"annotations.json\[0\]: the id True is neither"),
        ([], [], "annotations.json: no rows"),
    ],
)
def test_what_does_not_match_is_named(tmp_path: Path, annotations: Any, predictions: Any, told: str) -> None:
    files = write(tmp_path, annotations={"annotations": annotations}, predictions=predictions)
    with pytest.raises(UserError, match=told):
        score_files(None, files["annotations"], files["predictions"], allow_missing=False)


def test_questions_must_be_those_of_the_annotations(tmp_path: Path) -> None:
    questions = {"questions": [{"question_id": 1, "question": "Is it?"}, {"question_id": 3, "question": "Is it?"}]}
    files = write(tmp_path, q=questions, a={"annotations": [annotation(1)]}, p=[result(1)])
    with pytest.raises(UserError, match=r"a.json: question_id 3 of .*q.json is missing"):
        score_files(files["q"], files["a"], files["p"], allow_missing=False)


def test_missing_is_wrong_when_allowed(tmp_path: Path) -> None:
    files = write(tmp_path, a={"annotations": [annotation(1), annotation("2")]}, p=[result(1)])
    scored = score_files(None, files["a"], files["p"], allow_missing=True)
    assert scored.scores["accuracy"] == 0.5
    assert scored.counts == {"missing": 1, "empty": 0, "indistinct_answers": 0}


def test_answers_without_ids_are_counted(tmp_path: Path) -> None:
    files = write(tmp_path, a={"annotations": [annotation(1, answers=[{"answer": "yes"}] * 10)]}, p=[result(1)])
    scored = score_files(None, files["a"], files["p"], allow_missing=False)
    assert (scored.scores["accuracy"], scored.counts["indistinct_answers"]) == (0, 1)  # as the official evaluator


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
