"""Spikes, slow loaders, validation and replies: what is said, to whom, and that nothing of training changes."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from humanvlm.config.model import Model
from humanvlm.data.shards import list_shards
from humanvlm.model.build import build_llava
from humanvlm.train.batches import Pixels, Steps
from humanvlm.train.encode import Encoder
from humanvlm.train.held_out import held_out
from humanvlm.train.learner import Learner
from humanvlm.train.pictures import Pictures
from humanvlm.train.plan import Plan
from humanvlm.train.samples import Captions, Picture, column_of
from humanvlm.train.watch import LEAST, Best, Figures, Replies, Validation, is_spike, validation_loss


@dataclass
class Told:
    """Stands for MLflow."""

    metrics: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    closed: bool = False

    def log(self, metrics: dict[str, float], step: int) -> None:
        self.metrics.append((step, dict(metrics)))

    def file(self, path: Path) -> None:
        self.files.append(path.name)

    def close(self) -> None:
        self.closed = True


class Rows:
    """Samples of which number ``n`` is about row ``n`` of a shard."""

    def pictures(self, number: int) -> Sequence[Picture]:
        return (Picture("shard.parquet", number),)


def figures(told: Told, steps: int = 40, opening: int = 0) -> Figures:
    plan = Plan(np.arange(2 * steps), 2, "", opening)
    return Figures("stage1", told, SimpleNamespace(plan=plan, samples=Rows()), 2e9, 8e9)  # type: ignore[arg-type]


def entry(loss: float, waited: float = 0.0) -> dict[str, float]:
    known = {
        "grad_norm": 1.0,
        "learning_rate": 0.1,
        "learning_rate_projector": 0.2,
        "tokens": 100.0,
        "step_seconds": 50.0,
    }
    return {**known, "loss": loss, "data_seconds": waited}


def state(step: int, **more: Any) -> Any:
    return SimpleNamespace(global_step=step, max_steps=40, is_world_process_zero=True, log_history=[], **more)


def test_a_step_is_told_with_its_speed(caplog: pytest.LogCaptureFixture) -> None:
    told = Told()
    watch = figures(told)
    watch.on_train_begin(None, state(0), None)
    watch.on_log(None, state(1), None, logs=entry(2.0, waited=5.0))
    watch.on_log(None, state(1), None, logs={"train_runtime": 3.0})  # not of a step
    watch.on_train_end(None, state(1), None)
    ((step, said),) = told.metrics
    assert step == 1
    assert said["learning_rate_projector"] == 0.2
    assert said["tokens_per_second"] == 2
    assert said["data_share"] == pytest.approx(0.1)
    assert said["gflop_per_second"] == 4
    assert said["mfu"] == pytest.approx(0.5)
    assert said["memory_gb"] > 0
    assert told.closed


def test_a_spike_is_said_with_its_step_and_samples(caplog: pytest.LogCaptureFixture) -> None:
    watch = figures(Told())
    with caplog.at_level(logging.WARNING, "humanvlm"):
        for step in range(1, 30):
            watch.on_log(None, state(step), None, logs=entry(9.0 if step == 20 else 2 + 0.1 * (step % 3)))
    (spike,) = watch.spikes
    assert (spike.step, spike.loss) == (20, 9.0)
    assert spike.samples == ("shard.parquet:38", "shard.parquet:39")  # step 20 counts from 1
    assert "step 20: the loss jumps to 9, from about 2.1; it learnt from shard.parquet:38, shard" in caplog.text


def test_where_other_sources_begin_the_loss_may_jump() -> None:
    watch = figures(Told(), opening=20)
    for step in range(1, 40):
        watch.on_log(None, state(step), None, logs=entry(0.3 if step <= 20 else 3.0))
    assert not watch.spikes
    watch.on_log(None, state(40), None, logs=entry(9.0))
    assert [spike.step for spike in watch.spikes] == [40]


def test_samples_of_a_rarer_kind_are_no_spike() -> None:
    before = [3.0 + 0.1 * (step % 5) if step % 12 == 0 else 0.4 + 0.05 * (step % 3) for step in range(50)]
    assert not is_spike(3.4, before)
    assert is_spike(9.0, before)
    assert is_spike(9.0, [*before, 9.0])  # the first does not hide the next


@given(st.lists(st.floats(0.5, 10), min_size=0, max_size=60), st.floats(0.1, 100))
def test_what_is_a_spike(before: list[float], scale: float) -> None:
    if not before:
        assert not is_spike(1e9, before)
        return
    assert not is_spike(float(np.median(before)), before)
    assert is_spike(1e6, before) == (len(before) >= LEAST)
    assert is_spike(7.0 * scale, [value * scale for value in before]) == is_spike(7.0, before)


def test_a_slow_loader_is_said_once_with_its_remedy(caplog: pytest.LogCaptureFixture) -> None:
    slow, fast = figures(Told()), figures(Told())
    with caplog.at_level(logging.WARNING, "humanvlm"):
        for step in range(1, 30):
            slow.on_log(None, state(step), None, logs=entry(2.0, waited=20.0))
            fast.on_log(None, state(step), None, logs=entry(2.0, waited=5.0))
    assert caplog.text.count("40% of the time waits for pictures; keep the artifacts on a local disk") == 1
    assert (slow.starved, fast.starved) == (True, False)


@pytest.fixture(scope="module")
def tiny(tiny_models: dict[str, str]) -> tuple[Any, Any]:
    model, processor = build_llava(Model(**tiny_models), seed=3)
    return Learner(model), processor


def test_held_out_rows_are_those_of_the_test_split(tiny: tuple[Any, Any], artifacts: Path) -> None:
    encoder = Encoder(tiny[1])
    rows = held_out(artifacts / "human_caption", "short", encoder, 4, 256)
    assert [row.id for row in rows.rows] == [
        *("shard-00000.parquet:0", "shard-00000.parquet:10", "shard-00001.parquet:0", "shard-00001.parquet:10"),
    ]
    assert [row.pictures[0].row for row in rows.rows] == [0, 10, 0, 10]
    assert len(held_out(artifacts / "human_caption", "short", encoder, 99, 256)) == 6
    assert len(held_out(artifacts / "human_caption", "short", encoder, 99, 16)) == 0  # none fits
    assert len(held_out(artifacts / "human_caption", "short", encoder, 0, 256)) == 0
    assert len(rows.first(2)) == 2


@pytest.mark.parametrize("caption", ["short", "detailed", "all"])
def test_what_is_held_out_is_asked_as_what_is_learnt(tiny: tuple[Any, Any], artifacts: Path, caption: str) -> None:
    shards = list_shards(artifacts / "human_caption")
    learnt = next(offer for offer in Captions(shards[0], "", 20, column_of(caption)).read() if isinstance(offer, tuple))
    rows = held_out(artifacts / "human_caption", caption, Encoder(tiny[1]), 2, 4096).rows
    assert {row.turns[0][0] for row in rows} == {learnt[0].turns[0][0]}


def steps_of(tiny: tuple[Any, Any], artifacts: Path, rank: int = 0, world: int = 1, pack: int = 4096) -> Steps:
    rows = held_out(artifacts / "human_caption", "short", Encoder(tiny[1]), 6, 256)
    return Steps(rows, rows.plan, rank, world, pack, Pixels.of(tiny[1].image_processor))


def test_validation_loss_depends_on_neither_packs_nor_processes(tiny: tuple[Any, Any], artifacts: Path) -> None:
    cpu = torch.device("cpu")
    whole = validation_loss(tiny[0], steps_of(tiny, artifacts)[0], cpu)
    small = validation_loss(tiny[0], steps_of(tiny, artifacts, pack=60)[0], cpu)
    shares = [validation_loss(tiny[0], steps_of(tiny, artifacts, rank, 4)[0], cpu) for rank in range(4)]
    assert small == pytest.approx(whole, rel=1e-5)
    assert sum(shares) == pytest.approx(whole, rel=1e-5)
    assert all(parameter.grad is None for parameter in tiny[0].parameters())


def test_validation_is_logged_and_the_lowest_is_told(tiny: tuple[Any, Any], artifacts: Path) -> None:
    told = Told()
    best: list[int] = []
    watch = Validation("stage1", told, steps_of(tiny, artifacts), 10, best.append)  # type: ignore[arg-type]
    now = state(7)
    args = SimpleNamespace(device=torch.device("cpu"))
    before = torch.get_rng_state()
    for now.global_step in (7, 10, 20, 40):
        watch.on_step_end(args, now, None, model=tiny[0])
    assert torch.equal(torch.get_rng_state(), before)
    assert [one["step"] for one in now.log_history] == [10, 20, 40]
    assert [step for step, _ in told.metrics] == [10, 20, 40]
    assert best == [10]  # the others are no lower


def test_replies_are_kept_so_that_a_resumed_run_goes_on_with_the_page(
    tiny: tuple[Any, Any], artifacts: Path, tmp_path: Path
) -> None:
    rows = held_out(artifacts / "human_caption", "short", Encoder(tiny[1]), 2, 256)
    images = [Pictures().read(row.pictures[0]) for row in rows.rows]

    def watch() -> Replies:
        page = tmp_path / "replies.html"
        told = Told()
        return Replies("stage1", told, rows, images, tiny[1], 10, tmp_path, page, 4)

    first = watch()
    first.on_train_begin(None, state(0), None)
    for step in (5, 10, 20):
        first.on_step_end(None, state(step), None, model=tiny[0])
    assert sorted(first.said) == [10, 20]
    assert all(len(replies) == 2 for replies in first.said.values())
    resumed = watch()
    resumed.on_train_begin(None, state(15), None)
    assert resumed.said == {10: first.said[10]}  # what came after the checkpoint is said again
    resumed.on_step_end(None, state(40), None, model=tiny[0])
    page = (tmp_path / "replies.html").read_text()
    assert "step 10<" in page
    assert "step 20<" not in page
    assert "step 40<" in page
    assert resumed.live.files == ["replies.html"]  # type: ignore[attr-defined]


def test_the_best_values_come_back(tmp_path: Path) -> None:
    best = Best(tmp_path / "best.safetensors")
    assert best.load() is None
    best.keep(5, {})
    assert best.load() is None
    best.keep(5, {"a": torch.ones(2)})
    best.keep(9, {"a": torch.zeros(2, 3).T})
    found = best.load()
    assert found is not None
    assert found[0] == 9
    assert torch.equal(found[1]["a"], torch.zeros(3, 2))
