"""What is fuzzed: where inputs come from, and what reads them."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """seeds: sound inputs. run: reads one, and returns what became of it; what it raises is a crash. repeats: what
    comes before, again and again, and after, in inputs that a pattern or a loop may look at over and over."""

    name: str
    seeds: Callable[[], list[bytes]]
    run: Callable[[bytes], str]
    repeats: Callable[[], list[tuple[bytes, bytes, bytes]]]
