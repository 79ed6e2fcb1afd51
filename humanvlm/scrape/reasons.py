"""Why a row of the URL index does not become a sample."""

import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches

from humanvlm.errors import UserError

# Reasons that may be gone another day: what `--retry-failed` asks for again.
TRANSIENT_REASONS = frozenset(
    ["ai_txt_unreachable", "bad_response", "connect_error", "connect_timeout", "dns_error", "file_missing",
     "file_unreadable", "first_byte_timeout", "host_unresponsive", "http_408", "http_425", "http_429",
     "incomplete_body", "proxy_error", "robots_unreachable", "tdmrep_unreachable", "timeout", "tls_error"]
)  # fmt: skip
# Reasons that another attempt may change, because a setting, the index or this program did.
LASTING_REASONS = frozenset(
    ["bad_url", "blocked_port", "c2pa_unreadable", "corrupt_image", "duplicate_url", "image_bomb", "link_local_address",
     "loopback_address", "md5_mismatch", "metadata_address", "no_picture", "not_an_image", "opt_out_ai_agents",
     "opt_out_ai_txt", "opt_out_c2pa", "opt_out_content_signal", "opt_out_content_usage", "opt_out_iptc",
     "opt_out_noai", "opt_out_tdm", "outside_source", "private_address", "redirect_loop", "robots_disallow",
     "sha256_mismatch", "too_large", "too_many_redirects", "truncated_image", "unstorable_size", "unsupported_format",
     "url_too_long"]
)  # fmt: skip
# What is said of a stored picture when it is not to be used any more.
WITHDRAWN = frozenset(["http_404", "http_410", "http_451", "robots_disallow"])
OPT_OUT = "opt_out_"
ALL, TRANSIENT = "all", "transient"

_STATUS = re.compile(r"http_[1-9][0-9]{2}")
_CREDENTIALS = re.compile(r"(?<=//)[^/?#\s]*@")


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


def withdrawn(reason: str) -> bool:
    """Whether a reason is the word of a site, or the absence of its picture, rather than a failure to ask."""
    return reason in WITHDRAWN or reason.startswith(OPT_OUT)


def reasons_named(text: str) -> tuple[str, ...]:
    """Reasons in a list with commas, as ``--retry-failed`` takes it. Raises UserError naming one that there is not."""
    known = sorted(TRANSIENT_REASONS | LASTING_REASONS)
    names = tuple(name for part in text.split(",") if (name := part.strip()))
    for name in names:
        if name not in (ALL, TRANSIENT, *known) and not _STATUS.fullmatch(name):
            near = get_close_matches(name, known, 1)
            meant = f"did you mean {near[0]}? " if near else ""
            raise UserError(
                f"--retry-failed: no reason {name!r}; {meant}There are {TRANSIENT}, {ALL}, http_NNN, {', '.join(known)}"
            )
    return names


def retriable(names: Iterable[str]) -> Callable[[str], bool]:
    """Whether a reason is among ``names``; ``transient`` stands for failures that may pass, ``all`` for every one."""
    wanted = frozenset(names)

    def matches(reason: str) -> bool:
        if ALL in wanted or reason in wanted:
            return True
        return TRANSIENT in wanted and (reason in TRANSIENT_REASONS or reason.startswith("http_5"))

    return matches
