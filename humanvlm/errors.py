"""Errors a user can act on: one line that names the file, row or key, and the remedy."""

import errno
import os

FULL = frozenset([errno.ENOSPC, errno.EDQUOT])
CLOSED = frozenset([errno.EROFS, errno.EACCES, errno.EPERM])


class UserError(Exception):
    """Something the user can mend. The CLI prints it as one line and exits with code 2."""


def of_the_disk(error: OSError) -> UserError | None:
    """What the user can do about a disk that is full, or a place that may not be written or read; None: it is a bug."""
    if error.errno not in FULL | CLOSED:
        return None
    place = f"{error.filename}: " if error.filename else ""
    remedy = "free space" if error.errno in FULL else "make it accessible, or name another place"
    return UserError(f"{place}{os.strerror(error.errno)}; {remedy} and run the same command again")
