"""Checkpoints: whole, verified, two kept, a damaged one passed over."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from humanvlm.errors import UserError
from humanvlm.train import checkpoints
from humanvlm.train.job import checkpoint_step

PARAMETERS = {"a.weight": torch.nn.Parameter(torch.randn(3, 5)), "b": torch.nn.Parameter(torch.randn(7))}


def read(parameter: Any, kind: str) -> torch.Tensor:
    return parameter + float(checkpoints.KINDS.index(kind))


def write(work: Path, step: int, source: Any = read) -> None:
    state = SimpleNamespace(global_step=step, save_to_json=lambda path: Path(path).write_text("{}"))
    checkpoints.write(work, PARAMETERS, source, state, f"plan to {step}", 100, leader=True)


@pytest.mark.parametrize("shard", [1, 1 << 30])
def test_what_is_read_is_what_was_written(tmp_path: Path, shard: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "SHARD", shard)
    write(tmp_path, 3)
    found = checkpoints.newest(tmp_path)
    assert found is not None
    assert (found.step, found.plan, found.steps, found.folder) == (3, "plan to 3", 100, tmp_path / "checkpoint-3")
    tensors = dict(found.tensors())
    assert set(tensors) == set(PARAMETERS)
    for name, parameter in PARAMETERS.items():
        for kind in checkpoints.KINDS:
            assert torch.equal(tensors[name][kind], read(parameter, kind))


def test_the_last_two_are_kept(tmp_path: Path) -> None:
    for step in (5, 10, 15):
        write(tmp_path, step)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-10", "checkpoint-15"]
    assert checkpoint_step(tmp_path) == 15


@pytest.mark.parametrize("how", ["cut", "altered", "gone", "mark"])
def test_a_damaged_one_falls_back(tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path, 5)
    write(tmp_path, 10)
    path = tmp_path / "checkpoint-10" / ("checkpoint.json" if how == "mark" else "state-00000.safetensors")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(content if how == "altered" else content[: len(content) // 2])
    found = checkpoints.newest(tmp_path)
    assert found is not None
    assert found.step == 5
    assert "checkpoint-10" in caplog.text
    assert "using the one before" in caplog.text
    (tmp_path / "checkpoint-5" / "trainer_state.json").write_text("{ }")
    with pytest.raises(UserError, match="--force"):
        checkpoints.newest(tmp_path)


def test_what_is_not_finite_replaces_nothing(tmp_path: Path) -> None:
    write(tmp_path, 5)
    with pytest.raises(UserError, match=r"exp_avg of a\.weight is not finite after step 10"):
        write(tmp_path, 10, lambda parameter, kind: read(parameter, kind) * (torch.nan if kind == "exp_avg" else 1))
    found = checkpoints.newest(tmp_path)
    assert found is not None
    assert found.step == 5
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-5"]


def test_none_is_none(tmp_path: Path) -> None:
    assert checkpoints.newest(tmp_path) is None
    assert checkpoint_step(tmp_path) is None
