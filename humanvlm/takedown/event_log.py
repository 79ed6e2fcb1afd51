"""Pictures in Dagster's event log: earlier versions of this package inlined small ones, which are taken out of it."""

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

INLINED = re.compile(r"data:image/[a-z+.-]+;base64,[A-Za-z0-9+/=]+")
WAIT_S = 30.0  # for a run that is writing
ELSEWHERE = re.compile(r"^\s*(storage|run_storage|event_log_storage):", re.MULTILINE)


def log_folder(root: Path) -> Path:
    """DAGSTER_HOME, or where the Makefile puts it."""
    return Path(os.environ.get("DAGSTER_HOME") or root / ".state" / "dagster")


def remove_inlined(home: Path) -> Iterator[str]:
    """Take inlined pictures out of every SQLite file of a Dagster instance; name what cannot be looked into."""
    settings = home / "dagster.yaml"
    if settings.exists() and ELSEWHERE.search(settings.read_text(encoding="utf-8", errors="replace")):
        yield f"{settings}: names another storage, whose older events may hold pictures; wipe these assets"
    for path in sorted(home.rglob("*.db")):
        try:
            texts = _remove(path)
        except sqlite3.Error as error:
            yield f"{path}: not looked into ({error}); stop Dagster and run `humanvlm forget` again"
        else:
            if texts:
                yield f"{path}: pictures taken out of {texts:,} entries"


def _remove(path: Path) -> int:
    with closing(sqlite3.connect(path, timeout=WAIT_S)) as database:
        database.execute("PRAGMA secure_delete = ON")
        database.create_function("without_pictures", 1, lambda text: INLINED.sub("", text), deterministic=True)
        changed = 0
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in (_quoted(name) for name in tables if not name.startswith("sqlite_")):
            for column in [_quoted(row[1]) for row in database.execute(f"PRAGMA table_info({table})")]:
                holds = f"typeof({column}) = 'text' AND instr({column}, 'data:image/') > 0"
                update = f"UPDATE {table} SET {column} = without_pictures({column}) WHERE {holds}"  # noqa: S608
                changed += database.execute(update).rowcount
        database.commit()
        if changed:
            database.execute("VACUUM")
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return changed


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
