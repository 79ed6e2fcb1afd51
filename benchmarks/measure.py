"""Run a command and measure it: wall time, and the CPU time of the whole process tree.

``wait4`` counts only descendants that were waited for. The command therefore runs under a process of its own that
adopts every orphan (``prctl(2)``, PR_SET_CHILD_SUBREAPER) and waits until the last one has ended. Linux only.
"""

import ctypes
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True)
class Usage:
    """Seconds. wall: until the command ended; cpu: user and system time of it and all its descendants."""

    wall: float
    cpu: float


def measured(command: Sequence[str], cwd: Path, env: Mapping[str, str], log: Path) -> Usage:
    """Run ``command``, its output going to ``log``. Raises RuntimeError with the end of that when it fails."""
    with log.open("wb") as output:
        wrapped = [sys.executable, "-I", "-S", __file__, *command]
        done = subprocess.run(wrapped, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=output, check=False)
    result = json.loads(done.stdout)
    if result["status"] != 0:
        end = log.read_text(errors="replace")[-2000:]
        raise RuntimeError(f"{' '.join(command)}: exit status {result['status']}; {log} ends with\n{end}")
    return Usage(result["wall"], result["cpu"])


def _wrap(command: Sequence[str]) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")
    clock = time.perf_counter()
    status = subprocess.run(command, stdout=sys.stderr, check=False).returncode
    wall = time.perf_counter() - clock
    while True:
        try:
            os.wait()
        except ChildProcessError:
            break
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(json.dumps({"status": status, "wall": wall, "cpu": used.ru_utime + used.ru_stime}))


if __name__ == "__main__":
    _wrap(sys.argv[1:])
