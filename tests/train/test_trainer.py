"""The trainer on DeepSpeed's engine: what must not change what is learnt, and going on after a stop."""

import itertools
import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import get_scheduler

from humanvlm.config.stage1_checkpoint import Stage1
from humanvlm.train.trainer import decay_steps, deepspeed_config

Rehearse = Callable[..., None]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rehearsal")


@pytest.fixture(scope="module")
def rehearse(tiny_models: dict[str, str], folder: Path) -> Rehearse:
    """``rehearse(processes, {name: what differs}, ...)``: see rehearsal.py."""

    def run(processes: int, runs: Mapping[str, Mapping[str, Any]]) -> None:
        described = json.dumps([{"name": name, **values} for name, values in runs.items()])
        script = [str(Path(__file__).with_name("rehearsal.py")), str(folder), described, json.dumps(tiny_models)]
        launch = ["-m", "torch.distributed.run", "--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0"]
        command = [sys.executable, *launch, "--nproc-per-node", str(processes), *script]
        root = str(Path(__file__).parents[2])
        paths = os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])
        environment = os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive", "PYTHONPATH": paths}
        done = subprocess.run(command, env=environment, text=True, capture_output=True, timeout=900)
        assert done.returncode == 0, done.stderr[-4000:]

    return run


@pytest.fixture(scope="module")
def alone(rehearse: Rehearse, folder: Path) -> Path:
    """Runs of one process; ``first`` is stopped after three of its six steps, and so are its equals."""
    rehearse(
        1,
        {
            "plain": {"zero_stage": 0},
            "zero2": {},
            "zero3": {"zero_stage": 3},
            "offloaded": {"offload": "optimizer"},
            "small_packs": {"pack_tokens": 60},
            "half": {"bf16": True},
            "whole": {"dropout": 0.1, "group_by_length": True},
            "cut": {"dropout": 0.1, "group_by_length": True, "until": 3},
            "resumed": {"dropout": 0.1, "group_by_length": True, "work": "cut"},
            "whole1": {"stage": 1},
            "cut1": {"stage": 1, "until": 4},
            "resumed1": {"stage": 1, "work": "cut1"},
            "half_cut": {"bf16": True, "until": 3},
            "half_resumed": {"bf16": True, "work": "half_cut"},
            "short": {"steps": 4, "until": 3},
            "longer": {"work": "short"},
            "often": {"save_minutes": 1e-9, "steps": 2},
            "full": {"language_model": "full", "vision_tower": "frozen", "steps": 2},
            "wild": {"learning_rate": 1e30},
            "single": {"batch_size": 1, "in_parts": True},
        },
    )
    rehearse(1, {"first": {"until": 3}})
    for processes in (2, 4):
        shutil.copytree(folder / "first", folder / f"first_of_{processes}")
    return folder


@pytest.fixture(scope="module")
def pair(rehearse: Rehearse, alone: Path) -> Path:
    """Runs of two processes."""
    rehearse(
        2,
        {
            "two": {"work": "first_of_2"},
            "two_zero3": {"zero_stage": 3, "until": 3},
            "two_zero3_resumed": {"zero_stage": 3, "work": "two_zero3"},
            "two_small": {"pack_tokens": 60},
            "two_single": {"batch_size": 1, "in_parts": True},
        },
    )
    rehearse(4, {"four": {"work": "first_of_4"}})
    return alone


def history(folder: Path, name: str) -> list[dict[str, float]]:
    found: dict[str, Any] = json.loads((folder / f"{name}.json").read_text())
    return found["history"]


def losses(folder: Path, name: str) -> list[float]:
    return [entry["loss"] for entry in history(folder, name)]


def weights(folder: Path, name: str) -> dict[str, torch.Tensor]:
    return torch.load(folder / f"{name}.pt", weights_only=True)


def same(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor], within: float = 0.0) -> bool:
    return one.keys() == other.keys() and all(float((one[key] - other[key]).abs().max()) <= within for key in one)


def close(one: Sequence[float], other: Sequence[float], within: float = 1e-6) -> bool:
    return len(one) == len(other) and all(abs(a - b) <= within * abs(b) for a, b in zip(one, other, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["zero2", "zero3", "offloaded", "small_packs"])
def test_zero_and_packs_change_nothing(alone: Path, name: str) -> None:
    assert close(losses(alone, name), losses(alone, "plain"))
    assert same(weights(alone, name), weights(alone, "plain"), within=5e-5)
    assert not same(weights(alone, name), weights(alone, "whole"), within=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(("resumed", "whole"), [("resumed", "whole"), ("resumed1", "whole1"), ("half_resumed", "half")])
def test_resumed_is_undisturbed_to_the_bit(alone: Path, resumed: str, whole: str) -> None:
    assert losses(alone, resumed) == losses(alone, whole)
    assert [entry["learning_rate"] for entry in history(alone, resumed)] == [
        entry["learning_rate"] for entry in history(alone, whole)
    ]
    assert same(weights(alone, resumed), weights(alone, whole))


@pytest.mark.slow
def test_other_processes_go_on_with_the_same_batches(pair: Path) -> None:
    wanted = losses(pair, "zero2")
    assert len(wanted) == 6
    for name in ("two", "four"):
        assert close(losses(pair, name), wanted)
        assert [entry["tokens"] for entry in history(pair, name)] == [e["tokens"] for e in history(pair, "zero2")]
        assert same(weights(pair, name), weights(pair, "zero2"), within=5e-5)
    assert close(losses(pair, "two_small"), wanted)


@pytest.mark.slow
def test_processes_share_a_single_sample_by_its_parts(pair: Path) -> None:
    assert close(losses(pair, "two_single"), losses(pair, "single"))
    assert same(weights(pair, "two_single"), weights(pair, "single"), within=5e-5)


@pytest.mark.slow
def test_sharded_weights_come_back(pair: Path) -> None:
    assert close(losses(pair, "two_zero3_resumed"), losses(pair, "zero2"))
    assert same(weights(pair, "two_zero3_resumed"), weights(pair, "zero2"), within=5e-5)


@pytest.mark.slow
def test_more_steps_go_on(alone: Path) -> None:
    assert [entry["step"] for entry in history(alone, "longer")] == [1, 2, 3, 4, 5, 6]
    assert losses(alone, "longer")[:3] == losses(alone, "short")
    rates = [entry["learning_rate"] for entry in history(alone, "longer")]
    assert rates[3:] == [entry["learning_rate"] for entry in history(alone, "zero2")][3:]


@pytest.mark.slow
def test_a_stop_saves_and_minutes_save(alone: Path) -> None:
    assert [path.name for path in sorted(alone.glob("first/checkpoint-*"))] == ["checkpoint-2", "checkpoint-3"]
    assert [path.name for path in sorted(alone.glob("often/checkpoint-*"))] == ["checkpoint-1"]


@pytest.mark.slow
def test_what_is_not_finite_ends_the_run(alone: Path) -> None:
    error = json.loads((alone / "wild.json").read_text())["error"]
    assert "is not finite" in error
    assert "learning_rate" in error
    assert "\n" not in error


@pytest.mark.slow
def test_only_what_was_chosen_learns(alone: Path) -> None:
    assert all("projector" in name for name in weights(alone, "whole1"))
    names = set(weights(alone, "full"))
    assert any("embed_tokens" in name for name in names)
    assert not any("lora" in name or "vision_tower" in name for name in names)


@pytest.mark.slow
def test_each_step_tells_its_time_and_tokens(alone: Path) -> None:
    for entry in history(alone, "zero2"):
        assert entry["tokens"] > entry["labels"] == 32
        assert 0 <= entry["data_seconds"] <= entry["step_seconds"]
        assert entry["grad_norm"] > 0


@pytest.mark.slow
def test_each_part_tells_its_rate_and_norm(alone: Path) -> None:
    for entry in history(alone, "plain"):
        norms = {key: value for key, value in entry.items() if key.startswith("grad_norm_")}
        assert {"grad_norm_projector", "grad_norm_language_model"} <= norms.keys()
        assert math.hypot(*norms.values()) == pytest.approx(entry["grad_norm"])
        assert all(entry[key.replace("grad_norm", "learning_rate")] >= 0 for key in norms)


def test_offloading_weights_is_stage_3() -> None:
    zero = deepspeed_config(Stage1(offload="parameters", zero_stage=0), bf16=False)["zero_optimization"]
    assert (zero["stage"], zero["offload_param"]["device"]) == (3, "cpu")
    assert deepspeed_config(Stage1(zero_stage=0), bf16=True)["zero_optimization"]["stage"] == 1
    assert deepspeed_config(Stage1(zero_stage=0), bf16=False)["zero_optimization"]["stage"] == 0


@pytest.mark.parametrize(("ratio", "rises", "falls"), [(1.0, 10, 90), (0.3, 10, 30), (0.95, 10, 90)])
def test_the_learning_rate_stays_until_it_falls(ratio: float, rises: int, falls: int) -> None:
    config = Stage1(warmup_ratio=0.1, decay_ratio=ratio)
    assert decay_steps(config, 100) == falls
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    options = {"num_decay_steps": falls}
    schedule = get_scheduler("warmup_stable_decay", optimizer, rises, 100, options)
    at = [schedule.lr_lambdas[0](step) for step in range(101)]
    assert at[0] == 0
    assert set(at[rises : 101 - falls]) == {1.0}
    assert at[100 - falls // 2] == pytest.approx(0.5)
    assert at[100] == 0
    assert all(later < earlier for earlier, later in itertools.pairwise(at[100 - falls :]))
