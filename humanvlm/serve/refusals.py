"""What a client is told when it gets no reply: a status, and the error object of OpenAI's interface."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

INVALID, BUSY, FAILED = "invalid_request_error", "server_busy", "server_error"


@dataclass(eq=False)
class Refused(Exception):  # noqa: N818 (it is the client's to mend, or to wait for)
    """A request that gets no reply. status: of HTTP. param: the field that is wrong; code: a word for programs.
    retry_after_s: when it may be asked again, whole seconds; 0: no need to say."""

    status: int
    message: str
    param: str | None = None
    code: str | None = None
    kind: str = INVALID
    retry_after_s: int = 0
    more_headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def body(self) -> dict[str, Any]:
        """As JSON."""
        return {"error": {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}}

    @property
    def headers(self) -> dict[str, str]:
        """Beside those of every answer."""
        waiting = {"Retry-After": str(self.retry_after_s)} if self.retry_after_s else {}
        return {**waiting, **self.more_headers}


def busy(message: str, retry_after_s: int) -> Refused:
    """503: more is asked than can wait here."""
    return Refused(503, message, code="overloaded", kind=BUSY, retry_after_s=retry_after_s)


def broken(message: str) -> Refused:
    """500: it was asked for rightly, and failed here."""
    return Refused(500, message, kind=FAILED)
