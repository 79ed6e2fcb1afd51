"""The scorer as a command: anywhere, fast, with one line for what is wrong."""

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from humanvlm.cli import main


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["score", *map(str, arguments)])


def vqa(folder: Path, **changed: Any) -> list[str | Path]:
    files = {name: folder / f"{name}.json.gz" for name in ("questions", "annotations")}
    files["predictions"] = folder / "results.json.gz"
    return ["vqa", *(part for name, path in (files | changed).items() for part in (f"--{name}", path))]


def test_vqa(shared: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "scores.json"
    result = run(*vqa(shared / "benchmarks" / "vqa"), "--out", out, "--bootstrap", "100", "--seed", "3")
    assert result.exit_code == 0, result.output
    assert "vqa: 934 samples" in result.output
    assert "official report, %" in result.output
    assert " 56.64\n" in result.output
    written = json.loads(out.read_text())
    assert written["task"] == "vqa"
    assert written["official"]["overall"] == 56.64
    assert written["scores"]["accuracy"] == pytest.approx(0.5664, abs=5e-5)
    low, high = written["intervals"]["accuracy"]
    assert low < written["scores"]["accuracy"] < high
    assert len(written["per_sample"]) == 934
    assert written["per_sample"][0]["id"] == "1000"
    mean = sum(row["accuracy"] for row in written["per_sample"]) / 934
    assert mean == pytest.approx(written["scores"]["accuracy"])
    again = tmp_path / "again.json"
    run(*vqa(shared / "benchmarks" / "vqa"), "--out", again, "--bootstrap", "100", "--seed", "3")
    assert again.read_bytes() == out.read_bytes()


def test_grounding(shared: Path, tmp_path: Path) -> None:
    folder, out = shared / "benchmarks" / "grounding", tmp_path / "scores.json"
    references, predictions = (folder / f"{name}refcoco_unc_testA.jsonl.gz" for name in ("", "predictions_"))
    files = ("--references", references, "--predictions", predictions)
    result = run("grounding", *files, "--out", out)
    assert result.exit_code == 0, result.output
    scores = json.loads(out.read_text())["scores"]
    assert scores["acc50"] == pytest.approx(0.8122679865653173, abs=1e-6)
    assert "unparseable 284, no_box 284" in result.output
    wrong = run("grounding", *files, "--space", "percent")
    assert wrong.exit_code == 0
    assert "  acc50             0.0000\n" in wrong.output


@pytest.mark.parametrize("kind", ["keypoints", "bbox"])
def test_keypoints(shared: Path, tmp_path: Path, kind: str) -> None:
    folder, out = shared / "benchmarks" / "keypoints", tmp_path / "scores.json"
    truth = folder / "annotations_coco_mini" / "person_keypoints_train2017.json"
    files = ("--references", truth, "--predictions", folder / f"train_{kind}_predictions.json")
    result = run("keypoints", *files, "--kind", kind, "--out", out)
    assert result.exit_code == 0, result.output
    written = json.loads(out.read_text())
    expected = json.loads((folder / "train_expected.json").read_text())["stats"][kind]
    assert list(written["scores"].values()) == pytest.approx(expected, abs=1e-4)
    assert len(written["per_sample"]) == 80


def test_pope(shared: Path, tmp_path: Path) -> None:
    questions, said = shared / "benchmarks" / "pope" / "coco_pope_random.json.gz", tmp_path / "said.jsonl.gz"
    with gzip.open(questions, "rt") as file, gzip.open(said, "wt") as answers:
        for line in file:
            answers.write(json.dumps({"question_id": json.loads(line)["question_id"], "text": "Yes."}) + "\n")
    result = run("pope", "--references", questions, "--predictions", said)
    assert result.exit_code == 0, result.output
    assert "recall        1.0000" in result.output
    assert "yes_ratio     1.0000" in result.output


def test_captions(shared: Path, tmp_path: Path) -> None:
    """Pairs, and the same captions as COCO's annotations and results, against coco-caption's scores."""
    folder, out = shared / "benchmarks" / "captions", tmp_path / "scores.json"
    with gzip.open(folder / "human_1000_pairs.json.gz", "rt") as file:
        pairs = json.load(file)
    with gzip.open(folder / "human_1000_expected.json.gz", "rt") as file:
        expected = json.load(file)["scores"]
    truth, said = tmp_path / "truth.json", tmp_path / "said.json.gz"
    annotations = [
        {"image_id": int(key), "caption": text, "id": 100 * int(key) + number}
        for key, value in pairs.items()
        for number, text in enumerate(value["references"])
    ]
    truth.write_text(json.dumps({"images": [{"id": int(key)} for key in pairs], "annotations": annotations}))
    with gzip.open(said, "wt") as file:
        json.dump([{"image_id": int(key), "caption": value["candidate"]} for key, value in pairs.items()], file)
    metrics = [option for name in ("bleu", "rouge_l", "cider") for option in ("--metric", name)]
    names = {"Bleu_1": "bleu_1", "Bleu_4": "bleu_4", "ROUGE_L": "rouge_l", "CIDEr": "cider"}
    forms: tuple[list[str | Path], ...] = (
        ["--references", folder / "human_1000_pairs.json.gz"],
        ["--references", truth, "--predictions", said],
    )
    for files in forms:
        result = run("captions", *files, *metrics, "--out", out)
        assert result.exit_code == 0, result.output
        scores = json.loads(out.read_text())["scores"]
        for theirs, ours in names.items():
            assert scores[ours] == pytest.approx(expected[theirs], abs=1e-4), theirs


def test_reg(shared: Path, tmp_path: Path) -> None:
    """One's own first expression of each region is a perfect reply to it."""
    references, said = shared / "benchmarks" / "grounding" / "refcoco_unc_testA.jsonl.gz", tmp_path / "said.jsonl"
    with gzip.open(references, "rt") as file:
        rows = [json.loads(line) for line in file]
    firsts = {(row["image_id"], *row["bbox"]): row for row in reversed(rows)}
    lines = [json.dumps({"sent_id": row["sent_id"], "text": row["expression"]}) for row in firsts.values()]
    said.write_text("\n".join(lines))
    files = ("--references", references, "--predictions", said)
    result = run("reg", *files, "--metric", "bleu", "--metric", "rouge_l")
    assert result.exit_code == 0, result.output
    assert "reg: 1975 samples, 750 images" in result.output
    assert "bleu_1 1.0000 bleu_2" in " ".join(result.output.split())
    other = next(row for row in rows if row not in firsts.values())
    said.write_text("\n".join([*lines, json.dumps({"sent_id": other["sent_id"], "text": "the man"})]))
    result = run("reg", *files)
    assert result.exit_code == 2
    assert "is there twice" in result.output


def test_what_is_wrong_is_one_line(shared: Path, tmp_path: Path) -> None:
    folder, short = shared / "benchmarks" / "vqa", tmp_path / "short.json"
    with gzip.open(folder / "results.json.gz", "rt") as file:
        rows = json.load(file)
    short.write_text(json.dumps(rows[1:]))
    out = tmp_path / "out.json"
    result = run(*vqa(folder, predictions=short), "--out", out)
    assert result.exit_code == 2
    assert result.output.count("\n") == 1
    assert f"humanvlm: {short}: no prediction for id 1000 of {folder / 'annotations.json.gz'}" in result.output
    assert not out.exists()
    allowed = run(*vqa(folder, predictions=short), "--allow-missing")
    assert allowed.exit_code == 0
    assert "counts: missing 1" in allowed.output
    for broken in ("{", "[", "", "[{}]", "7", '{"a": 1}\n{"a"'):
        short.write_text(broken)
        result = run(*vqa(folder, predictions=short))
        assert (result.exit_code, result.output.count("\n")) == (2, 1), result.output
        assert str(short) in result.output


def test_help_of_every_task() -> None:
    assert run("--help").exit_code == 0
    for task in ("vqa", "grounding", "keypoints", "pope", "mme", "choice", "attributes"):
        assert "--allow-missing" in run(task, "--help").output


def test_nothing_heavy_is_imported_outside_of_a_project(shared: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from humanvlm.cli import main; main(standalone_mode=False); "
        "heavy = {'torch', 'pandas', 'mlflow', 'pyarrow', 'PIL', 'pydantic', 'transformers'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    arguments = [
        sys.executable,
        "-c",
        code,
        "score",
        *map(str, vqa(shared / "benchmarks" / "vqa")),
        "--bootstrap",
        "20",
    ]
    done = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []
