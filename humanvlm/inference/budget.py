"""What a server may use, in tokens and money: counted over all runs and processes, and never begun to be exceeded."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from humanvlm.data.atomic_io import locked, make_folder
from humanvlm.errors import UserError
from humanvlm.inference.base import Reply, Request
from humanvlm.inference.endpoint import Server
from humanvlm.inference.tokens import MILLION, most_tokens, text_tokens


@dataclass(frozen=True)
class Spent:
    """Tokens, and what they cost in the currency of the prices."""

    tokens: int = 0
    cost: float = 0.0

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(self.tokens + other.tokens, self.cost + other.cost)


@dataclass(frozen=True)
class Ledger:
    """The file in which processes add up what a section of the parameters has spent. Delete it to count afresh."""

    path: Path

    def read(self) -> Spent:
        try:
            return _parsed(self.path.read_bytes())
        except FileNotFoundError:
            return Spent()

    def add(self, spent: Spent) -> None:
        """On return it survives the end of the process."""
        make_folder(self.path.parent)
        with locked(self.path) as file:
            total = _parsed(os.pread(file, 1 << 10, 0)) + spent
            line = json.dumps({"tokens": total.tokens, "cost": total.cost}).encode()
            os.pwrite(file, line.ljust(80) + b"\n", 0)  # of one length: what a kill leaves is one or the other


@dataclass(frozen=True)
class Budgeted:
    """A server that is asked as long as the budget holds. What was asked is waited for, kept and counted.

    A request is sent when the budget holds its longest reply, beside all that this process waits for; other processes
    may have as much in flight. section: has ``budget_tokens`` and ``budget_cost``; 0 is no limit.
    """

    server: Server
    ledger: Ledger
    section: str
    tokens: int = 0
    cost: float = 0.0

    @property
    def identity(self) -> Mapping[str, Any]:
        return self.server.identity

    def answer(self, requests: Iterable[Request]) -> Iterator[Sequence[Reply]]:
        """As the server answers. Raises UserError, once all that was asked is there, when the rest would cost too
        much."""
        waiting = list(requests)[::-1]
        asked: dict[str, Request] = {}

        def affordable() -> Iterator[Request]:
            while waiting and self._holds([*asked.values(), waiting[-1]]):
                request = waiting.pop()
                asked[request.key] = request
                yield request

        while waiting:
            left = len(waiting)
            for replies in self.server.answer(affordable()):
                for reply in replies:
                    self.ledger.add(self._spent(asked.pop(reply.key), reply))
                yield replies
            if len(waiting) == left:
                raise UserError(self._told(left))

    def _holds(self, requests: Sequence[Request]) -> bool:
        """Whether the budget holds all these at their most."""
        if not self.tokens and not self.cost:
            return True
        spent = self.ledger.read()
        for request in requests:
            made = request.max_new_tokens
            spent += self._priced(most_tokens(request, self.server.config.image_size) - made, made)
        return (not self.tokens or spent.tokens <= self.tokens) and (not self.cost or spent.cost <= self.cost)

    def _spent(self, request: Request, reply: Reply) -> Spent:
        """What a reply says it used, or is thought to have. A request that failed is thought to have used nothing."""
        if reply.error:
            return Spent()
        asked, made = reply.prompt_tokens, reply.tokens
        if asked is None:
            asked = most_tokens(request, self.server.config.image_size) - request.max_new_tokens
        return self._priced(asked, text_tokens(reply.raw) if made is None else made)

    def _priced(self, asked: int, made: int) -> Spent:
        config = self.server.config
        return Spent(asked + made, (asked * config.price_in + made * config.price_out) / MILLION)

    def _told(self, left: int) -> str:
        spent = self.ledger.read()
        used = [
            f"{spent.tokens:,} of {self.section}.budget_tokens {self.tokens:,}" if self.tokens else "",
            f"{spent.cost:.4g} of {self.section}.budget_cost {self.cost:g}" if self.cost else "",
        ]
        return (
            f"{self.section}: the budget is spent ({', '.join(filter(None, used))}), {left:,} requests of this shard "
            f"are left; raise it and run again, which asks for these only ({self.ledger.path} has the count)"
        )


def _parsed(content: bytes) -> Spent:
    """Raises UserError when a file does not tell what was spent."""
    if not content.strip():
        return Spent()
    try:
        value = json.loads(content)
        return Spent(int(value["tokens"]), float(value["cost"]))
    except (ValueError, LookupError, TypeError):
        raise UserError(
            f"what was spent is not readable ({content[:40]!r}); delete that file to count afresh"
        ) from None
