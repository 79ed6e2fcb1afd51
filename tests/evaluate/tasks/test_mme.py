"""MME against numbers worked out by hand."""

import json
from pathlib import Path

import pytest

from humanvlm.errors import UserError
from humanvlm.evaluate.tasks.mme import parse_answer, score_files

FILES = {
    "existence.txt": "a.jpg\tIs there a cat?\tYes\tYes\na.jpg\tIs there a dog?\tNo\tNo, none.\n"
    "b.jpg\tIs there a car?\tYes\tNo\nb.jpg\tIs there a bus?\tNo\tI am not sure\n",
    "color.txt": "a.jpg\tIs it red?\tYes\tyes\na.jpg\tIs it blue?\tNo\tYes\n",
    "code_reasoning.txt": "a.png\tIs it Python?\tYes\tYes.\na.png\tIs it C?\tNo\tNo.\n",
}


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("Yes", "yes"),
        ("no.", "no"),
        (" yes", "yes"),
        ("  yes", "other"),
        ("Nothing", "no"),
        ("I know", "other"),
        ("", "other"),
    ],
)
def test_official_reading(reply: str, answer: str) -> None:
    assert parse_answer(reply) == answer


def folder_of(path: Path) -> Path:
    for name, text in FILES.items():
        (path / name).write_text(text)
    return path


def test_the_official_folder(tmp_path: Path) -> None:
    scored = score_files(folder_of(tmp_path), None, allow_missing=False)
    scores = scored.scores
    assert scores["acc[category=existence]"] == pytest.approx(2 / 4)
    assert scores["acc_plus[category=existence]"] == pytest.approx(1 / 2)
    assert scores["score[category=existence]"] == pytest.approx(100)
    assert scores["score[category=color]"] == pytest.approx(50)
    assert scores["perception"] == pytest.approx(150)
    assert scores["cognition"] == scores["score[category=code_reasoning]"] == pytest.approx(200)
    assert scores["total"] == pytest.approx(350)
    assert scored.counts == {"missing": 0, "unparseable": 1, "categories_missing": 11}


def test_rows_are_scored_as_the_folder_is(tmp_path: Path) -> None:
    rows, said = [], []
    for name, text in FILES.items():
        for number, line in enumerate(text.splitlines()):
            image, question, answer, reply = line.split("\t")
            key = f"{name}{number}"
            category = name.removesuffix(".txt")
            rows.append({"id": key, "category": category, "image": image, "question": question, "answer": answer})
            said.append({"id": key, "text": reply})
    references, predictions, folder = tmp_path / "q.jsonl", tmp_path / "a.jsonl", tmp_path / "folder"
    folder.mkdir()
    # The two questions of a picture need not follow each other here.
    references.write_text("\n".join(json.dumps(row) for row in sorted(rows, key=lambda row: row["question"])))
    predictions.write_text("\n".join(map(json.dumps, said)))
    scores = score_files(references, predictions, allow_missing=False).scores
    assert scores == pytest.approx(score_files(folder_of(folder), None, allow_missing=False).scores)


def test_what_is_malformed_is_named(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    (folder / "color.txt").write_text("a.jpg\tIs it red?\tYes\n")
    with pytest.raises(UserError, match=r"color.txt:1: picture, question, yes or no, and reply"):
        score_files(folder, None, allow_missing=False)
    (folder / "color.txt").write_text("a.jpg\tIs it red?\tYes\tYes\n")
    with pytest.raises(UserError, match=r"color.txt: 1 lines; each picture has two"):
        score_files(folder, None, allow_missing=False)
    (folder / "color.txt").write_text(FILES["color.txt"])
    with pytest.raises(UserError, match=r"leave out --predictions"):
        score_files(folder, tmp_path / "a.jsonl", allow_missing=False)
