"""Commands run in their own process group, and stop whole."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from orchestration.process import Finished, environment, stream


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc").exists(), reason="looks at /proc")
def test_an_interrupt_stops_the_grandchildren_too(tmp_path: Path) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    lines: list[str] = []
    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 1.0)
    try:
        with pytest.raises(KeyboardInterrupt):
            stream("sleep 300 & echo $!; sleep 300", tmp_path, environment(), lines.append)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    deadline = time.monotonic() + 5
    while alive(int(lines[0])) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(int(lines[0]))


def test_scripts_of_this_interpreter_are_found_without_activation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    lines: list[str] = []
    finished = stream("python -c 'import sys; print(sys.prefix)'; exit 3", tmp_path, environment(), lines.append)
    assert (finished.code, lines) == (3, [sys.prefix])


def test_extra_variables_reach_the_command(tmp_path: Path) -> None:
    lines: list[str] = []
    stream(["printenv", "HUMANVLM_FORCE"], tmp_path, environment(HUMANVLM_FORCE="1"), lines.append)
    assert lines == ["1"]
    assert "HUMANVLM_FORCE" not in os.environ


@pytest.mark.parametrize(
    ("tail", "error"),
    [
        (("Running stage 'a':", "> x", "humanvlm: bad row", "ERROR: failed to reproduce 'a'"), "humanvlm: bad row"),
        (("Traceback", "ValueError: no", "ERROR: failed to reproduce 'a'"), "ValueError: no"),
        (("ERROR: missing data 'source': data",), "ERROR: missing data 'source': data"),
        ((), "exited with code 2, said nothing"),
    ],
)
def test_the_error_is_the_stages_own_line(tail: tuple[str, ...], error: str) -> None:
    assert Finished(2, tail).error == error


def test_lines_are_as_they_may_be_shown(tmp_path: Path) -> None:
    lines: list[str] = []
    finished = stream("printf 'http://me:word@h\\033[2J\\n'; exit 3", tmp_path, environment(), lines.append)
    assert lines == ["http://***@h\\x1b[2J"]
    assert finished == Finished(3, tuple(lines))
