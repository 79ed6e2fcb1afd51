"""What every request goes through: whom the server answers to, what all answers say, and what is counted."""

from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from humanvlm.serve.metrics import Metrics
from humanvlm.serve.refusals import Refused

# Of whatever is answered; the page has a policy of its own.
SAFE = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
CSP = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
OTHER = "other"


@dataclass(frozen=True)
class Front:
    """hosts: names by which the server may be asked, so that a page whose name a stranger points to this machine (DNS
    rebinding) asks nothing; none: any name. paths: that are counted by their names."""

    app: ASGIApp
    metrics: Metrics
    paths: Collection[str]
    hosts: Collection[str] = ()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = scope["path"] if scope["path"] in self.paths else OTHER

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.metrics.requests[path, message["status"]] += 1
                names = {name.lower() for name, _ in message["headers"]}
                own = [header for header in (*SAFE, CSP) if header[0] not in names]
                message = {**message, "headers": [*message["headers"], *own]}
            await send(message)

        if self.hosts and _host(scope) not in self.hosts:
            from starlette.responses import JSONResponse

            refusal = Refused(421, "this server answers to its own names only", code="misdirected_request")
            await JSONResponse(refusal.body, refusal.status)(scope, receive, answer)
            return
        await self.app(scope, receive, answer)


def _host(scope: Scope) -> str:
    """The name in the one Host header of a request; "" for none, several, or what is no name."""
    values = [value for name, value in scope["headers"] if name == b"host"]
    try:
        return (urlsplit(f"//{values[0].decode('ascii')}").hostname or "") if len(values) == 1 else ""
    except ValueError:
        return ""
