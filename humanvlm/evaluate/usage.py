"""What the replies of a run took: requests, tokens, and what a server charges for them."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from humanvlm.inference.base import Reply
from humanvlm.inference.tokens import MILLION


@dataclass(frozen=True)
class Usage:
    """Of all replies of a run, those that were known before too. requests: distinct ones. tokens_in, tokens_out: as the
    server tells. untold: replies of which it does not, and which are in neither. cost: in the currency of the prices,
    of what is told; None without prices."""

    requests: int
    tokens_in: int
    tokens_out: int
    untold: int
    cost: float | None = None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def told(self) -> str:
        """In words."""
        if self.untold == self.requests:
            return f"{self.requests:,} requests; their tokens are not known."
        cost = "" if self.cost is None else f"; cost {self.cost:,.4g}"
        untold = f" ({self.untold:,} replies do not tell theirs)" if self.untold else ""
        return f"{self.requests:,} requests: {self.tokens_in:,} tokens in, {self.tokens_out:,} out{cost}{untold}."


def usage(replies: Iterable[Reply], price_in: float, price_out: float) -> Usage:
    """Of replies, each request once. prices: of a million tokens."""
    distinct = {reply.key: reply for reply in replies}.values()
    counts = [(one.prompt_tokens, one.tokens) for one in distinct]
    told = [(asked, made) for asked, made in counts if asked is not None and made is not None]
    asked, made = sum(first for first, _ in told), sum(second for _, second in told)
    cost = (asked * price_in + made * price_out) / MILLION if price_in or price_out else None
    return Usage(len(distinct), asked, made, len(distinct) - len(told), cost)
