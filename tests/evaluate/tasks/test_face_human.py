"""Face-Human-Bench against numbers worked out by hand."""

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from humanvlm.errors import UserError
from humanvlm.evaluate.tasks.face_human import SUBSETS, read_letter, read_problems, score_face_human, score_files

from ..publishers import face_human, write

OPTIONS = {"A": "not wearing hat", "B": "yes", "C": "no", "D": "42"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(face_human(tmp_path)["references"])


def test_questions_are_worded_and_turned_as_by_the_authors(folder: Path) -> None:
    problems = read_problems(folder)
    assert len(problems) == 2 * len(SUBSETS)
    draw = Random(100)
    turn = draw.randint(0, 3)
    first = problems[0]
    assert first.id == "face_age_basic_5/original/0"
    assert first.image == "eval_data/face_age_basic_5/original/sample_0001.jpg"
    ages = [12, 22, 32, 42]
    listed = "\n".join(f"{letter}. {ages[(place + turn) % 4]}" for place, letter in enumerate("ABCD"))
    assert first.prompt == (
        f"Question: What of face_age_basic_5?\n{listed}\nPlease select the correct answer from the options above."
    )
    assert first.options[first.answer] == "22"  # option 1 of the file
    assert first.picture == problems[2].picture != problems[1].picture  # two versions of one picture


def test_chinese_goes_on_where_english_ended(tmp_path: Path, folder: Path) -> None:
    problems = read_problems(Path(face_human(tmp_path / "zh", "_zh")["references"]))
    draw = Random(100)
    for problem in read_problems(folder):
        draw.randint(0, len(problem.options) - 1)
    assert problems[0].options["A"] == str([12, 22, 32, 42][draw.randint(0, 3)])
    assert problems[0].prompt.startswith("问题: What of")
    assert problems[0].prompt.endswith("\n请从以上选项中选择正确的答案。")


@pytest.mark.parametrize(
    ("reply", "letter"),
    [
        ("B", "B"),
        ("B. yes", "B"),
        ("选项B", "B"),
        ("答案是 C。", "C"),
        ("The answer is (D)", "D"),
        ("A. or B.", None),
        ("He is 42", "D"),
        ("Cannot determine the answer", "Z"),
        ("I think so", None),
    ],
)
def test_letters(reply: str, letter: str | None) -> None:
    assert read_letter(reply, OPTIONS) == letter


def test_every_ability_weighs_the_same(folder: Path) -> None:
    """Right are both questions of age, original, and one of two of each kind of recognition; nothing else."""
    problems = read_problems(folder)
    replies: list[str | None] = []
    for problem in problems:
        name = problem.id
        right = ("age" in name and "original" in name and "cross" not in name) or (
            "recognition" in name and name.endswith("/0")
        )
        replies.append(problem.answer if right else "none of it")
    found = score_face_human(problems, replies)
    scores = found.scores
    assert scores["accuracy[l3=face / age / 10 years]"] == 1 / 2
    assert scores["accuracy[l2=face / age]"] == scores["accuracy[l2=face / recognition]"] == 1 / 2
    assert scores["accuracy[l1=face]"] == pytest.approx((1 / 2 + 1 / 2) / 5)
    assert scores["accuracy[l1=human]"] == 0
    assert scores["accuracy"] == pytest.approx(1 / 10)
    assert found.counts["unparseable"] == len(problems) - 6 - 5
    part = score_face_human(problems[:2], replies[:2]).scores
    assert part["accuracy"] == part["accuracy[l1=face]"] == 1  # of what was asked
    assert part["accuracy[l1=human]"] != part["accuracy[l1=human]"]


def test_replies_by_id_and_results_of_the_authors(folder: Path, tmp_path: Path) -> None:
    problems = read_problems(folder)
    said = [{"id": problem.id, "text": f"{problem.answer}."} for problem in problems]
    assert score_files(folder, write(tmp_path / "said.jsonl", said)).scores["accuracy"] == 1
    row = json.loads((folder / "face_age_basic_5.json").read_text())["data"][0]
    asked = {"round": 3, "text": "Question: …", "answer": "C", "output": "C. 22"}  # options turned by three: 42, 12, 22
    result = {"task_type": "face_age_basic_5", "data_version": "cropped", "sample_info": row, "eval": [asked]}
    results = write(tmp_path / "results.json", {"results": [result], "language": "en"})
    found = score_files(results, None)
    assert found.ids == ["face_age_basic_5/cropped/0"]
    assert found.scores["accuracy"] == 1
    for references, predictions in ((results, results), (folder, None)):
        with pytest.raises(UserError, match="a folder of questions wants --predictions, and a file of results none"):
            score_files(references, predictions)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"QA": {"question": "?", "options": ["a"], "answer": 0}}, "no QA with two to four options"),
        ({"QA": {"question": "?", "options": ["a", "b"], "answer": 2}}, "answer 2 is no place of an option"),
        ({"image": {}}, "no image with image_paths"),
    ],
)
def test_what_is_malformed_is_named(folder: Path, changed: dict[str, Any], message: str) -> None:
    path = folder / "human_reid_basic.json"
    rows = json.loads(path.read_text())["data"]
    write(path, {"data": [rows[0] | changed]})
    with pytest.raises(UserError, match=rf"human_reid_basic.json\[0\]: {message}"):
        read_problems(folder)
    path.unlink()
    with pytest.raises(UserError, match=r"human_reid_basic.json: cannot be read"):
        read_problems(folder)
