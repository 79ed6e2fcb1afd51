"""Reading within limits, naming what is broken, writing atomically."""

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from humanvlm.errors import UserError
from humanvlm.evaluate import files
from humanvlm.evaluate.files import get_numbers, open_text, pair, read_array, read_json, read_rows


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("text", ['{"a": 1}\n\n{"a": 2}', '[{"a": 1}, {"a": 2}]', '\ufeff{"a": 1}\n{"a": 2}\n'])
def test_rows(tmp_path: Path, packed: bool, text: str) -> None:
    path = tmp_path / "rows"  # what a file is, its first bytes tell, not its name
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    assert [row for _, row in read_rows(path)] == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b'{"a": 1}\n{"a": ', r"rows:2: malformed JSON \(.*column 7\)"),
        (b'{"a": 1}\n[1]\n', r"rows:2: a JSON list; an object is expected"),
        (b"[1, 2]", r"rows\[0\]: a JSON int; an object is expected"),
        (b'[{"a": 1}', r"rows: malformed JSON"),
        (b'{"a": 1' + b"0" * 5000 + b"}", r"rows:1: JSON that cannot be read"),
        (b"[" * 200_000, "rows: JSON that cannot be read"),
        (b'{"a": "\xff"}', "rows: not UTF-8 text"),
        # No time of day in the header: these bytes name the case, and pytest-xdist's workers must agree on the names.
        (gzip.compress(b'{"a": 1}' * 9999, mtime=0)[:60], "rows: cannot be read"),
        (gzip.compress(b'{"a": 1}', mtime=0)[:12] + b"\x00\xff\x00\xff" * 9, "rows: cannot be read"),
    ],
)
def test_what_is_malformed_is_named(tmp_path: Path, data: bytes, told: str) -> None:
    path = tmp_path / "rows"
    path.write_bytes(data)
    with pytest.raises(UserError, match=told):
        list(read_rows(path))


@given(st.binary(max_size=200))
def test_any_bytes_are_rows_or_a_user_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "bytes"
    path.write_bytes(data)
    told = f"{path}: "
    try:
        assert all(isinstance(row, dict) for _, row in read_rows(path))
    except UserError as error:
        told = str(error)
    assert told.startswith(str(path))
    assert "\n" not in told


def test_missing_files_and_folders(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(UserError, match=f"{path.name}: cannot be read"):
            read_json(path)


def test_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MOST_JSON", 1 << 20)
    monkeypatch.setattr(files, "MOST_LINE", 1 << 20)
    path = tmp_path / "large.gz"
    path.write_bytes(gzip.compress(b"[" + b" " * (3 << 20) + b"]"))
    with pytest.raises(UserError, match=r"more than 1 MiB of JSON; .*JSON lines"):
        read_json(path)
    monkeypatch.setattr(files, "MOST_PARTS", 1000)
    path.write_bytes(gzip.compress(b"[" + b"[]," * 1000 + b"[]]"))
    with pytest.raises(UserError, match=r"large.gz: JSON of more than 1,000 parts; split it"):
        read_json(path)
    path.write_bytes(gzip.compress(b'{"a": "' + b"x" * (3 << 20) + b'"}'))
    with pytest.raises(UserError, match=r"large.gz:1: longer than 1 MiB"):
        list(read_rows(path))
    path.write_bytes(gzip.compress(b'{"a": "xxxxxxxxxx"}\n' * 200_000))  # many lines are no trouble
    assert sum(1 for _ in read_rows(path)) == 200_000


def test_an_array_under_a_key(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text('{"info": {}, "questions": [{"a": 1}]}')
    assert list(read_array(path, "questions")) == [(f"{path}[0]", {"a": 1})]
    with pytest.raises(UserError, match="an object without annotations"):
        list(read_array(path, "annotations"))


def test_pair() -> None:
    references, file = Path("truth"), Path("said")
    assert pair(["b", "a"], {"a": 1, "b": 2}, references, file, allow_missing=False) == [2, 1]
    assert pair(["b", "a"], {"a": 1}, references, file, allow_missing=True) == [None, 1]
    with pytest.raises(UserError, match="said: no prediction for id b of truth"):
        pair(["b", "a"], {"a": 1}, references, file, allow_missing=False)
    with pytest.raises(UserError, match="said: id c is not in truth"):
        pair(["a"], {"a": 1, "c": 2}, references, file, allow_missing=True)


@pytest.mark.parametrize("value", [[1, float("nan")], [1, "2"], [1, True], [1], 5, None, [10**400, 1]])
def test_numbers(value: object) -> None:
    with pytest.raises(UserError, match="here: "):
        get_numbers(value, "here", 2)


def test_open_text_closes(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("a")
    with open_text(path) as file:
        assert file.read() == "a"
    assert file.closed
