"""Work in a second process, where that is safe and there is a second processor."""

import os
import pickle
from collections.abc import Callable
from typing import TypeVar

from humanvlm.pipeline.engine import forks_safely

Value = TypeVar("Value")


def aside(work: Callable[[], Value]) -> Callable[[], Value]:
    """Start ``work`` in a forked child, if possible. The returned function, to be called once, gives its result.

    Where there is no child, or it fails, the work is done when its result is asked for.
    """
    if not forks_safely() or len(os.sched_getaffinity(0)) < 2:
        return work
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(reading)
            with os.fdopen(writing, "wb") as file:
                pickle.dump(work(), file, pickle.HIGHEST_PROTOCOL)
            status = 0
        finally:
            os._exit(status)  # neither the parent's handlers nor its buffers are the child's
    os.close(writing)

    def result() -> Value:
        with os.fdopen(reading, "rb") as file:
            data = file.read()
        _, status = os.waitpid(child, 0)
        return pickle.loads(data) if status == 0 else work()  # noqa: S301 - it is this program that wrote it

    return result
