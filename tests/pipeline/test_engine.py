"""The engine: every task once, errors pass through, a dead worker is one clear error."""

import os
import signal
import threading

import pytest

from humanvlm.errors import UserError
from humanvlm.pipeline import engine
from humanvlm.pipeline.engine import default_workers, forks_safely, map_shards

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
