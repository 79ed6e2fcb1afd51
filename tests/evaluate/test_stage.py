"""benchmark_scores on a real, tiny checkpoint: all tasks, baselines, drops, known replies, the page."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from humanvlm.cli import main
from humanvlm.data import prompts
from humanvlm.data.shards import write_shard
from humanvlm.errors import UserError
from humanvlm.evaluate.tasks.held_out import most_common_caption
from humanvlm.inference.base import Local
from humanvlm.pipeline.contract import artifact_files

from .small_run import SCHEMA, evaluate


@pytest.fixture(scope="module")
def whole(inputs: dict[str, Path], repo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HUMANVLM_PREDICTIONS", str(folder / "predictions"))
        evaluate(inputs, folder / "benchmark_scores", repo)
    return folder / "benchmark_scores"


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


def test_a_second_run_asks_nothing_and_scores_the_same(
    inputs: dict[str, Path], tmp_path: Path, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = evaluate(inputs, tmp_path / "one", repo)
    assert first["info"]["replies"] == {"made": 7, "known": 0}  # of 10: three ask what another does
    monkeypatch.delattr(Local, "loaded")  # no model any more
    second = evaluate(inputs, tmp_path / "two", repo)
    assert second["info"]["replies"] == {"made": 0, "known": 7}
    for name in ("scores.json", "details.json", "samples/captions.jsonl", "samples/rec.jsonl", "report.html"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name


@pytest.mark.slow
def test_a_change_asks_again_exactly_what_it_concerns(
    inputs: dict[str, Path], tmp_path: Path, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 7 questions, 5 want a caption; the mean picture is not counted."""

    def made(*overrides: str, **changed: Path) -> int:
        report = evaluate(inputs | changed, tmp_path / "out", repo, *overrides)
        return int(report["info"]["replies"]["made"])

    assert made() == 7
    assert made("bootstrap=10") == 0
    assert made("limit=1") == 0
    assert made("max_new_tokens=5") == 7
    assert made("batch_size=4") == 7
    assert made("dtype=bfloat16") == 7
    other = Path(shutil.copytree(inputs["stage2_checkpoint"], tmp_path / "other"))
    assert made("bootstrap=11", stage2_checkpoint=other) == 0  # the same bytes at another place
    settings = json.loads((other / "model" / "generation_config.json").read_text())
    (other / "model" / "generation_config.json").write_text(json.dumps(settings | {"top_k": 7}))
    report = json.loads((other / "report.json").read_text())
    report["outputs"] = [asdict(file) for file in artifact_files(other)]
    (other / "report.json").write_text(json.dumps(report))
    assert made(stage2_checkpoint=other) == 7
    monkeypatch.setattr(prompts, "SHORT_CAPTION", "What do you see?")
    assert made("bootstrap=12") == 5


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
    row: dict[str, Any] = {"short": "A man.", "captioner": "source", "split": "train", "image": None}
    rows = [{"id": text, "captions": [text]} | row for text in ("Zebra", "Ape.")]
    write_shard(tmp_path / "tie" / "shard-00000.parquet", rows, SCHEMA)
    assert most_common_caption(tmp_path / "tie") == "ape"


def test_alt_texts_are_no_captions_where_captions_are_made(tmp_path: Path) -> None:
    row = {"captions": ["IMG_1.jpg"], "short": "A man.", "captioner": "template", "split": "train", "image": None}
    write_shard(tmp_path / "shard-00000.parquet", [{"id": "1"} | row], SCHEMA)
    assert most_common_caption(tmp_path) == "a man"


def test_two_equal_runs_compare_without_a_difference(whole: Path, tmp_path: Path) -> None:
    out, other = tmp_path / "comparison.json", tmp_path / "other"
    shutil.copytree(whole, other)
    done = CliRunner().invoke(main, ["compare", str(whole), str(other), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert "captions" in done.output
    assert '"difference": 0' in out.read_text()
