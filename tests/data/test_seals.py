"""Keys of the takedown list: made once, read by nobody else, and named when they are wrong."""

import stat
from pathlib import Path

import pytest

from humanvlm.data.seals import SEALED, Key, key_path, load_keys, make_key
from humanvlm.errors import UserError


def test_a_key_is_made_once_and_kept_private(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "tombstones.key"
    assert load_keys(path) == ()
    key = make_key(path)
    assert load_keys(path) == (key,)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["tombstones.key"]
    with pytest.raises(UserError, match=r"tombstones\.key: File exists; name another file in HUMANVLM_TOMBSTONES_KEY"):
        make_key(path)
    assert load_keys(path) == (key,)


def test_a_seal_depends_on_key_kind_and_value() -> None:
    one, other = Key(b"1" * 32), Key(b"2" * 32)
    seals = [one.seal("id", "a"), one.seal("id", "b"), one.seal("url", "a"), other.seal("id", "a")]
    assert len(set(seals)) == 4
    assert all(SEALED.fullmatch(seal) for seal in seals)
    assert one.seal("id", "a").startswith(one.name)
    assert one.secret.hex() not in repr(one)


def test_a_damaged_file_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "tombstones.key"
    path.write_text("0" * 64 + "\nhalf\n")
    with pytest.raises(UserError, match=r"tombstones\.key:2: must be a key"):
        load_keys(path)
    path.write_bytes(b"\xff")
    with pytest.raises(UserError, match=r"tombstones\.key: not read"):
        load_keys(path)


def test_the_variable_names_another_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HUMANVLM_TOMBSTONES_KEY", raising=False)
    assert key_path(tmp_path / "tombstones.csv") == tmp_path / "tombstones.key"
    monkeypatch.setenv("HUMANVLM_TOMBSTONES_KEY", "/run/secrets/key")
    assert key_path(tmp_path / "tombstones.csv") == Path("/run/secrets/key")
