"""``humanvlm score`` on small files written here, in the forms of their publishers, against scores worked out by hand
or by the published formula. The reference scores of whole benchmarks are beside the checkout, where they are at all."""

import gzip
import json
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from humanvlm.cli import main

from .coco_cases import coco_case

Box = Sequence[float]


def write(path: Path, value: Any) -> Path:
    """JSON, JSON lines by the name's ending, or text as it is; gzip when the name says so."""
    if isinstance(value, str):
        text = value
    elif ".jsonl" in path.name:
        text = "\n".join(map(json.dumps, value))
    else:
        text = json.dumps(value)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def score(tmp_path: Path, *arguments: str | Path) -> Any:
    """What ``humanvlm score`` writes to ``--out``."""
    out = tmp_path / "scores.json"
    done = CliRunner().invoke(main, ["score", *map(str, arguments), "--out", str(out)])
    assert done.exit_code == 0, done.output
    return json.loads(out.read_text())


# Question, answers of ten people, reply, and the share by hand: the mean over people of min(1, equal others / 3).
VQA = (
    ("What is on the head?", ["hat"] * 9 + ["cap"], "A hat.", 1.0),
    ("What does she wear?", ["hat"] * 2 + ["cap"] * 8, "hat", (2 * 1 / 3 + 8 * 2 / 3) / 10),
    ("How many people are there?", ["2"] * 3 + ["3"] * 7, "two", (3 * 2 / 3 + 7) / 10),
    ("Is it night?", ["yes"] * 10, "no", 0.0),
)


def vqa_files(folder: Path) -> list[str | Path]:
    questions = [{"question_id": n, "image_id": n, "question": text} for n, (text, *_) in enumerate(VQA)]
    annotations = [
        {
            "question_id": number,
            "image_id": number,
            "question_type": " ".join(text.split()[:2]).lower(),
            "answer_type": "other",
            "answers": [{"answer": answer, "answer_id": place} for place, answer in enumerate(answers, 1)],
        }
        for number, (text, answers, _, _) in enumerate(VQA)
    ]
    said = [{"question_id": number, "answer": reply} for number, (_, _, reply, _) in enumerate(VQA)]
    return [
        "vqa",
        *("--questions", write(folder / "questions.json.gz", {"questions": questions})),
        *("--annotations", write(folder / "annotations.json", {"annotations": annotations})),
        *("--predictions", write(folder / "said.json", said[::-1])),
    ]


def test_vqa(tmp_path: Path) -> None:
    found = score(tmp_path, *vqa_files(tmp_path), "--bootstrap", "100")
    assert found["scores"]["accuracy"] == pytest.approx(2.5 / 4)
    assert found["official"]["overall"] == 62.5
    assert {row["id"]: row["accuracy"] for row in found["per_sample"]} == pytest.approx(
        {str(number): right for number, (*_, right) in enumerate(VQA)}
    )
    low, high = found["intervals"]["accuracy"]
    assert low < 0.625 < high


def test_vqa_imports_nothing_heavy_outside_of_a_project(tmp_path: Path) -> None:
    arguments = [str(argument) for argument in vqa_files(tmp_path)]
    code = (
        "import sys; from humanvlm.cli import main; main(standalone_mode=False); "
        "heavy = {'torch', 'pandas', 'mlflow', 'pyarrow', 'PIL', 'pydantic', 'transformers'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    (tmp_path / "empty").mkdir()
    command = [sys.executable, "-c", code, "score", *arguments, "--bootstrap", "20"]
    done = subprocess.run(command, cwd=tmp_path / "empty", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "empty").iterdir()) == []


def overlap(one: Box, other: Box) -> float:
    """Intersection over union of xyxy boxes, by counting sides."""
    width = max(0.0, min(one[2], other[2]) - max(one[0], other[0]))
    height = max(0.0, min(one[3], other[3]) - max(one[1], other[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return width * height / (sum(areas) - width * height)


def expressions(count: int = 60) -> tuple[list[dict[str, Any]], list[Box]]:
    """RefCOCO's rows and boxes like theirs, in pixels, of whole thousandths of the picture's sides."""
    draw = random.Random(5)
    rows: list[dict[str, Any]] = []
    boxes: list[Box] = []
    for number in range(count):
        width, height = draw.choice((640, 500)), draw.choice((480, 375))
        pair = []
        x, y, w, h = (draw.randrange(100, 400) for _ in range(4))
        for shift in (0, draw.choice((0, 20, 90, 300))):
            sides = (x + shift, y + shift // 2, x + shift + w, y + shift // 2 + h)
            pair.append([side * (width, height)[place % 2] / 1000 for place, side in enumerate(sides)])
        rows.append({"image_id": number, "sent_id": number + 100, "expression": "the man", "bbox": pair[0]})
        rows[-1] |= {"img_path": f"{number}.jpg", "width": width, "height": height, "split": "testA"}
        boxes.append(pair[1])
    return rows, boxes


FORMS = {
    "unit": "[{0:.3f}, {1:.3f}, {2:.3f}, {3:.3f}]",
    "qwen": "<|box_start|>({4:.0f},{5:.0f}),({6:.0f},{7:.0f})<|box_end|>",
    "prose": "It is at [{0:.3f}, {1:.3f}, {2:.3f}, {3:.3f}], I think.",
}


@pytest.mark.parametrize("form", FORMS)
def test_grounding(tmp_path: Path, form: str) -> None:
    rows, boxes = expressions()
    said = []
    for row, box in zip(rows, boxes, strict=True):
        shares = [side / (row["width"], row["height"])[place % 2] for place, side in enumerate(box)]
        text = FORMS[form].format(*shares, *(1000 * share for share in shares))
        said.append({"sent_id": row["sent_id"], "text": text})
    said[3]["text"] = "I cannot see such a man."
    overlaps = [overlap(row["bbox"], box) for row, box in zip(rows, boxes, strict=True)]
    overlaps[3] = 0.0
    references = write(tmp_path / "truth.jsonl.gz", rows)
    found = score(
        tmp_path, "grounding", "--references", references, "--predictions", write(tmp_path / "said.jsonl", said[::-1])
    )
    assert 0.2 < found["scores"]["acc50"] < 0.8
    assert found["scores"]["acc50"] == pytest.approx(sum(value >= 0.5 for value in overlaps) / len(rows))
    assert found["scores"]["acc75"] == pytest.approx(sum(value >= 0.75 for value in overlaps) / len(rows))
    assert found["scores"]["mean_iou"] == pytest.approx(sum(overlaps) / len(rows), abs=1e-9)
    assert found["counts"]["no_box"] == 1


def test_reg(tmp_path: Path) -> None:
    """One's own first expression of a region is a perfect reply to it."""
    rows, _ = expressions(8)
    texts = ["the tall man on the left side", "a woman in a red hat there"] * 4
    rows = [row | {"expression": text} for row, text in zip(rows, texts, strict=True)]
    second = [row | {"sent_id": row["sent_id"] + 500, "expression": "some other person"} for row in rows]
    references = write(tmp_path / "truth.jsonl", rows + second)
    said = [{"sent_id": row["sent_id"], "text": row["expression"]} for row in rows]
    files = ("--references", references, "--predictions", write(tmp_path / "said.jsonl", said))
    found = score(tmp_path, "reg", *files, "--metric", "bleu", "--metric", "rouge_l")
    assert len(found["per_sample"]) == 8
    assert found["scores"]["bleu_4"] == pytest.approx(1)
    assert found["scores"]["rouge_l"] == pytest.approx(1)


def test_pope(tmp_path: Path) -> None:
    """Ten questions, half of them yes; said: 4 of 5 yes found, 2 of 5 no missed."""
    replies = ["Yes, there is."] * 4 + ["No."] + ["yes"] * 2 + ["There is no car."] * 3
    rows = [
        {"question_id": n, "image": f"{n // 2}.jpg", "text": "Is there a car?", "label": "no" if n > 4 else "yes"}
        for n in range(10)
    ]
    references = write(tmp_path / "truth.jsonl", rows)
    said = [{"question_id": n, "text": text} for n, text in enumerate(replies)]
    scores = score(tmp_path, "pope", "--references", references, "--predictions", write(tmp_path / "said.jsonl", said))[
        "scores"
    ]
    wanted = {"accuracy": 0.7, "precision": 4 / 6, "recall": 0.8, "f1": 2 * 4 / (6 + 5), "yes_ratio": 0.6}
    assert {name: scores[name] for name in wanted} == pytest.approx(wanted)


def test_attributes(tmp_path: Path) -> None:
    """CelebA's file: a constant no is right as often as the label is absent, and balanced 0.5."""
    names = ["Eyeglasses", "Male", "Smiling"]
    draw = random.Random(2)
    labels = [[draw.choice((-1, 1, 1)) for _ in names] for _ in range(50)]
    lines = [f"{number:06}.jpg " + " ".join(f"{value:2}" for value in row) for number, row in enumerate(labels, 1)]
    truth = write(tmp_path / "list_attr.txt.gz", "\n".join([str(len(labels)), " ".join(names), *lines]))
    no = "\n".join([str(len(labels)), " ".join(names), *(line.split()[0] + " -1" * len(names) for line in lines)])
    files = ("--references", truth, "--predictions", write(tmp_path / "no.txt", no))
    scores = score(tmp_path, "attributes", *files)["scores"]
    absent = [sum(row[place] == -1 for row in labels) / len(labels) for place in range(len(names))]
    assert scores["accuracy"] == pytest.approx(sum(absent) / len(names))
    for name, share in zip(names, absent, strict=True):
        assert scores[f"accuracy[attribute={name}]"] == pytest.approx(share)
    assert scores["balanced_accuracy"] == pytest.approx(0.5)
    assert scores["f1"] == 0


def test_captions(tmp_path: Path) -> None:
    """BLEU and ROUGE-L by hand: precision 4/4, 3/3, 2/2 of words to triples, too short by a third; recall 4/6."""
    coco = {
        "images": [{"id": 7}],
        "annotations": [{"id": 1, "image_id": 7, "caption": "A man in a red hat."}],
    }
    said = [{"image_id": 7, "caption": "a man in a"}]
    pairs = {"7": {"candidate": "a man in a", "references": ["A man in a red hat."]}}
    metrics = ("--metric", "bleu", "--metric", "rouge_l")
    forms: tuple[list[str | Path], ...] = (
        ["--references", write(tmp_path / "truth.json", coco), "--predictions", write(tmp_path / "said.json.gz", said)],
        ["--references", write(tmp_path / "pairs.json", pairs)],
    )
    for files in forms:
        scores = score(tmp_path, "captions", *files, *metrics)["scores"]
        brevity = 2.718281828459045 ** (1 - 6 / 4)
        for order in range(1, 5):
            assert scores[f"bleu_{order}"] == pytest.approx(brevity, abs=1e-6)
        recall, weight = 4 / 6, 1.2**2
        assert scores["rouge_l"] == pytest.approx((1 + weight) * recall / (recall + weight))


@pytest.mark.parametrize("kind", ["keypoints", "bbox"])
def test_keypoints(tmp_path: Path, kind: str) -> None:
    """The truth as its own result: every person found at every threshold; half of the people: recall says so."""
    truth, _ = coco_case(kind, 3)
    people = [row | {"iscrowd": 0, "ignore": 0, "area": 2500} for row in truth["annotations"] if row["num_keypoints"]]
    truth["annotations"] = people
    results = [{**{key: row[key] for key in ("image_id", "category_id", kind)}, "score": 0.9} for row in people]
    references = write(tmp_path / "truth.json", truth)
    options = ("keypoints", "--references", references, "--kind", kind)
    assert len(people) > 3
    scores = score(tmp_path, *options, "--predictions", write(tmp_path / "all.json", results))["scores"]
    assert scores["ap"] == pytest.approx(1)
    assert scores["ap_large"] == -1
    none = score(tmp_path, *options, "--predictions", write(tmp_path / "none.json", []))["scores"]
    assert none["ap"] == 0


def test_points_told_in_words(tmp_path: Path) -> None:
    """The nose where it is, the left eye 30 pixels off in a box of 100: outside of a tenth, and of a fifth."""
    points = [0] * 51
    points[0:6] = [100, 100, 2, 120, 90, 1]
    person = {"id": 4, "image_id": 1, "category_id": 1, "bbox": [50, 50, 100, 80], "area": 4000, "iscrowd": 0}
    truth = {
        "images": [{"id": 1, "width": 200, "height": 200}],
        "categories": [{"id": 1, "name": "person"}],
        "annotations": [person | {"keypoints": points, "num_keypoints": 2}],
    }
    said = [{"id": 4, "text": "nose at (100, 100), left eye at (150, 90)"}]
    references, predictions = write(tmp_path / "truth.json", truth), write(tmp_path / "said.jsonl", said)
    files = ("--references", references, "--predictions", predictions)
    scores = score(tmp_path, "keypoints", *files, "--kind", "pck", "--space", "pixels")["scores"]
    assert scores["pck@0.1"] == scores["pck@0.2"] == 0.5


def test_what_is_wrong_is_one_line(tmp_path: Path) -> None:
    arguments = [str(argument) for argument in vqa_files(tmp_path)]
    said = tmp_path / "said.json"
    rows = json.loads(said.read_text())
    for content, why in (
        (json.dumps(rows[1:]), "no prediction for id 3"),
        (json.dumps([*rows, rows[0]]), "id 3 is there twice"),
        ("{", str(said)),
        ("", str(said)),
        ("[{}]", str(said)),
    ):
        said.write_text(content)
        done = CliRunner().invoke(main, ["score", *arguments, "--out", str(tmp_path / "out.json")])
        assert (done.exit_code, done.output.count("\n")) == (2, 1), done.output
        assert why in done.output
        assert not (tmp_path / "out.json").exists()
