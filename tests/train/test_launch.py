"""Who starts what: ranks of the environment, and which edits an unfinished run goes on with."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from humanvlm.config.loading import load_params
from humanvlm.data.atomic_io import write_json
from humanvlm.errors import UserError
from humanvlm.pipeline.contract import StageRun
from humanvlm.pipeline.stages import STAGES
from humanvlm.train import launch
from humanvlm.train.job import describe, job_path, read_edits
from humanvlm.train.launch import continues, follow, launch_id, ranks

TORCHRUN = {"RANK": "3", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "MASTER_ADDR": "a", "MASTER_PORT": "1"}
SLURM = {
    **{"SLURM_PROCID": "3", "SLURM_STEP_NUM_TASKS": "8", "SLURM_LOCALID": "1"},
    **{"SLURM_LAUNCH_NODE_IPADDR": "a", "SLURM_JOB_ID": "40001"},
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*TORCHRUN, *SLURM, "HUMANVLM_PROCESSES", "HUMANVLM_TORCHRUN"):
        monkeypatch.delenv(name, raising=False)


def stage_run(repo: Path, out: Path, *overrides: str) -> StageRun:
    params = load_params(repo / "humanvlm" / "profiles" / "cpu.yaml", overrides)
    stage = STAGES["stage1_checkpoint"]
    return StageRun(stage, params, {name: out / name for name in stage.inputs}, out / "out")


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, {}),
        ({"RANK": "0", "WORLD_SIZE": "1"}, {}),
        (TORCHRUN, TORCHRUN),
        ({name: value for name, value in TORCHRUN.items() if name != "LOCAL_RANK"}, TORCHRUN | {"LOCAL_RANK": "0"}),
        (SLURM, TORCHRUN | {"MASTER_PORT": "20001"}),
        # A batch script itself is no task of a step.
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "8", "SLURM_JOB_ID": "1"}, {}),
    ],
)
def test_ranks_are_those_of_the_launcher(
    given: dict[str, str], wanted: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert ranks() == wanted


def test_a_rank_without_an_address_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="MASTER_ADDR"):
        ranks()


def test_a_further_rank_waits_for_rank_0_and_starts_one_worker(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = stage_run(repo, tmp_path)
    assert not follow(run, lambda: False)
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    started: list[list[str]] = []
    waited: list[float] = []

    def begin(seconds: float) -> None:
        waited.append(seconds)
        write_json(job_path(run), describe(run) | {"launch": "another" if len(waited) < 2 else launch_id()})

    def note(command: list[str]) -> int:
        started.append(command)
        return 0

    monkeypatch.setattr(time, "sleep", begin)
    monkeypatch.setattr(launch, "_run", note)
    assert follow(run, lambda: False)
    assert len(waited) == 2
    assert [command[1:3] for command in started] == [["-m", "humanvlm.train.worker"]]
    monkeypatch.setattr(launch, "_begun", lambda run: False)
    assert follow(run, lambda: True)  # rank 0 has nothing to train
    assert len(started) == 1


def test_threads_wait_asleep_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    assert launch._environment()["OMP_WAIT_POLICY"] == "passive"
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    assert launch._environment()["OMP_WAIT_POLICY"] == "active"


# What the run was started with, whatever the profile says.
STARTED = tuple(f"stage1_checkpoint.{value}" for value in ("max_steps=60", "batch_size=8", "learning_rate=0.001"))


def unfinished(run: StageRun) -> None:
    write_json(job_path(run), describe(run))
    write_json(run.work / "checkpoint-20" / "checkpoint.json", {})


@pytest.mark.parametrize(
    ("edit", "goes_on"),
    [
        ("pack_tokens=64", True),
        ("save_minutes=1", True),
        ("zero_stage=3", True),
        ("max_steps=100", True),
        ("max_steps=30", False),
        ("learning_rate=0.5", True),
        ("seed=8", False),
        ("batch_size=4", False),
    ],
)
def test_an_edit_that_makes_a_run_useless_clears_nothing(repo: Path, tmp_path: Path, edit: str, goes_on: bool) -> None:
    before = stage_run(repo, tmp_path, *STARTED)
    assert not continues(before)
    unfinished(before)
    after = stage_run(repo, tmp_path, *STARTED, f"stage1_checkpoint.{edit}")
    if goes_on:
        assert continues(after)
        return
    with pytest.raises(UserError, match=rf"step 20 of an unfinished run.*{edit.split('=')[0]}.*--force"):
        continues(after)
    assert (before.work / "checkpoint-20").exists()


def test_what_is_learnt_otherwise_from_a_step_on_is_noted(repo: Path, tmp_path: Path) -> None:
    before = stage_run(repo, tmp_path, *STARTED)
    unfinished(before)
    assert continues(stage_run(repo, tmp_path, *STARTED, "stage1_checkpoint.pack_tokens=64"))
    assert read_edits(before) == []
    edits = ("stage1_checkpoint.learning_rate=0.5", "stage1_checkpoint.max_steps=99")
    assert continues(stage_run(repo, tmp_path, *STARTED, *edits))
    changed = {"stage1_checkpoint.learning_rate": [0.001, 0.5], "stage1_checkpoint.max_steps": [60, 99]}
    assert read_edits(before) == [{"step": 20, "edits": changed}]


def test_a_run_whose_parameters_are_lost_is_not_cleared(repo: Path, tmp_path: Path) -> None:
    run = stage_run(repo, tmp_path)
    unfinished(run)
    job_path(run).write_text(json.dumps({"stage": "x"}))
    with pytest.raises(UserError, match="--force"):
        continues(run)


@pytest.mark.parametrize("steps", [0, -7])
def test_no_steps_are_an_error(repo: Path, tmp_path: Path, steps: int) -> None:
    with pytest.raises(UserError, match="max_steps"):
        stage_run(repo, tmp_path, f"stage1_checkpoint.max_steps={steps}")


def test_processes_are_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUMANVLM_PROCESSES", "many")
    with pytest.raises(UserError, match="HUMANVLM_PROCESSES"):
        launch.process_count()


def commands(monkeypatch: pytest.MonkeyPatch, **values: str) -> list[Any]:
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return launch._command()[2:3] if "RANK" in values else launch._command()


def test_several_processes_run_under_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    assert commands(monkeypatch)[1:] == ["-m", "humanvlm.train.worker"]
    command = commands(monkeypatch, HUMANVLM_PROCESSES="2")
    assert command[2:5] == ["torch.distributed.run", "--nproc-per-node", "2"]
    assert commands(monkeypatch, **TORCHRUN) == ["humanvlm.train.worker"]
