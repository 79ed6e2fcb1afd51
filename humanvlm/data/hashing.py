"""The hashes that files and URLs are known by."""

import hashlib
from pathlib import Path


def sha256_file(path: Path) -> str:
    """Hex digits; the file is read in pieces. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def url_key(url: bytes) -> bytes:
    """8 bytes by which URLs are told apart: of 50 million, some pair has the same with a chance of 1 in 15,000."""
    return hashlib.blake2b(url, digest_size=8).digest()
