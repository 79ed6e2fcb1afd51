"""The hash that files are known by."""

import hashlib
from pathlib import Path


def sha256_file(path: Path) -> str:
    """Hex digits; the file is read in pieces. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
