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
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors[-3000:]
    return errors


def curve(out: Path) -> list[tuple[int, float]]:
    with (out / "loss.csv").open() as file:
        return [(int(row["step"]), float(row["loss"])) for row in csv.DictReader(file)]


def kill_once_saved(process: "subprocess.Popen[str]", out: Path) -> int:
    """SIGKILL the command once a checkpoint is there, and return the pid of the trainer it had started."""
    while not list(out.glob(".work/checkpoint-*/complete.json")):
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


def test_a_killed_stage1_continues_to_the_same_weights(start: Start, undisturbed: Path, tmp_path: Path) -> None:
    out = tmp_path / "stage1_checkpoint"
    trainer = kill_once_saved(start("stage1_checkpoint", out), out)
    deadline = time.monotonic() + 10
    while Path(f"/proc/{trainer}/stat").exists() and Path(f"/proc/{trainer}/stat").read_text().split()[2] != "Z":
        assert time.monotonic() < deadline, "the trainer outlived the command that started it"
        time.sleep(0.05)
    assert not (out / "report.json").exists()
    mark = max(out.glob(".work/checkpoint-*/complete.json"), key=lambda path: path.stat().st_mtime)
    state = mark.read_text()
    mark.write_text(json.dumps(json.loads(state) | {"digest": "0" * 64}))
    refused = start("stage1_checkpoint", out)
    assert "did not come back" in refused.communicate(timeout=300)[1].splitlines()[-1]
    assert refused.returncode == 2
    mark.write_text(state)
    assert "resuming after step" in finish(start("stage1_checkpoint", out))
    assert json.loads((out / "report.json").read_text())["info"]["resumed_after_step"] >= 5
    pairs = list(zip(curve(out), curve(undisturbed), strict=True))
    assert max(abs(one[1] - other[1]) for one, other in pairs) < 1e-5
    assert all(one[0] == other[0] for one, other in pairs)
    weights = load_file(undisturbed / "projector.safetensors")
    for name, value in load_file(out / "projector.safetensors").items():
        assert (value - weights[name]).abs().max() < 1e-5


def test_two_processes_share_a_batch_and_stage2_merges(start: Start, undisturbed: Path, tmp_path: Path) -> None:
    pair, tuned = tmp_path / "stage1_checkpoint", tmp_path / "stage2_checkpoint"
    both = [
        start("stage1_checkpoint", pair, processes=2),
        start("stage2_checkpoint", tuned, stage1_checkpoint=undisturbed),
    ]
    for process in both:
        finish(process)
    assert json.loads((pair / "report.json").read_text())["info"]["processes"] == 2
    pairs = list(zip(curve(pair), curve(undisturbed), strict=True))
    # Sums in another order: equal to rounding at first; random weights then amplify it step by step.
    assert max(abs(one[1] - other[1]) for one, other in pairs[:10]) < 1e-4
    report = json.loads((tuned / "report.json").read_text())
    assert report["info"]["samples"] == {"captions": 53, "hq": 54, "conversations": 53, "instructions": 2}
    assert report["rows"]["in"] == 60 + 60 + 60 + 9
    model, _ = load_checkpoint(tuned / "model")
    projector = load_file(undisturbed / "projector.safetensors")["linear_1.weight"]
    assert not (model.model.multi_modal_projector.linear_1.weight == projector).all()
