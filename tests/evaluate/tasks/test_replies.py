"""Thoughts, wrappers and unfinished thoughts in files of replies, for every command of ``humanvlm score``."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from humanvlm.cli import main
from humanvlm.evaluate.tasks.face_human import SUBSETS
from humanvlm.evaluate.tasks.registry import TASKS

from ..publishers import AMBER_WORDS, face_human, facebench, humanpcr, write

PERSON = {
    "images": [{"id": 9, "width": 100, "height": 100}],
    "annotations": [
        {"id": key, "image_id": 9, "category_id": 1, "bbox": [0, 0, 90, 90], "area": 800, "iscrowd": 0,
         "keypoints": [50, 20, 2, *[0] * 48], "num_keypoints": 1}
        for key in (1, 2)
    ],
    "categories": [{"id": 1, "name": "person"}],
}  # fmt: skip
MAN = {"expression": "the man", "image_id": 1, "bbox": [10, 10, 60, 60], "width": 100, "height": 100}
MME = {"category": "hats", "image": "a.jpg", "question": "?"}
TWO = [{"answer": "two", "answer_id": number} for number in range(10)]
TABLE = "index\tquestion\tA\tB\tanswer\n1\tWhat?\tcat\tdog\tA\n2\tWhat?\tcow\tdog\tA\n"


def amber_file(folder: Path) -> Path:
    """Two questions, neither of whose answers is yes."""
    write(folder / "annotations.json", [{"id": key, "type": "relation", "truth": "no"} for key in (1, 2)])
    write(folder / "relation.json", AMBER_WORDS)
    write(folder / "safe_words.txt", "")
    return write(folder / "query.json", [{"id": key, "image": "a.jpg", "query": "?"} for key in (1, 2)])


def chair_folder(folder: Path) -> Path:
    """Two pictures of people."""
    images = [{"id": key, "file_name": str(key)} for key in (1, 2)]
    annotations = [{"image_id": key, "category_id": 3} for key in (1, 2)]
    people = {"categories": [{"id": 3, "name": "person"}], "images": images, "annotations": annotations}
    write(folder / "coco" / "instances_val.json", people)
    captions = [{"id": key, "image_id": key, "caption": "It is."} for key in (1, 2)]
    write(folder / "coco" / "captions_val.json", {"images": images, "annotations": captions})
    write(folder / "coco" / "synonyms.txt", "person, man\nchair\n")
    return folder / "coco"


def published(make: Callable[[Path], Mapping[str, str]]) -> Callable[[Path], Path]:
    """The references of a benchmark of ``publishers``."""
    return lambda folder: Path(make(folder / "files")["references"])


FACES = [f"{name}/{version}/{number}" for name, version, *_ in SUBSETS for number in (0, 1)]
ASKED = [f"{image}.jpg:q{number}" for image in "ab" for number in range(4)]
# For each command: references, the key of replies, two right replies and a wrong one, and ids where they are not 1 and
# 2; where there are more, the second reply is given to all others.
CASES: Mapping[str, tuple[Any, ...]] = {
    "captions": ({"1": ["a man smiles"], "2": ["a dog runs"]}, "image_id", "a man smiles", "a dog runs", "two hats"),
    "reg": ([MAN | {"id": 1}, MAN | {"id": 2, "bbox": [0, 0, 9, 9], "expression": "a dog"}], "id", "the man", "a dog",
            "two hats"),
    "vqa": ({"annotations": [{"question_id": key, "answers": TWO} for key in (1, 2)]},
            "question_id", "two", "two", "three"),
    "grounding": ([MAN | {"id": key} for key in (1, 2)], "id", "[10, 10, 60, 60]", "[10, 10, 60, 60]",
                  "[70, 70, 90, 90]"),
    "keypoints": (PERSON, "id", "nose: [50, 20]", "nose: [50, 20]", "nose: [90, 90]"),
    "pope": ([{"question_id": key, "image": "a", "text": "?", "label": "yes"} for key in (1, 2)], "question_id", "Yes",
             "Yes", "No"),
    "mme": ([MME | {"id": 1, "answer": "Yes"}, MME | {"id": 2, "answer": "No"}], "id", "Yes", "No", "perhaps"),
    "choice": (TABLE, "index", "A", "A", "B"),
    "attributes": ([{"id": key, "attributes": {"hat": True}} for key in (1, 2)], "id", "yes", "yes", "no"),
    "amber": (amber_file, "id", "No", "No", "Yes"),
    "chair": (chair_folder, "image_id", "A man.", "Men.", "A chair."),
    "face_human": (published(face_human), "id", "22", "12", "42", FACES),
    "facebench": (published(facebench), "id", "Yes", "Chin area and side to side", "something", ASKED),
    "humanpcr": (published(humanpcr), "id", "sitting", "sitting", "standing", range(5)),
}  # fmt: skip


def scores(command: str, folder: Path, *replies: str) -> Any:
    """What ``humanvlm score`` writes of two replies."""
    references, key, _, _, _, *named = CASES[command]
    truth, said = folder / ("truth.tsv" if isinstance(references, str) else "truth.json"), folder / "said.jsonl"
    if callable(references):
        truth = references(folder)
    else:
        truth.write_text(references if isinstance(references, str) else json.dumps(references))
    ids = list(named[0]) if named else [1, 2]
    replies = (*replies, *replies[-1:] * (len(ids) - 2))
    field = {"captions": "caption", "vqa": "answer", "chair": "caption"}.get(command, "text")
    rows = [{key: number, field: reply, "attribute": "hat"} for number, reply in zip(ids, replies, strict=True)]
    said.write_text("\n".join(map(json.dumps, rows)))
    options = {"keypoints": ["--kind", "pck"], "captions": ["--metric", "bleu"], "reg": ["--metric", "bleu"]}
    names = ["--annotations" if command == "vqa" else "--references", truth, "--predictions", said]
    arguments = ["score", command, *names, *options.get(command, ()), "--out", folder / "out.json"]
    done = CliRunner().invoke(main, list(map(str, arguments)))
    assert done.exit_code == 0, done.output
    return json.loads((folder / "out.json").read_text())


def test_every_command_is_here() -> None:
    assert CASES.keys() == {task.command or name for name, task in TASKS.items()}


@pytest.mark.parametrize("command", CASES)
def test_the_answer_is_scored_and_the_reply_kept(command: str, tmp_path: Path) -> None:
    _, _, first, second, wrong, *_ = CASES[command]
    plain = scores(command, tmp_path, first, second)
    said = f"<think>Is it {wrong}? {wrong}.</think>\n{first}", f"{wrong}\n</think>\n<answer>{second}</answer>"
    found = scores(command, tmp_path, *said)
    assert found["scores"] == plain["scores"]
    assert found["counts"] == plain["counts"]
    if "reply" in found["per_sample"][0]:
        assert [row["reply"] for row in found["per_sample"][:2]] == list(said)
    assert scores(command, tmp_path, wrong, wrong)["scores"] != plain["scores"]


@pytest.mark.parametrize("command", CASES)
def test_a_thought_that_never_ends_is_wrong_and_counted(command: str, tmp_path: Path) -> None:
    _, _, first, second, *_ = CASES[command]
    right, found = scores(command, tmp_path, first, second), scores(command, tmp_path, f"<think>So {first}", second)
    assert found["counts"]["unfinished_thought"] == 1
    assert found["counts"].get("missing", 0) == 0
    headline = next(iter(right["scores"]))
    assert found["scores"][headline] < right["scores"][headline]
