"""Pictures come out of every database of a Dagster instance, and nothing else does."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from humanvlm.takedown.event_log import log_folder, remove_inlined

PICTURE = "data:image/jpeg;base64," + "QUJD" * 2000
EVENT = '{"text": "![samples](%s)", "rows": 8}'


def make_log(path: Path) -> None:
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path)) as database:
        database.execute('CREATE TABLE "event logs" (id INTEGER, event TEXT, "odd""name" TEXT, data BLOB)')
        rows = [(1, EVENT % PICTURE, PICTURE, b"data:image/"), (2, EVENT % "plot.png", None, None)]
        database.executemany('INSERT INTO "event logs" VALUES (?, ?, ?, ?)', rows)
        database.commit()


def test_pictures_are_taken_out_and_the_rest_stays(tmp_path: Path) -> None:
    path = tmp_path / "history" / "runs" / "index.db"
    make_log(path)
    assert list(remove_inlined(tmp_path)) == [f"{path}: pictures taken out of 2 entries"]
    with closing(sqlite3.connect(path)) as database:
        rows = database.execute('SELECT * FROM "event logs"').fetchall()
    assert rows == [(1, EVENT % "", "", b"data:image/"), (2, EVENT % "plot.png", None, None)]
    assert b"QUJDQUJD" not in path.read_bytes()  # not in a page that is free, either
    assert list(remove_inlined(tmp_path)) == []


def test_what_cannot_be_looked_into_is_named(tmp_path: Path) -> None:
    (tmp_path / "odd.db").write_text("no database" * 100)
    (tmp_path / "dagster.yaml").write_text("telemetry:\n  enabled: false\nstorage:\n  postgres: {}\n")
    storage, odd = remove_inlined(tmp_path)
    assert storage.startswith(f"{tmp_path / 'dagster.yaml'}: names another storage")
    assert odd.startswith(f"{tmp_path / 'odd.db'}: not looked into (file is not a database)")
    assert list(remove_inlined(tmp_path / "absent")) == []


def test_where_the_log_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", "/somewhere")
    assert log_folder(tmp_path) == Path("/somewhere")
    monkeypatch.delenv("DAGSTER_HOME")
    assert log_folder(tmp_path) == tmp_path / ".state" / "dagster"
