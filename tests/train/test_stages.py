"""Both stages through the command line, DeepSpeed's engine and the kills they must survive."""

import csv
import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file

from humanvlm.model.load import load_checkpoint

pytestmark = pytest.mark.slow

Start = Callable[..., "subprocess.Popen[str]"]


def finish(process: "subprocess.Popen[str]") -> str:
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors[-3000:]
    return errors


def curve(out: Path) -> list[tuple[int, float]]:
    with (out / "loss.csv").open() as file:
        return [(int(row["step"]), float(row["loss"])) for row in csv.DictReader(file)]


def kill_once_saved(process: "subprocess.Popen[str]", out: Path) -> int:
    """SIGKILL the command once a checkpoint is there, and return the pid of the trainer it had started."""
    while not list(out.glob(".work/checkpoint-*/checkpoint.json")):
        assert process.poll() is None, process.communicate()[1][-3000:]
        time.sleep(0.002)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.send_signal(signal.SIGKILL)
    process.wait()
    return int(children[0])


@pytest.fixture(scope="module")
def undisturbed(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "stage1_checkpoint"
    finish(start("stage1_checkpoint", out))
    return out


def test_stage1_trains_the_projector(undisturbed: Path) -> None:
    report = json.loads((undisturbed / "report.json").read_text())
    assert report["info"]["engine"] == "DeepSpeedEngine"
    assert report["rows"] == {"in": 114, "kept": 108, "dropped": {"held_out": 6}}
    assert set(load_file(undisturbed / "projector.safetensors")) == {
        f"linear_{layer}.{kind}" for layer in (1, 2) for kind in ("weight", "bias")
    }
    assert [step for step, _ in curve(undisturbed)] == list(range(1, 41))
    assert report["metrics"]["loss_last"] < report["metrics"]["loss_first"]
    assert not (undisturbed / ".work").exists()


def same_weights(out: Path, undisturbed: Path, within: float = 0.0) -> bool:
    weights = load_file(undisturbed / "projector.safetensors")
    found = load_file(out / "projector.safetensors")
    return all(float((value - weights[name]).abs().max()) <= within for name, value in found.items())


def test_a_killed_stage1_continues_to_the_same_weights(start: Start, undisturbed: Path, tmp_path: Path) -> None:
    out = tmp_path / "stage1_checkpoint"
    trainer = kill_once_saved(start("stage1_checkpoint", out), out)
    deadline = time.monotonic() + 10
    while Path(f"/proc/{trainer}/stat").exists() and Path(f"/proc/{trainer}/stat").read_text().split()[2] != "Z":
        assert time.monotonic() < deadline, "the trainer outlived the command that started it"
        time.sleep(0.05)
    assert not (out / "report.json").exists()
    marks = list(out.glob(".work/checkpoint-*/checkpoint.json"))
    states = {mark: mark.read_text() for mark in marks}
    for mark, state in states.items():
        mark.write_text(json.dumps(json.loads(state) | {"plan": "0" * 64}))
    refused = start("stage1_checkpoint", out)
    assert "another plan of samples" in refused.communicate(timeout=600)[1].splitlines()[-1]
    assert refused.returncode == 2
    for mark, state in states.items():
        mark.write_text(state)
    assert "resuming after step" in finish(start("stage1_checkpoint", out))
    info, whole = (json.loads((folder / "report.json").read_text())["info"] for folder in (out, undisturbed))
    assert info["resumed_after_step"] >= 5
    assert info["words"] == whole["words"] != {}  # stage 2 goes on from them
    assert curve(out) == curve(undisturbed)
    assert same_weights(out, undisturbed)


def test_a_stopped_stage1_continues_with_other_processes(start: Start, undisturbed: Path, tmp_path: Path) -> None:
    out = tmp_path / "stage1_checkpoint"
    process = start("stage1_checkpoint", out)
    while not list(out.glob(".work/checkpoint-*/checkpoint.json")):
        assert process.poll() is None, process.communicate()[1][-3000:]
        time.sleep(0.002)
    process.send_signal(signal.SIGTERM)
    last = process.communicate(timeout=600)[1].splitlines()[-1]
    assert process.returncode == 2
    assert "stopped after step" in last
    assert "the same command continues" in last
    stopped = max(int(path.name.partition("-")[2]) for path in out.glob(".work/checkpoint-*"))
    assert f"after step {stopped} of 40" in last
    finish(start("stage1_checkpoint", out, processes=2))
    report = json.loads((out / "report.json").read_text())
    assert (report["info"]["processes"], report["info"]["resumed_after_step"]) == (2, stopped)
    pairs = list(zip(curve(out), curve(undisturbed), strict=True))
    assert pairs[stopped - 1][0] == pairs[stopped - 1][1]
    # Sums in another order: equal to rounding at first; random weights then amplify it step by step.
    assert max(abs(one[1] - other[1]) for one, other in pairs[: stopped + 5]) < 1e-4


def test_stage2_merges_what_it_learnt(start: Start, undisturbed: Path, tmp_path: Path) -> None:
    out = tmp_path / "stage2_checkpoint"
    finish(start("stage2_checkpoint", out, stage1_checkpoint=undisturbed))
    report = json.loads((out / "report.json").read_text())
    assert report["info"]["samples"] == {"captions": 53, "hq": 54, "conversations": 53, "instructions": 2, "opening": 0}
    assert report["rows"]["in"] == 60 + 60 + 60 + 9
    known = json.loads((undisturbed / "report.json").read_text())["info"]["words"]
    assert not known.keys() & report["info"]["words"].keys()
    assert report["info"]["trained_by_part"].keys() == {"projector", "vision_tower", "language_model"}
    model, _ = load_checkpoint(out / "model")
    assert (out / "adapter" / "adapter_model.safetensors").exists()
    card = (out / "model" / "README.md").read_text()
    assert "| instructions | 2 |" in card
    assert "| loss_last |" in card
    projector = load_file(undisturbed / "projector.safetensors")["linear_1.weight"]
    assert not (model.model.multi_modal_projector.linear_1.weight == projector).all()


def test_a_launcher_may_start_the_command_as_each_rank(start: Start, undisturbed: Path, tmp_path: Path) -> None:
    out = tmp_path / "stage1_checkpoint"
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--rdzv-backend", "c10d"]
    finish(start("stage1_checkpoint", out, launcher=[*launcher, "--rdzv-endpoint", "127.0.0.1:0"]))
    assert json.loads((out / "report.json").read_text())["info"]["processes"] == 2
    pairs = list(zip(curve(out), curve(undisturbed), strict=True))
    assert max(abs(one[1] - other[1]) for one, other in pairs[:5]) < 1e-4
