"""MLflow's SQLite file names its artifacts by absolute paths.

A project that was moved, or copied, brings both, the file and ``mlartifacts`` beside it: then the paths in the file are
made those of the folder beside it, so that runs and models are found again and a copy leaves the original alone.
"""

import logging
import sqlite3
from contextlib import closing
from pathlib import Path

from humanvlm.errors import UserError

log = logging.getLogger("humanvlm")
FOLDER = "mlartifacts"
COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def follow_moved(database: Path, experiment: str) -> None:
    """Point a database at the artifacts beside it, where those of ``experiment`` lie in an ``mlartifacts`` elsewhere.

    Nothing is done without such a folder beside it. Raises UserError when the database cannot be written.
    """
    ours = database.parent / FOLDER
    if not (database.is_file() and ours.is_dir()):
        return
    try:
        with closing(sqlite3.connect(database, timeout=30)) as connection, connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if "experiments" not in tables:
                return
            known = connection.execute("SELECT artifact_location FROM experiments WHERE name = ?", (experiment,))
            for (theirs,) in known.fetchall():
                if theirs and theirs.startswith("file:") and Path(theirs).name == FOLDER and theirs != ours.as_uri():
                    _rename(connection, tables, theirs, ours.as_uri())
                    log.warning("%s: its artifacts are those beside it now, no longer %s", database, theirs)
    except sqlite3.Error as error:
        raise UserError(f"{database}: {error}; make it writable, or set MLFLOW_TRACKING_URI to another") from None


def _rename(connection: sqlite3.Connection, tables: set[str], old: str, new: str) -> None:
    for table, column in COLUMNS:
        if table in tables and column in {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}:
            inside = f"{column} = ? OR substr({column}, 1, ?) = ?"
            connection.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE {inside}",  # noqa: S608
                (new, len(old) + 1, old, len(old) + 1, f"{old}/"),
            )
