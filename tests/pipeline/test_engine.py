"""The engine: every task once, errors pass through, a dead worker is one clear error."""

import logging
import os
import signal
import threading
from pathlib import Path

import pytest

from humanvlm.errors import UserError
from humanvlm.pipeline import engine
from humanvlm.pipeline.engine import DeadWorkerError, default_workers, forks_safely, in_a_process, map_shards

KNOWN: list[int] = []


def known(_: int) -> list[int]:
    return KNOWN


def square(value: int) -> int:
    return value * value


def fail_on_three(value: int) -> int:
    if value == 3:
        raise UserError("row 3")
    return value


def die_on_three(value: int) -> int:
    if value == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return value


@pytest.mark.parametrize("workers", [1, 2])
def test_every_task_once(workers: int) -> None:
    assert sorted(map_shards(square, list(range(7)), workers)) == [value**2 for value in range(7)]


@pytest.mark.parametrize("fork", [False, True])
def test_errors_pass_through(fork: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "forks_safely", lambda: True)
    with pytest.raises(UserError, match="row 3"):
        list(map_shards(fail_on_three, list(range(5)), 2, fork=fork))


@pytest.mark.parametrize("fork", [False, True])
def test_a_dead_worker_is_one_clear_error(fork: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "forks_safely", lambda: True)
    with pytest.raises(UserError, match="a worker process died"):
        list(map_shards(die_on_three, list(range(5)), 2, fork=fork))


def die_once(folder: str) -> str:
    """Dies in the first process that begins this task."""
    mark = Path(folder) / "begun"
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return folder


def test_workers_are_started_anew(tmp_path: Path) -> None:
    folders = [str(tmp_path / name) for name in "abcd"]
    for folder in folders:
        Path(folder).mkdir()
    assert sorted(map_shards(die_once, folders, 2, restarts=4)) == folders


def test_a_task_that_always_dies_ends_the_run() -> None:
    with pytest.raises(DeadWorkerError):
        list(map_shards(die_on_three, [3, 3], 2, restarts=2))
    with pytest.raises(DeadWorkerError):
        in_a_process(die_on_three, 3)
    assert in_a_process(die_on_three, 4) == 4


def test_forked_workers_have_what_their_parent_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "forks_safely", lambda: True)
    KNOWN.append(5)
    assert list(map_shards(known, [0, 0, 0], 2, fork=True)) == [[5]] * 3
    assert list(map_shards(known, [0, 0, 0], 2)) == [[]] * 3


def test_nothing_is_forked_beside_threads() -> None:
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    assert not forks_safely()
    stop.set()
    thread.join()


def test_workers_come_from_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUMANVLM_WORKERS", "3")
    assert default_workers() == 3
    monkeypatch.setenv("HUMANVLM_WORKERS", "none")
    with pytest.raises(UserError, match="HUMANVLM_WORKERS"):
        default_workers()


def warn(value: int) -> int:
    logging.getLogger("humanvlm").warning("%d: http://me:word@h said \x1b[2J", value)
    return value


def test_what_a_worker_warns_of_is_as_it_may_be_shown(capfd: pytest.CaptureFixture[str]) -> None:
    assert sorted(map_shards(warn, [1, 2], 2)) == [1, 2]
    said = capfd.readouterr().err
    assert said.count(r"http://***@h said \x1b[2J") == 2
