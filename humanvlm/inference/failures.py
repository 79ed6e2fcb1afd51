"""Attempts at a server that gave no reply: which may pass, which will not, and what the user can do about it."""

import json
import re

MAY_PASS = frozenset({408, 409, 425, 429})  # and all from 500
MALFORMED = "malformed_reply"
SMALLER = "set {section}.endpoint.image_size smaller"
# What servers say in the body, whatever the status. The first that fits is the remedy, with the section's name.
SAID = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), remedy)
    for pattern, remedy in (
        (
            r"context.{0,12}(length|window|size)|max_model_len|(prompt|input|request).{0,40}too long"
            r"|too many.{0,12}tokens|(exceed|longer).{0,60}(token|context)|tokens?.{0,60}exceed",
            SMALLER + " or {section}.max_new_tokens, or raise the server's own limit",
        ),
        (r"insufficient_quota|billing|credit balance|exceeded your.{0,20}quota", "the account has no credit left"),
        (
            r"(payload|body|entity|request|image|picture|file).{0,40}(too (large|big)|exceed|maximum)"
            r"|too large|image.{0,20}(dimension|resolution)",
            SMALLER,
        ),
        (
            r"(not|n't).{0,30}(support|accept|take|allow)\w*.{0,30}(image|vision|multi-?modal|picture)"
            r"|(image|vision|multi-?modal)\w*.{0,30}(not|n't|un)\s?(support|allow|enabled)|not a multi-?modal model"
            r"|at most 0 image",
            "that model takes no pictures; name another as {section}.endpoint.model",
        ),
        (
            r"model\b.{0,80}(not (found|exist)|does ?n.t exist|unknown|invalid|no such)"
            r"|(no such|unknown|invalid) model",
            "check {section}.endpoint.model",
        ),
        (
            r"parameter|argument|unsupported_value|unrecognized|unexpected|extra (inputs|fields)|not permitted"
            r"|max_tokens|temperature",
            "change fields with {section}.endpoint.parameters, such as {{max_tokens: null, max_completion_tokens: 64}}",
        ),
    )
)
BY_STATUS = {
    401: "set the environment variable {key} to a valid key",
    402: "the account has no credit left",
    403: "the key in the environment variable {key} has no permission for this model, region or input",
    404: "check url and model of {section}.endpoint",
    405: "check {section}.endpoint.url: it ends with /v1",
    413: SMALLER,
}
FINAL = frozenset({401, 402, 404, 405})  # which concern every request


class AttemptError(Exception):
    """An attempt without a reply.

    passing: whether another may do better. retry_after: seconds the server asks for. remedy: what the user can do.
    hopeless: no request will fare better.
    """

    def __init__(
        self,
        reason: str,
        detail: str,
        *,
        passing: bool = True,
        retry_after: float = 0.0,
        remedy: str = "",
        hopeless: bool = False,
    ) -> None:
        super().__init__(reason)
        self.reason, self.detail, self.remedy = reason, detail, remedy
        self.passing, self.retry_after, self.hopeless = passing, retry_after, hopeless


def http_failure(status: int, said: str, key_variable: str, section: str, wait: float = 0.0) -> AttemptError:
    """What an HTTP status with a body means. key_variable: names the environment variable of the key. section: of the
    parameters that name the server."""
    remedy = next((remedy for pattern, remedy in SAID if pattern.search(said)), "")
    spent = "no credit" in remedy and status == 429
    passing = (status in MAY_PASS and not spent) or status >= 500
    if status in BY_STATUS:
        remedy = BY_STATUS[status]
    elif 300 <= status < 400:
        remedy = "the server is elsewhere: check {section}.endpoint.url"
    elif not remedy and not passing:
        remedy = (
            "the server says what it wants otherwise: {section}.endpoint.parameters adds, replaces and takes out fields"
        )
    remedy = remedy.format(section=section, key=key_variable)
    return AttemptError(
        f"http_{status}", said, passing=passing, retry_after=wait, remedy=remedy, hopeless=status in FINAL
    )


def malformed(detail: str, section: str, content: bytes = b"") -> AttemptError:
    """An answer that is no chat completion. section: of the parameters that name the server."""
    start = content.lstrip()[:16].lower()
    remedy = ""
    if start.startswith(b"<"):
        remedy = f"that is a web page: check {section}.endpoint.url, which ends with /v1"
    elif start.startswith((b"data:", b"event:", b":")):
        remedy = f"that is a stream: set {section}.endpoint.parameters to {{stream: false}}"
    return AttemptError(MALFORMED, detail, remedy=remedy)


def message_in(said: str) -> str:
    """The words of an error body in one of the usual forms; the body itself where it has none of them."""
    try:
        value = json.loads(said)
    except (ValueError, RecursionError):
        return said
    for name in ("error", "message", "detail"):
        if isinstance(value, dict) and value.get(name):
            value = value[name]
    return value if isinstance(value, str) else said
