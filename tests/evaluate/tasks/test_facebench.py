"""FaceBench against numbers worked out by hand."""

from math import exp
from pathlib import Path
from typing import Any

import pytest

from humanvlm.errors import UserError
from humanvlm.evaluate.tasks.facebench import read_questions, score_files

from ..publishers import FACEBENCH, facebench, write

SAID = {
    "a.jpg:q0": "Yes, he has no hat",
    "a.jpg:q1": "The beard is at the chin area and side to side.",
    "a.jpg:q2": "Hat, glasses",  # Hat, Mask right; Glasses, Scarf wrong
    "a.jpg:q3": "A brown.",
    "b.jpg:q0": "Information not visible",
    "b.jpg:q1": "Chin area, or side to side",
    "b.jpg:q2": "Scarf and hat",
    "b.jpg:q3": "dark brown",
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return Path(facebench(tmp_path)["references"])


def scored(path: Path, said: dict[str, str], **given: Any) -> Any:
    rows = [{"id": key, "text": text} for key, text in said.items()]
    return score_files(path, write(path.with_name("said.jsonl"), rows), **given)


def test_each_type_has_its_figures(path: Path) -> None:
    found = scored(path, SAID)
    scores = found.scores
    assert scores["tfq_accuracy"] == 1 / 2
    assert scores["scq_accuracy"] == 1 / 2  # the second names no one option
    assert scores["mcq_f1_micro"] == pytest.approx((1 / 2 + 1) / 2)
    assert scores["mcq_f1_macro"] == pytest.approx((1 / 2 + 1) / 2)
    assert scores["oeq_rouge_l"] == pytest.approx((2 / 3 + 1) / 2)
    assert scores["oeq_bleu_1"] == pytest.approx((exp(-1) + 1) / 2)
    assert scores["score"] == pytest.approx((1 / 2 + 1 / 2 + 3 / 4 + 5 / 6) / 4)
    assert scores["mcq_f1_micro[view=Accessories]"] == pytest.approx(3 / 4)
    assert scores["tfq_accuracy[level=level 1]"] == 1 / 2
    assert scores["score[view=Accessories]"] == pytest.approx(3 / 4)
    assert found.counts == {"missing": 0, "unparseable": 1}


def test_macro_f1_where_nothing_is_right(path: Path) -> None:
    said = SAID | {"a.jpg:q2": "Glasses, Mask", "b.jpg:q2": "a wig"}
    scores = scored(path, said).scores
    assert scores["mcq_f1_micro"] == scores["mcq_f1_macro"] == 0


def test_prompts_and_responses_are_the_publishers(path: Path) -> None:
    questions = read_questions(path)
    assert questions[0].prompt == (
        "A beard?\nYes\nNo\nInformation not visible\nPlease select. "
        "Please return the answer directly without additional explanation."
    )
    rows = [
        row | {"image_id": image, "answer_info": {"response": SAID[f"{image}:{row['question_id']}"]}}
        for image in ("a.jpg", "b.jpg")
        for row in FACEBENCH
    ]
    responses = write(path.with_name("responses.jsonl"), rows)
    assert score_files(path, responses).scores == pytest.approx(scored(path, SAID).scores, nan_ok=True)
    assert scored(path, {"a.jpg:q0": "Yes"}, allow_missing=True).counts["missing"] == 7


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"question_type": "TF"}, "question_type 'TF' is none of TFQ, SCQ, MCQ, OEQ"),
        ({"gt_answer": "Maybe"}, "gt_answer 'Maybe' is none of the options"),
        ({"options": []}, "options is no list, or an empty one"),
        ({"image_id": None}, "no image_id"),
    ],
)
def test_what_is_malformed_is_named(path: Path, changed: dict[str, Any], message: str) -> None:
    write(path, [FACEBENCH[0] | {"image_id": "a.jpg", "instruction": ""} | changed])
    with pytest.raises(UserError, match=f"test.jsonl:1: {message}"):
        read_questions(path)
