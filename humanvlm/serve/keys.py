"""Who may ask: API keys, compared in constant time, kept as digests and never shown."""

import hashlib
import hmac
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from humanvlm.errors import UserError
from humanvlm.serve.refusals import Refused

VARIABLE = "HUMANVLM_SERVE_KEYS"
LOOPBACK = ("127.0.0.1", "localhost", "::1")  # hosts at which nobody else can ask
LEAST = 16  # characters of a key


@dataclass(frozen=True)
class Keys:
    """digests: sha256 of each key; none: everybody may ask."""

    digests: Sequence[bytes] = field(default=(), repr=False)

    def check(self, authorization: str) -> str:
        """Whose request it is, a name that tells nothing of the key; '' where everybody may ask. Raises Refused (401).

        All keys are compared, whichever fits."""
        if not self.digests:
            return ""
        kind, _, given = authorization.partition(" ")
        digest = _digest(given.strip())
        fits = [hmac.compare_digest(digest, known) for known in self.digests]
        if kind.lower() != "bearer" or not any(fits):
            message = "no API key" if not authorization else "wrong API key"
            raise Refused(
                401,
                f"{message}; send one as `Authorization: Bearer KEY`",
                code="invalid_api_key",
                more_headers={"WWW-Authenticate": "Bearer"},
            )
        return f"key {fits.index(True)}"


def read_keys(file: Path | None) -> Keys:
    """The keys of a file, one a line, and of the environment variable, between commas. Raises UserError naming the
    place of one that is too short to be secret."""
    places = [(f"environment variable {VARIABLE}", os.environ.get(VARIABLE, "").split(","))]
    if file is not None:
        try:
            places.append((str(file), file.read_text(encoding="utf-8").splitlines()))
        except (OSError, ValueError) as error:
            raise UserError(f"{file}: {getattr(error, 'strerror', None) or 'not UTF-8'}; name a file of keys") from None
    digests = []
    for place, lines in places:
        for number, line in enumerate(lines, 1):
            key = line.strip()
            if not key or key.startswith("#"):
                continue
            if len(key) < LEAST or not key.isascii() or not key.isprintable() or " " in key:
                raise UserError(
                    f"{place}: key {number} is not {LEAST} or more printable ASCII characters; make a longer one"
                )
            digests.append(_digest(key))
    if file is not None and not digests:
        raise UserError(f"{file}: no key in it; write one a line")
    return Keys(tuple(digests))


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode(errors="surrogatepass")).digest()
