"""One JSON POST to whom the operator named, when a champion fell.

The address is the environment variable HUMANVLM_WEBHOOK: whoever runs this chose it, so private addresses are allowed,
and it may hold a token: it is neither logged nor sent anywhere else. Redirects are not followed.
"""

import json
import logging
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

log = logging.getLogger("humanvlm")
VARIABLE = "HUMANVLM_WEBHOOK"
TIMEOUT_S = 10.0


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def notify(text: str, details: Mapping[str, Any]) -> bool:
    """Send ``{"text": …, …details}``; whether it was taken. A webhook that fails is logged and fails nothing else: what
    it would have said is in the log, in MLflow and in Dagster's check too."""
    address = os.environ.get(VARIABLE, "")
    if not address:
        return False
    host = urlsplit(address).hostname
    if urlsplit(address).scheme not in ("http", "https") or not host:
        log.warning("%s is no http or https address; nothing was sent", VARIABLE)
        return False
    data = json.dumps({"text": text, **details}).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(address, data=data, headers=headers, method="POST")  # noqa: S310
    try:
        with urllib.request.build_opener(_Stay).open(request, timeout=TIMEOUT_S):
            return True
    except (OSError, ValueError) as error:  # HTTPError is an OSError
        reason = f"HTTP {error.code}" if isinstance(error, urllib.error.HTTPError) else type(error).__name__
        log.warning("the webhook at %s did not take it (%s)", host, reason)
        return False
