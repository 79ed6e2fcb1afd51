"""Map a pure function over shards: a local process pool by default, Ray when given an address.

A task is the unit of work and of retry. Results come back as tasks finish, in any order; callers that need an order
sort by what the result carries. Where the work runs (workers, engine, address) is a machine setting, never a parameter.
"""

import logging
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from humanvlm.errors import UserError
from humanvlm.shown import log_to_stderr
from humanvlm.weights.catalog import OWN

log = logging.getLogger("humanvlm")

Task = TypeVar("Task")
Result = TypeVar("Result")


def default_workers() -> int:
    """HUMANVLM_WORKERS, or the processors this process may use."""
    value = os.environ.get("HUMANVLM_WORKERS")
    if value is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not value.isdigit() or int(value) < 1:
        raise UserError(f"HUMANVLM_WORKERS={value!r}: must be a whole number of at least 1")
    return int(value)


def forks_safely() -> bool:
    """Whether a forked child can work: it has no threads, and must not need what those of its parent hold."""
    return sys.platform == "linux" and threading.active_count() == 1 and "torch" not in sys.modules


class DeadWorkerError(UserError):
    """A worker process died: it was killed, for want of memory for example, or crashed."""

    def __init__(self) -> None:
        super().__init__(
            "a worker process died (out of memory, or killed); finished shards are kept: run the same command "
            "again, with fewer HUMANVLM_WORKERS if memory was short"
        )


def map_shards(
    fn: Callable[[Task], Result],
    tasks: Sequence[Task],
    workers: int | None = None,
    address: str | None = None,
    *,
    fork: bool = False,
    restarts: int = 0,
) -> Iterator[Result]:
    """Start ``fn(task)`` for every task, and yield what it returns as it finishes. ``fn`` and tasks must pickle.

    workers: local processes, default ``default_workers()``; 1 runs in this process. address: a Ray address
    (default HUMANVLM_RAY_ADDRESS), which needs the ``ray`` extra. fork: ``fn`` uses no inference runtime, whose threads
    and locks do not survive a fork; workers then start at once, where that is safe. restarts: how often in a row, with
    no task finished in between, workers are started anew when one has died; for tasks that go on where they were.
    Raises what ``fn`` raises, and DeadWorkerError when a worker process dies (memory, signal).
    """
    address = address or os.environ.get("HUMANVLM_RAY_ADDRESS")
    workers = min(workers or default_workers(), max(len(tasks), 1))
    if address:
        return _map_ray(fn, tasks, address)
    if workers == 1:
        return map(fn, tasks)
    context: Any = multiprocessing.get_context("fork" if fork and forks_safely() else "spawn")
    return _map_processes(fn, tasks, workers, context, restarts)


def in_a_process(fn: Callable[[Task], Result], task: Task) -> Result:
    """``fn(task)`` in a process of its own. Both must pickle. Raises what ``fn`` raises, and DeadWorkerError."""
    return next(_map_processes(fn, [task], 1, multiprocessing.get_context("spawn"), 0))


def _map_processes(
    fn: Callable[[Task], Result], tasks: Sequence[Task], workers: int, context: Any, restarts: int
) -> Iterator[Result]:
    left = dict(enumerate(tasks))
    deaths = 0
    while left:
        pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker)
        futures = {pool.submit(fn, task): number for number, task in left.items()}
        try:
            for result, number in _results(pool, futures):
                del left[number]
                deaths = 0
                yield result
        except BrokenProcessPool:
            deaths += 1
            if deaths > restarts:
                raise DeadWorkerError from None
            log.warning("a worker process died (out of memory, or killed); workers are started anew")


def _results(pool: ProcessPoolExecutor, futures: Mapping[Future[Result], int]) -> Iterator[tuple[Result, int]]:
    """What the tasks return as they finish, with their numbers."""
    with pool:
        try:
            for future in as_completed(futures):
                yield future.result(), futures[future]
        finally:
            pool.shutdown(cancel_futures=True)  # running tasks end before the caller takes away what they use


def _start_worker() -> None:
    """One thread a worker, because the pool already uses every core; and no worker outlives its parent.

    An orphan would go on writing the shard that the next run of the command writes too. Its
    warnings are shown as the command shows its own.
    """
    log_to_stderr("WARNING")
    threading.Thread(target=_die_with_parent, daemon=True).start()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"):
        os.environ[name] = "1"


def _die_with_parent() -> None:
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)


def _map_ray(fn: Callable[[Task], Result], tasks: Sequence[Task], address: str) -> Iterator[Result]:
    try:
        import ray
    except ImportError:
        raise UserError("the Ray engine needs the extra: pip install 'humanvlm[ray]'") from None
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ours = {name: value for name, value in os.environ.items() if name == OWN}
    ray.init(address=address, ignore_reinit_error=True, log_to_driver=False, runtime_env={"env_vars": ours})
    remote: Any = ray.remote(max_retries=3)(fn)
    pending = [remote.remote(task) for task in tasks]
    while pending:
        ready, pending = ray.wait(pending)
        yield from ray.get(ready)
