"""Work in a second process."""

import os
import threading
from collections.abc import Callable

import numpy as np
import pytest

from humanvlm.evaluate import aside as module
from humanvlm.evaluate.aside import aside


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What other tests have imported or started does not matter here."""
    monkeypatch.setattr(module, "forks_safely", lambda: True)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})


@pytest.mark.usefixtures("alone")
def test_the_result_comes_back_from_another_process() -> None:
    result = aside(lambda: (os.getpid(), np.arange(1_000_000)))
    process, array = result()
    assert process != os.getpid()
    assert array.sum() == 499_999_500_000


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("end", [lambda: os._exit(3), lambda: os.kill(os.getpid(), 9), lambda: 1 / 0])
def test_what_a_child_fails_at_is_done_again(end: Callable[[], None]) -> None:
    parent = os.getpid()

    def work() -> int:
        if os.getpid() != parent:
            end()
        return 7

    assert aside(work)() == 7


@pytest.mark.usefixtures("alone")
def test_an_error_is_the_callers() -> None:
    with pytest.raises(ZeroDivisionError):
        aside(lambda: 1 / 0)()


def test_no_process_is_forked_beside_threads() -> None:
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        assert aside(os.getpid)() == os.getpid()
    finally:
        stop.set()
        thread.join()
