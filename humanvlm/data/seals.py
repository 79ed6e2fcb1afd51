"""The project's secret, under which the takedown list is written: who has only the list cannot tell who asked.

Hashes of URLs, hosts and pictures can be guessed by hashing what one suspects; a keyed hash (HMAC-SHA256) cannot. The
key lies outside git, and everybody who runs the project needs it.
"""

import hmac
import os
import re
import secrets
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from humanvlm.errors import UserError

VARIABLE = "HUMANVLM_TOMBSTONES_KEY"
FILE = "tombstones.key"  # beside the list, unless the variable names another
KEY = re.compile(r"[0-9a-f]{64}")
SEALED = re.compile(r"(?P<key>[0-9a-f]{8}):[0-9a-f]{64}")


@dataclass(frozen=True)
class Key:
    """secret: 32 bytes, which are never shown. name: by which a list says that it needs this key."""

    secret: bytes

    @cached_property
    def name(self) -> str:
        return hmac.digest(self.secret, b"name", "sha256").hex()[:8]

    def __repr__(self) -> str:
        return f"Key({self.name})"

    def seal(self, kind: str, value: str) -> str:
        """What a list holds of a value."""
        return f"{self.name}:{hmac.digest(self.secret, f'{kind}:{value}'.encode(), 'sha256').hex()}"


def key_path(listed: Path) -> Path:
    """The file of keys of a takedown list."""
    return Path(os.environ.get(VARIABLE) or listed.with_name(FILE))


def load_keys(path: Path) -> tuple[Key, ...]:
    """The keys of a file, one a line; the first seals what is new. None when there is no file.

    Raises UserError naming file and line.
    """
    try:
        lines = path.read_text(encoding="ascii").split()
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path}: not read ({type(error).__name__}); it must hold a key a line, 64 hex digits"
        ) from None
    for number, line in enumerate(lines, 1):
        if not KEY.fullmatch(line):
            raise UserError(f"{path}:{number}: must be a key, 64 hex digits; restore the file from a backup")
    return tuple(Key(bytes.fromhex(line)) for line in lines)


def make_key(path: Path) -> Key:
    """A new key, in a file that only its owner reads. Raises UserError when the file is there or cannot be written."""
    key = Key(secrets.token_bytes(32))
    work = path.with_name(f".{path.name}.work")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(work, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(key.secret.hex() + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(work, path)  # a key is never overwritten: what it sealed could no longer be read
        work.unlink()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; name another file in {VARIABLE}") from None
    return key
