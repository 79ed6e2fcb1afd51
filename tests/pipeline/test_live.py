"""Servers that die while a stage runs, and stages that do."""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from humanvlm.data.atomic_io import write_text
from humanvlm.errors import UserError
from humanvlm.pipeline import live, tracking
from humanvlm.pipeline.contract import Counts, Outcome, StageRun, artifact_files
from humanvlm.pipeline.runner import run_stage

from .conftest import MISSING, Mlflow


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], dict[str, Any]]:
    """Runs ``registered_model`` as a stage that only counts how often it is made, and writes a curve."""
    made: list[StageRun] = []

    def make(run: StageRun) -> Outcome:
        made.append(run)
        if during := getattr(counted_run, "during", None):
            during(run)
        write_text(run.out / "loss.csv", "step,loss\n1,2.0\n2,1.5\n")
        return Outcome(Counts(1, 1), artifact_files(run.out))

    monkeypatch.setattr("humanvlm.registry.stage.make", make)
    monkeypatch.setattr("humanvlm.registry.stage.lost", lambda run: None)
    for name in ("benchmark_scores", "stage2_checkpoint"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").write_text("a")
    folders = {name: tmp_path / name for name in ("benchmark_scores", "stage2_checkpoint")}
    params = Path(__file__).parents[2] / "humanvlm/profiles/cpu.yaml"

    def counted_run() -> dict[str, Any]:
        report = run_stage("registered_model", params, inputs=folders, out=tmp_path / "out")
        return {"made": len(made), "work": (tmp_path / "out" / ".work").exists(), **report}

    return counted_run


def test_a_result_whose_server_died_is_kept_and_logged_by_the_same_command(
    mlflow: Mlflow, counted: Callable[[], dict[str, Any]], tmp_path: Path
) -> None:
    mlflow.fault = lambda path: (503, MISSING) if path == "runs/log-batch" else None
    for _ in range(2):
        with pytest.raises(UserError, match=r"too many 503.*out is complete and kept: the same command logs it"):
            counted()
    assert (tmp_path / "out" / "report.json").exists()
    assert mlflow.ends == []
    mlflow.fault = lambda path: None
    done = counted()
    assert (done["made"], done["work"], mlflow.runs, mlflow.ends) == (1, False, ["0"], ["FINISHED"])
    assert [step for name, step in mlflow.points if name == "loss"] == [1, 2]
    assert counted()["made"] == 1
    assert mlflow.ends == ["FINISHED"]  # it is not logged again


def test_an_interrupted_stage_goes_on_in_its_run_without_logging_points_twice(
    mlflow: Mlflow, counted: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "EVERY_S", 0.01)

    def during(run: StageRun) -> None:
        sent = live.Live(run.work)
        sent.log({"loss": 2.0, "never": math.nan}, 1)
        sent.close()
        (run.work / "begun").write_text("")
        counted.during = None
        raise KeyboardInterrupt

    counted.during = during
    with pytest.raises(KeyboardInterrupt):
        counted()
    assert mlflow.ends == ["FAILED"]
    assert counted()["made"] == 2
    assert (mlflow.runs, mlflow.ends) == (["0"], ["FAILED", "FINISHED"])
    assert [step for name, step in mlflow.points if name == "loss"] == [1, 2]
    assert "never" not in {name for name, _ in mlflow.points}


def test_a_server_that_dies_stops_nothing(
    mlflow: Mlflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(live, "EVERY_S", 0.01)
    monkeypatch.setattr(live, "AGAIN_S", 0.01)
    tracking.remember(tmp_path, tracking.open_run("stage1_checkpoint", "cpu"))
    mlflow.fault = lambda path: (503, MISSING)
    sent = live.Live(tmp_path)
    for step in range(3):
        sent.log({"loss": 1.0}, step)
        time.sleep(0.05)
    sent.close()
    assert caplog.text.count("The work goes on") == 1
    assert mlflow.points == []


def test_without_a_run_nothing_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "none")
    sent = live.Live(tmp_path)
    sent.log({"loss": 1.0}, 1)
    sent.file(tmp_path / "page.html")
    sent.close()
    assert sent._thread is None
