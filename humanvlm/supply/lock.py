"""Requirement files as ``make lock`` writes them: pinned packages with the sha256 of their files."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from humanvlm.errors import UserError

HASH = re.compile(r"--hash=(\S+)")
SHA256 = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class Pin:
    """A line of a requirement file. where: FILE:LINE. name: in its canonical spelling. hashes: sha256 of its files."""

    where: str
    name: str
    requirement: Requirement
    hashes: Sequence[str]

    @property
    def version(self) -> str | None:
        """The one version that it may be; None where it is not exact."""
        found = list(self.requirement.specifier)
        exact = len(found) == 1 and found[0].operator == "==" and "*" not in found[0].version
        return found[0].version if exact and self.requirement.url is None else None


def read_pins(path: Path) -> Sequence[Pin]:
    """The pins of a file, in its order; options of pip such as ``--only-binary`` are passed over.

    Raises UserError naming file and line of what is no requirement, or whose hash is not a sha256.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; run this in the project's folder") from None
    return [_pin(f"{path}:{number}", line) for number, line in _lines(text) if not line.startswith("-")]


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines with their continuations, without comments, and their numbers."""
    number, joined = 0, ""
    for count, line in enumerate(text.splitlines(), 1):
        number = number or count
        joined += re.sub(r"(^|\s)#.*", "", line)
        if joined.endswith("\\"):
            joined = joined[:-1]
            continue
        if joined.strip():
            yield number, joined.strip()
        number, joined = 0, ""


def _pin(where: str, line: str) -> Pin:
    hashes = HASH.findall(line)
    if bad := [given for given in hashes if not SHA256.fullmatch(given)]:
        raise UserError(f"{where}: {bad[0]!r} is no sha256")
    try:
        requirement = Requirement(HASH.sub("", line).strip())
    except InvalidRequirement as error:
        raise UserError(f"{where}: not a requirement: {str(error).splitlines()[0]}") from None
    return Pin(where, canonicalize_name(requirement.name), requirement, [given.partition(":")[2] for given in hashes])
