"""Starts the trainer as its own process(es) and waits: a crash, its memory and its environment stay out of the caller.

One process runs the worker directly; several run under torchrun. HUMANVLM_PROCESSES (default 1) is how many on this
machine; HUMANVLM_TORCHRUN holds further torchrun options, such as ``--nnodes 2 --rdzv-endpoint HOST:29500``.
"""

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping

from humanvlm.errors import UserError
from humanvlm.pipeline.contract import Counts, Outcome, StageRun
from humanvlm.pipeline.engine import default_workers
from humanvlm.train.job import die_with_parent, error_path, result_path, write_job

PREPARE = "humanvlm.train.prepare"
WORKER = "humanvlm.train.worker"


def train(run: StageRun) -> Outcome:
    """Run the stage's training to its end, from its last checkpoint when there is one.

    Raises UserError with the worker's own message, or one that says how it died.
    """
    job = write_job(run)
    processes = process_count()
    for command in ([sys.executable, "-m", PREPARE], _command(processes)):
        child = subprocess.Popen([*command, str(job)], env=_environment(processes), preexec_fn=die_with_parent)
        try:
            status = child.wait()
        finally:
            child.kill()
        if status != 0:
            raise UserError(_reason(run, status))
    result = json.loads(result_path(run).read_text(encoding="utf-8"))
    return Outcome(Counts(**result.pop("counts")), **result)


def process_count() -> int:
    """HUMANVLM_PROCESSES. Raises UserError when it is not a positive whole number."""
    value = os.environ.get("HUMANVLM_PROCESSES", "1")
    if not value.isdigit() or int(value) < 1:
        raise UserError(f"HUMANVLM_PROCESSES={value!r}: must be a whole number of at least 1")
    return int(value)


def _command(processes: int) -> list[str]:
    options = shlex.split(os.environ.get("HUMANVLM_TORCHRUN", ""))
    if processes == 1 and not options:
        return [sys.executable, "-m", WORKER]
    rendezvous = [] if options else ["--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0"]
    return [
        *(sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(processes)),
        *(*rendezvous, *options, "-m", WORKER),
    ]


def _environment(processes: int) -> Mapping[str, str]:
    """The worker's environment. torchrun sets its own ranks; a single worker is rank 0 of 1."""
    threads = os.environ.get("OMP_NUM_THREADS", str(max(1, default_workers() // processes)))
    quiet = {"TRANSFORMERS_VERBOSITY": "error", "TOKENIZERS_PARALLELISM": "false", "DEEPSPEED_LOG_LEVEL": "error"}
    single = {
        **{"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "1"},
        **{"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"},  # the system picks a free port
    }
    return {
        **os.environ,
        "OMP_NUM_THREADS": threads,
        "ACCELERATE_USE_DEEPSPEED": "true",
        **{name: value for name, value in quiet.items() if name not in os.environ},
        **(single if processes == 1 and "HUMANVLM_TORCHRUN" not in os.environ else {}),
    }


def _reason(run: StageRun, status: int) -> str:
    error = error_path(run)
    if error.exists():
        return str(json.loads(error.read_text(encoding="utf-8"))["error"])
    how = f"was killed by signal {-status}" if status < 0 else f"failed with status {status} (its traceback is above)"
    hint = "; out of memory? lower micro_batch_size" if status == -signal.SIGKILL else ""
    return f"{run.stage.name}: the trainer {how}{hint}; checkpoints are kept: the same command continues"
