"""End to end on a small crawl: every stage as a user runs it, in its own folder, to a registered model that answers."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from humanvlm.data.shards import read_folder
from humanvlm.pipeline.contract import read_report
from humanvlm.pipeline.stages import STAGES

pytestmark = pytest.mark.slow

SMALL = (
    "stage1_checkpoint.word_steps=20",
    "stage2_checkpoint.word_steps=20",
    "stage1_checkpoint.max_steps=3",
    "stage2_checkpoint.max_steps=3",
    "stage1_checkpoint.batch_size=4",
    "stage2_checkpoint.batch_size=4",
    "benchmark_scores.limit=6",
    "benchmark_scores.bootstrap=50",
    "benchmark_scores.max_new_tokens=12",
)


def humanvlm(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}  # as users do
    command = [sys.executable, "-m", "humanvlm.cli", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the whole pipeline ran on a crawl of 48 scenes."""
    folder = tmp_path_factory.mktemp("project")
    overrides = [argument for override in SMALL for argument in ("--set", override)]
    for arguments in (["sample", "--scenes", "48"], ["profile", "cpu"], ["run", *overrides]):
        done = humanvlm(folder, *arguments)
        assert done.returncode == 0, done.stderr[-3000:]
    return folder


def test_every_report_balances(project: Path) -> None:
    for name in STAGES:
        rows = read_report(project / "artifacts" / name)["rows"]
        assert rows["in"] == rows["kept"] + sum(rows["dropped"].values()), name
        assert rows["kept"] > 0, name


def test_rows_flow_without_loss_or_doubles(project: Path) -> None:
    stages = ("raw_scrape", "human_scenes", "human_caption")
    kept = [read_report(project / "artifacts" / name)["rows"] for name in stages]
    assert kept[0]["kept"] == kept[1]["in"]
    assert kept[1]["kept"] == kept[2]["in"]
    ids = [row["id"] for row in read_folder(project / "artifacts" / "human_caption", ["id"])]
    assert len(ids) == len(set(ids)) == kept[2]["kept"]


def test_the_crawl_ends_as_its_ground_truth_says(project: Path) -> None:
    """Rows that a downloader must refuse are refused for the reason planted in them."""
    truth = [json.loads(line) for line in (project / "data" / "truth.jsonl").read_text().splitlines()]
    rows = read_folder(project / "artifacts" / "raw_scrape" / "dropped", ["url", "reason"])
    dropped = {row["url"]: row["reason"] for row in rows}
    expected = {row["url"]: row["expected"] for row in truth if row["expected"] in set(dropped.values())}
    assert expected
    assert {url: dropped.get(url) for url in expected} == expected


def test_a_second_run_finds_nothing_to_do(project: Path) -> None:
    overrides = [argument for override in SMALL for argument in ("--set", override)]
    before = {name: (project / "artifacts" / name / "report.json").stat().st_mtime_ns for name in STAGES}
    done = humanvlm(project, "run", *overrides)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stderr.count("up to date") == len(STAGES)
    assert before == {name: (project / "artifacts" / name / "report.json").stat().st_mtime_ns for name in STAGES}


def test_the_registered_model_answers(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        monkeypatch.setenv(name, f"sqlite:///{project}/.state/mlflow.db")
    monkeypatch.chdir(project)
    picture = next(iter(read_folder(project / "artifacts" / "human_caption", ["image"])))["image"]["bytes"]
    model = mlflow.pyfunc.load_model("models:/humanvlm@challenger")  # so little was learnt that it is no champion
    question = {"image": base64.b64encode(picture).decode(), "prompt": "Describe the picture in one sentence."}
    (answer,) = model.predict([question]).to_dict("records")
    assert isinstance(answer["text"], str)
    assert list(answer) == ["text", "image_size", "boxes", "keypoints"]


def test_pages_and_summary(project: Path) -> None:
    page = humanvlm(project, "show", "artifacts/human_caption", "--out", "page.html")
    assert page.returncode == 0, page.stderr
    assert "data:image/" in (project / "page.html").read_text()
    assert "benchmark_scores" in humanvlm(project, "summary").stdout
