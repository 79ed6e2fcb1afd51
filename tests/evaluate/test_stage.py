"""benchmark_scores on a real, tiny checkpoint: all tasks, baselines, drops, resumption, the page."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from PIL import Image

from humanvlm.cli import main
from humanvlm.config import Model
from humanvlm.errors import UserError
from humanvlm.evaluate import stage
from humanvlm.evaluate.predict import load_replies, mean_picture, save_replies
from humanvlm.evaluate.tasks import most_common_caption
from humanvlm.model.build import build_llava
from humanvlm.shards import IMAGE, write_json, write_shard
from humanvlm.stage import artifact_files, run_stage

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("captions", pa.list_(pa.string())),
        ("short", pa.string()),
        ("captioner", pa.string()),
        ("split", pa.string()),
        ("image", IMAGE),
    ]
)


def jpeg(shade: int) -> bytes:
    buffer = BytesIO()
    Image.fromarray(np.full((40, 60, 3), shade, np.uint8)).save(buffer, "JPEG")
    return buffer.getvalue()


def write_lines(path: Path, rows: Sequence[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))


@pytest.fixture(scope="module")
def checkpoint(tiny_models: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stage2_checkpoint")
    for part in build_llava(Model(**tiny_models, system_prompt="")):
        part.save_pretrained(folder / "model")
    write_json(folder / "report.json", {"outputs": [asdict(file) for file in artifact_files(folder)]})
    return folder


@pytest.fixture(scope="module")
def inputs(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    tmp_path = tmp_path_factory.mktemp("inputs")
    benchmarks = tmp_path / "data" / "benchmarks"
    (benchmarks / "images").mkdir(parents=True)
    for number in range(4):
        (benchmarks / "images" / f"{number}.jpg").write_bytes(jpeg(60 * number))
    (benchmarks / "images" / "broken.jpg").write_bytes(b"no picture")
    image = [f"images/{number}.jpg" for number in range(4)]
    captions: list[Any] = [{"id": f"c{i}", "image": image[i], "references": [f"shade {i}"]} for i in range(4)]
    captions += [{"id": "gone", "image": "images/gone.jpg", "references": ["nothing"]}]
    captions += [{"id": "broken", "image": "images/broken.jpg", "references": ["nothing"]}]
    captions += [{"id": "out", "image": "../../secret.jpg", "references": ["nothing"]}, "{not json", {"id": "bare"}]
    write_lines(benchmarks / "captions.jsonl", captions)
    box = {"box": [6, 4, 30, 20], "width": 60, "height": 40, "expression": "<b>the man</b>"}
    write_lines(benchmarks / "rec.jsonl", [{"id": "r0", "image": image[0]} | box])
    question = {"image": image[1], "attribute": "hat", "question": "Does he appear to wear a hat?"}
    write_lines(benchmarks / "attributes.jsonl", [{"id": f"a{i}", "answer": "yes"} | question for i in range(2)])
    rows = [
        {
            "id": f"h{i}",
            "captions": ["A shade." if i < 4 else f"Shade {i}!"] if i != 5 else [],
            "short": "short",
            "captioner": "source",
            "split": "test" if i > 3 else "train",
            "image": {"bytes": jpeg(30 * i), "path": None},
        }
        for i in range(7)
    ]
    folder = tmp_path / "human_caption"
    written = write_shard(folder / "shard-00000.parquet", rows, SCHEMA)
    write_json(folder / "report.json", {"outputs": [asdict(written)]})
    return {"stage2_checkpoint": checkpoint, "human_caption": folder, "data": tmp_path / "data"}


def evaluate(inputs: dict[str, Path], out: Path, repo: Path, *overrides: str) -> dict[str, Any]:
    tasks = "tasks=[captions, vqa, rec, attributes, holdout]"
    small = (tasks, "limit=0", "max_new_tokens=4", "bootstrap=20", "batch_size=2")
    settings = [f"benchmark_scores.{value}" for value in (*small, *overrides)]
    return run_stage("benchmark_scores", repo / "profiles" / "cpu.yaml", settings, inputs, out)


@pytest.fixture(scope="module")
def whole(inputs: dict[str, Path], repo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "benchmark_scores"
    evaluate(inputs, out, repo)
    return out


def test_all_tasks_are_scored_and_every_row_counted(whole: Path) -> None:
    out = whole
    report = json.loads((out / "report.json").read_text())
    assert report["rows"] == {
        "in": 15,
        "kept": 10,
        "dropped": {"bad_row": 3, "corrupt_image": 1, "missing_image": 1},
    }
    assert report["info"]["absent"].keys() == {"vqa"}
    assert report["info"]["baselines"]["most_common"] == "a shade"
    scores = json.loads((out / "scores.json").read_text())
    details = json.loads((out / "details.json").read_text())
    assert scores == report["metrics"]
    assert {"holdout.cider", "holdout.cider.most_common", "holdout.cider.mean_image"} <= scores.keys()
    assert not any(name.startswith("vqa") for name in scores)
    for name, (low, high) in details["intervals"].items():
        assert low <= scores[name] + 1e-9, name
        assert scores[name] <= high + 1e-9, name
    records = [json.loads(line) for line in (out / "samples" / "holdout.jsonl").read_text().splitlines()]
    assert [record["references"] for record in records] == [["Shade 4!"], ["short"], ["Shade 6!"]]
    page = (out / "report.html").read_text()
    assert "&lt;b&gt;the man&lt;/b&gt;" in page
    assert "<b>the man</b>" not in page
    assert page.count("data:image/jpeg;base64,") >= 10
    assert "http" not in page
    assert {"plots/scores.png", "report.html"} <= set(report["plots"])


def test_a_killed_run_asks_nothing_twice(
    inputs: dict[str, Path], whole: Path, tmp_path: Path, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    make = stage._asker

    def counting(stop: int) -> Any:
        def asker(load: Any, config: Any) -> Any:
            ask = make(load, config)

            def count(pictures: Any, prompts: Any) -> Any:
                if len(asked) >= stop:
                    raise KeyboardInterrupt
                asked.extend(prompts)
                return ask(pictures, prompts)

            return count

        return asker

    out = tmp_path / "out"
    monkeypatch.setattr(stage, "_asker", counting(4))
    with pytest.raises(KeyboardInterrupt):
        evaluate(inputs, out, repo)
    with (out / ".work" / "predictions.jsonl").open("a") as file:
        file.write('{"key": "torn')
    monkeypatch.setattr(stage, "_asker", counting(100))
    resumed = evaluate(inputs, out, repo)
    assert len(asked) == 10 + 1  # each sample once, and the mean picture
    assert resumed["rows"]["kept"] == 10
    for name in ("scores.json", "details.json", "samples/captions.jsonl", "samples/rec.jsonl", "report.html"):
        assert (out / name).read_bytes() == (whole / name).read_bytes(), name


def test_what_cannot_be_evaluated_is_said_in_one_line(inputs: dict[str, Path], tmp_path: Path, repo: Path) -> None:
    with pytest.raises(UserError, match="unknown task 'captoins'"):
        evaluate(inputs, tmp_path / "out", repo, "tasks=[captoins]")
    with pytest.raises(UserError, match=r"every task is absent.*vqa\.jsonl"):
        evaluate(inputs, tmp_path / "out", repo, "tasks=[vqa]")


def test_limit_and_no_baselines(inputs: dict[str, Path], tmp_path: Path, repo: Path) -> None:
    report = evaluate(inputs, tmp_path / "out", repo, "limit=1", "baselines=false", "tasks=[holdout, attributes]")
    assert report["rows"] == {"in": 2, "kept": 2, "dropped": {}}
    assert not any("most_common" in name for name in report["metrics"])


def test_most_common_caption_breaks_ties_by_the_alphabet(inputs: dict[str, Path], tmp_path: Path) -> None:
    assert most_common_caption(inputs["human_caption"]) == "a shade"
    row = {"short": "A man.", "captioner": "source", "split": "train", "image": None}
    rows = [{"id": text, "captions": [text]} | row for text in ("Zebra", "Ape.")]
    write_shard(tmp_path / "tie" / "shard-00000.parquet", rows, SCHEMA)
    assert most_common_caption(tmp_path / "tie") == "ape"


def test_alt_texts_are_no_captions_where_captions_are_made(tmp_path: Path) -> None:
    row = {"captions": ["IMG_1.jpg"], "short": "A man.", "captioner": "template", "split": "train", "image": None}
    write_shard(tmp_path / "shard-00000.parquet", [{"id": "1"} | row], SCHEMA)
    assert most_common_caption(tmp_path) == "a man"


def test_mean_picture_is_the_mean_the_model_sees(checkpoint: Path) -> None:
    from humanvlm.model.load import load_checkpoint

    images = load_checkpoint(checkpoint / "model")[1].image_processor
    mean = mean_picture([Image.new("RGB", (50, 80), (shade, 0, 100)) for shade in (40, 80)], images)
    assert np.abs(np.asarray(mean, int) - (60, 0, 100)).max() <= 1
    seen = images(images=mean, return_tensors="np")["pixel_values"][0]
    assert seen.shape[1:] == mean.size[::-1]


def test_replies_survive_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    save_replies(path, [("a", "one\nline"), ("b", "zwei ü")])
    with path.open("ab") as file:
        file.write('{"key": "c", "reply": "ü'.encode()[:-1])
    assert load_replies(path) == {"a": "one\nline", "b": "zwei ü"}
    save_replies(path, [("c", "three")])
    assert load_replies(path) == {"a": "one\nline", "b": "zwei ü", "c": "three"}


def test_two_equal_runs_compare_without_a_difference(whole: Path, tmp_path: Path) -> None:
    out, other = tmp_path / "comparison.json", tmp_path / "other"
    shutil.copytree(whole, other)
    done = CliRunner().invoke(main, ["compare", str(whole), str(other), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert "captions" in done.output
    assert '"difference": 0' in out.read_text()
