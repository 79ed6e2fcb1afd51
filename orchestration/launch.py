"""`python -m orchestration.launch CMD`: run a stage's command under Dagster Pipes.

Its lines become Dagster log lines, its exit code and last line a Pipes message. SIGINT and SIGTERM stop its whole
process group, worker processes included.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from dagster_pipes import open_dagster_pipes

from orchestration.process import stream


def main(command: str) -> None:
    signal.signal(signal.SIGTERM, _interrupt)
    with open_dagster_pipes() as pipes:
        finished = stream(command, Path.cwd(), os.environ, pipes.log.info)
        pipes.report_custom_message({"code": finished.code, "tail": list(finished.tail)})


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main(sys.argv[1])
