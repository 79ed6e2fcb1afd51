"""A pace that the processes of a machine keep together: so many requests, so many tokens a minute."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from humanvlm.data.atomic_io import locked, make_folder

MINUTE = 60.0


@dataclass(frozen=True)
class Pace:
    """Limits a minute, 0 for none, and the file in which processes agree on whose turn it is.

    Requests are spread evenly (the generic cell rate algorithm, ITU-T I.371, without a burst): a minute's worth at once
    is what servers answer with 429.
    """

    path: Path
    requests: float = 0.0
    tokens: float = 0.0

    def turn(self, tokens: int) -> float:
        """Take the next turn, of so many tokens; the seconds until it is due."""
        if not self.requests and not self.tokens:
            return 0.0
        make_folder(self.path.parent)
        with locked(self.path) as file:
            now = time.time()
            start = max(now, _due(file))
            shares = ((1, self.requests), (tokens, self.tokens))
            taken = max(MINUTE * count / most if most else 0.0 for count, most in shares)
            os.ftruncate(file, 0)
            os.pwrite(file, repr(start + taken).encode(), 0)
        return start - now


def _due(file: int) -> float:
    """When the next turn is, seconds since 1970; 0 where the file does not tell."""
    try:
        return float(os.pread(file, 64, 0))
    except ValueError:
        return 0.0
