"""Why a row of the URL index does not become a sample."""

import re
from collections.abc import Callable, Iterable

# Reasons that may be gone another day: what `--retry-failed` asks for again.
TRANSIENT_REASONS = frozenset(
    ["bad_response", "connect_error", "connect_timeout", "dns_error", "first_byte_timeout", "incomplete_body",
     "proxy_error", "robots_unreachable", "timeout", "tls_error", "http_408", "http_425", "http_429"]
)  # fmt: skip

_CREDENTIALS = re.compile(r"(?<=://)[^/?#\s]*@")


def without_credentials(text: str) -> str:
    """Text, such as an address, in which no address has a user name or a password."""
    return _CREDENTIALS.sub("", text)


class RefusedError(Exception):
    """One URL or picture that is not stored.

    reason: the name it is counted under, such as ``http_404``, ``timeout``, ``private_address``, ``not_an_image``.
    detail: one line for the reader of the dropped rows; never a port or a time, so that runs compare equal,
    and without credentials.
    status: the HTTP status, when there was an answer. transient: worth another attempt. retry_after_s: how long the
    host asks to be left alone.
    """

    def __init__(
        self,
        reason: str,
        detail: str = "",
        *,
        status: int | None = None,
        transient: bool = False,
        retry_after_s: float | None = None,
    ) -> None:
        self.reason = reason
        self.detail = " ".join(without_credentials(detail).split())[:200]
        super().__init__(f"{reason}: {self.detail}")
        self.status = status
        self.transient = transient
        self.retry_after_s = retry_after_s


def retriable(names: Iterable[str]) -> Callable[[str], bool]:
    """Whether a reason is among ``names``; ``transient`` stands for failures that may pass, ``all`` for every one."""
    wanted = frozenset(names)

    def matches(reason: str) -> bool:
        if "all" in wanted or reason in wanted:
            return True
        return "transient" in wanted and (reason in TRANSIENT_REASONS or reason.startswith("http_5"))

    return matches
