"""Run a command as its own process group, line by line; whoever stops us stops the whole group."""

import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from humanvlm.shown import shown

GRACE_S = 10.0
# What DVC itself says around a stage's own output.
DVC_PREFIXES = ("ERROR: ", "WARNING: ", "Running stage ", "> ", "Updating lock file", "Generating lock file")


@dataclass(frozen=True)
class Finished:
    """Exit code and the last lines of a command (stdout and stderr, as they came)."""

    code: int
    tail: tuple[str, ...]

    @property
    def error(self) -> str:
        """The one line that says why: the stage's own last line, else DVC's."""
        own = [line for line in self.tail if not line.startswith(DVC_PREFIXES)]
        named = [line for line in own if line.startswith("humanvlm: ")]
        dvc = [line for line in self.tail if line.startswith("ERROR: ")]
        return (named or own or dvc or [f"exited with code {self.code}, said nothing"])[-1]


def environment(**extra: str) -> dict[str, str]:
    """The environment of stages: this interpreter's scripts first on PATH, whether or not its venv is activated."""
    quiet = {"DVC_NO_ANALYTICS": "1", "DO_NOT_TRACK": "true", "PYTHONUNBUFFERED": "1"}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return {**os.environ, **quiet, "PATH": path, **extra}


def stream(command: str | Sequence[str], cwd: Path, env: Mapping[str, str], on_line: Callable[[str], None]) -> Finished:
    """Run ``command`` (a string goes to the shell) and pass each line, as it may be shown, to ``on_line``.

    On any exception here, KeyboardInterrupt and Dagster's interruption included, the group gets SIGTERM, and SIGKILL
    after GRACE_S: DVC alone would leave its stage running.
    """
    tail: deque[str] = deque(maxlen=40)
    with subprocess.Popen(
        command,
        cwd=cwd,
        env=dict(env),
        shell=isinstance(command, str),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            for line in process.stdout or ():
                if line := shown(line.rstrip()):
                    tail.append(line)
                    on_line(line)
            return Finished(process.wait(), tuple(tail))
        except BaseException:
            _stop_group(process)
            raise


def _stop_group(process: subprocess.Popen[str]) -> None:
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
            process.wait(GRACE_S)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue
