"""Errors a user can act on: one line that names the file, row or key, and the remedy."""


class UserError(Exception):
    """Something the user can mend. The CLI prints it as one line and exits with code 2."""
