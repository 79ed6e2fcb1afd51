"""Starts the trainer as its own process(es) and waits: a crash, its memory and its environment stay out of the caller.

Alone, the stage command starts one process, or HUMANVLM_PROCESSES of them under torchrun, whose further options are in
HUMANVLM_TORCHRUN (``--nnodes 2 --rdzv-endpoint HOST:29500``). Where a launcher has started the stage command itself as
one of several ranks (torchrun, deepspeed, srun, Kubernetes' PyTorchJob, Ray: docs/training.md), it starts just its own.
Rank 0 then is the stage; the others only train, once rank 0 has prepared what all read.
"""

import json
import logging
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from humanvlm.config.loading import Params
from humanvlm.data.atomic_io import write_json
from humanvlm.errors import UserError
from humanvlm.pipeline.contract import Counts, Outcome, StageRun
from humanvlm.pipeline.engine import default_workers
from humanvlm.pipeline.stages import Stage
from humanvlm.train.job import (
    checkpoint_step,
    describe,
    die_with_parent,
    edits_path,
    error_path,
    job_path,
    read_edits,
    read_job,
    result_path,
    stop_path,
    write_job,
)

log = logging.getLogger("humanvlm")
PREPARE = "humanvlm.train.prepare"
WORKER = "humanvlm.train.worker"


def train(run: StageRun) -> Outcome:
    """Run the stage's training to its end, from its last checkpoint when there is one.

    SIGTERM lets the trainer save and end. Raises UserError with the trainer's own message, or one that says how it
    died.
    """
    job = write_job(run)
    with _stoppable(run):
        for command in ([sys.executable, "-m", PREPARE], _command(run.config.processes)):
            if stop_path(run).exists():
                raise UserError(f"{run.stage.name}: stopped before its first step; the same command continues")
            if status := _run([*command, str(job)], run.config.processes):
                raise UserError(_reason(run, status))
            if command[-1] == PREPARE:
                write_json(job, describe(run) | {"launch": launch_id()})  # the other ranks may begin
    result = json.loads(result_path(run).read_text(encoding="utf-8"))
    return Outcome(Counts(**result.pop("counts")), **result)


# What may be changed while a run is under way: how it is computed and saved, and how fast it learns from there on. More
# max_steps goes on too.
COMPUTED = {
    *("processes", "pack_tokens", "save_steps", "save_minutes", "zero_stage", "offload", "gradient_checkpointing"),
    *("validation_steps", "validation_samples", "sample_steps", "sample_pictures", "keep_best"),
}
LEARNT = {
    *("learning_rate", "projector_learning_rate", "warmup_ratio", "decay_ratio", "max_grad_norm", "weight_decay"),
    "dtype",
}


def continues(run: StageRun) -> bool:
    """Whether the checkpoints of an unfinished run serve these parameters, which are not quite those it began with.

    Edits that change what is learnt are noted in ``edits.json``, for the report. Raises UserError where the checkpoints
    do not serve: hours of training are not cleared without being told to.
    """
    step = checkpoint_step(run.work)
    if step is None:
        return False
    what = f"{run.out}: step {step} of an unfinished run"
    try:
        before = read_job(job_path(run)).params
    except (OSError, ValueError, KeyError):
        raise UserError(f"{what}, whose parameters are lost; start afresh with --force") from None
    old, new = (_trained_with(params, run.stage) for params in (before, run.params))
    edits = {key: [old[key], new[key]] for key in sorted(new) if old[key] != new[key]}
    useless = {
        key: (was, now)
        for key, (was, now) in edits.items()
        if key.partition(".")[2] not in LEARNT and not (key.endswith(".max_steps") and now > was > 0)
    }
    if useless:
        told = ", ".join(f"{key} {was!r}, now {now!r}" for key, (was, now) in useless.items())
        raise UserError(f"{what} with other parameters ({told}); put them back to continue, or --force starts afresh")
    if edits:
        told = ", ".join(f"{key} {now!r}" for key, (_, now) in edits.items())
        log.warning("%s: goes on from step %d with %s", run.stage.name, step, told)
        write_json(edits_path(run), [*read_edits(run), {"step": step, "edits": edits}])
    return True


def _trained_with(params: Params, stage: Stage) -> dict[str, Any]:
    """Parameters that decide on what is learnt."""
    return {
        f"{section}.{key}": value
        for section in stage.sections
        for key, value in getattr(params, section).model_dump(mode="json").items()
        if key not in COMPUTED
    }


def follow(run: StageRun, finished: Callable[[], bool]) -> bool:
    """Train as a further rank, and say so; False where this process is no further rank.

    finished: whether the stage is up to date, so that rank 0 trains nothing. Raises UserError when the trainer fails.
    """
    if int(ranks().get("RANK", "0")) == 0:
        return False
    log.info("%s: rank %s of %s, waiting for rank 0", run.stage.name, ranks()["RANK"], ranks()["WORLD_SIZE"])
    while not _begun(run):
        if finished():
            return True
        time.sleep(1)
    with _stoppable(run), TemporaryDirectory() as folder:
        job = Path(folder) / "job.json"
        write_json(job, describe(run))
        if status := _run([*_command(), str(job)]):
            raise UserError(f"{run.stage.name}: rank {ranks()['RANK']} failed with status {status}; rank 0 says why")
    return True


def _begun(run: StageRun) -> bool:
    try:
        return bool(json.loads(job_path(run).read_text(encoding="utf-8")).get("launch") == launch_id())
    except (OSError, ValueError):
        return False


def ranks() -> Mapping[str, str]:
    """What torch.distributed reads of the environment, where a launcher started this command as one of several ranks.

    Empty where it did not. Raises UserError when there is a rank but no address to meet at.
    """
    given = dict(os.environ)
    if int(given.get("SLURM_STEP_NUM_TASKS", "1")) > 1 and "SLURM_PROCID" in given and "RANK" not in given:
        given |= {
            "RANK": given["SLURM_PROCID"],
            "WORLD_SIZE": given["SLURM_STEP_NUM_TASKS"],
            "LOCAL_RANK": given.get("SLURM_LOCALID", "0"),
            "MASTER_ADDR": given.get("MASTER_ADDR", given.get("SLURM_LAUNCH_NODE_IPADDR", "")),
            "MASTER_PORT": given.get("MASTER_PORT", str(20_000 + int(given.get("SLURM_JOB_ID", "0")) % 20_000)),
        }
    if "RANK" not in given or int(given.get("WORLD_SIZE", "1")) == 1:
        return {}
    if not given.get("MASTER_ADDR") or not given.get("MASTER_PORT"):
        raise UserError("RANK and WORLD_SIZE are set, MASTER_ADDR or MASTER_PORT is not; set them to rank 0's")
    names = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    return {name: given[name] for name in names} | {"LOCAL_RANK": given.get("LOCAL_RANK", "0")}


def launch_id() -> str:
    """What tells this launch from others: equal on all its ranks."""
    again = os.environ.get("TORCHELASTIC_RESTART_COUNT", os.environ.get("SLURM_RESTART_COUNT", "0"))
    return " ".join([ranks().get("MASTER_ADDR", ""), ranks().get("MASTER_PORT", ""), again])


def process_count(usual: int = 1) -> int:
    """HUMANVLM_PROCESSES, or ``usual``. Raises UserError when it is not a positive whole number."""
    value = os.environ.get("HUMANVLM_PROCESSES", str(usual))
    if not value.isdigit() or int(value) < 1:
        raise UserError(f"HUMANVLM_PROCESSES={value!r}: must be a whole number of at least 1")
    return int(value)


def _command(usual: int = 1) -> list[str]:
    options = shlex.split(os.environ.get("HUMANVLM_TORCHRUN", ""))
    processes = process_count(usual)
    if ranks() or (processes == 1 and not options):
        return [sys.executable, "-m", WORKER]
    rendezvous = [] if options else ["--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0"]
    return [
        *(sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(processes)),
        *(*rendezvous, *options, "-m", WORKER),
    ]


def _environment(usual: int = 1) -> Mapping[str, str]:
    """The worker's environment. torchrun sets its own ranks; a single worker is rank 0 of 1.

    OpenMP's threads wait asleep: spinning, they take the time of other processes.
    """
    processes = process_count(usual)
    threads = os.environ.get("OMP_NUM_THREADS", str(max(1, default_workers() // processes)))
    given = {
        **{"TRANSFORMERS_VERBOSITY": "error", "TOKENIZERS_PARALLELISM": "false", "DEEPSPEED_LOG_LEVEL": "error"},
        **{"OMP_WAIT_POLICY": "passive"},
    }
    single = {
        **{"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "1"},
        **{"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"},  # the system picks a free port
    }
    alone = processes == 1 and "HUMANVLM_TORCHRUN" not in os.environ
    return {
        **given,
        **os.environ,
        "OMP_NUM_THREADS": threads,
        "ACCELERATE_USE_DEEPSPEED": "true",
        **(ranks() or (single if alone else {})),
    }


def _run(command: list[str], usual: int = 1) -> int:
    """A child's status. It does not outlive this process."""
    child = subprocess.Popen(command, env=_environment(usual), preexec_fn=die_with_parent)
    try:
        return child.wait()
    finally:
        child.kill()


@contextmanager
def _stoppable(run: StageRun) -> Iterator[None]:
    """Within, SIGTERM asks the trainer to save and end, instead of ending this process."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = signal.signal(signal.SIGTERM, lambda *_: stop_path(run).touch())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)


def _reason(run: StageRun, status: int) -> str:
    error = error_path(run)
    if error.exists():
        return str(json.loads(error.read_text(encoding="utf-8"))["error"])
    how = f"was killed by signal {-status}" if status < 0 else f"failed with status {status} (its traceback is above)"
    hint = "; out of memory? lower pack_tokens" if status == -signal.SIGKILL else ""
    return f"{run.stage.name}: the trainer {how}{hint}; checkpoints are kept: the same command continues"
