"""How often a client may ask: a bucket of tokens each, filled over a minute (the leaky bucket as a meter)."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from humanvlm.serve.refusals import Refused

MOST_CLIENTS = 10_000  # that are remembered; whoever asked longest ago is forgotten, with a full bucket


@dataclass
class Rates:
    """per_minute: requests of a client, so many at once too; 0: any number. clock: seconds."""

    per_minute: int
    clock: Callable[[], float] = time.monotonic
    known: "OrderedDict[str, tuple[float, float]]" = field(default_factory=OrderedDict)

    def count(self, client: str) -> None:
        """A request of a client. Raises Refused (429) saying when there may be another."""
        if not self.per_minute:
            return
        now, most = self.clock(), float(self.per_minute)
        left, then = self.known.pop(client, (most, now))
        left = min(most, left + (now - then) * most / 60)
        if allowed := left >= 1:
            left -= 1
        self.known[client] = (left, now)
        while len(self.known) > MOST_CLIENTS:
            self.known.popitem(last=False)
        if not allowed:
            wait = max(1, math.ceil((1 - left) * 60 / most))
            message = f"more than {self.per_minute} requests a minute; wait {wait} s"
            raise Refused(429, message, code="rate_limit_exceeded", kind="rate_limit_error", retry_after_s=wait)
