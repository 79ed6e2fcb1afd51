"""API keys: who has one is answered, and nobody learns one."""

import logging
from pathlib import Path

import pytest

from humanvlm.errors import UserError
from humanvlm.serve.keys import VARIABLE, Keys, read_keys
from humanvlm.serve.refusals import Refused

from .running import body, running

KEY, OTHER = "sk-0123456789abcdef", "another-key-of-length"


def keys_of(tmp_path: Path, text: str) -> Keys:
    file = tmp_path / "keys"
    file.write_text(text)
    return read_keys(file)


def test_keys_are_read_from_file_and_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, f"{OTHER}, ")
    found = keys_of(tmp_path, f"# of the page\n\n{KEY}\n")
    assert {found.check(f"Bearer {KEY}"), found.check(f"bearer  {OTHER}")} == {"key 0", "key 1"}
    assert KEY not in repr(found)
    for given in ("", KEY, f"Basic {KEY}", "Bearer ", f"Bearer {KEY[:-1]}", "Bearer \udc80"):
        with pytest.raises(Refused) as refusal:
            found.check(given)
        assert refusal.value.status == 401
        assert KEY not in refusal.value.message


@pytest.mark.parametrize("text", ["short", "sixteen letters with spaces", "ünprintable-in-ascii", "", "# none"])
def test_what_is_no_key_is_named_by_its_place(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError, match="keys: ") as error:
        keys_of(tmp_path, text)
    assert not text or text not in str(error.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="absent: No such file"):
        read_keys(tmp_path / "absent")


def test_without_keys_everybody_may_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert read_keys(None).check("") == ""


def test_a_server_with_keys_answers_who_has_one(folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with running(folder, keys=keys_of(tmp_path, KEY)) as server:
        for path, method in (("/v1/chat/completions", "POST"), ("/v1/models", "GET"), ("/metrics", "GET")):
            content = body(max_tokens=1) if method == "POST" else None
            status, told, headers = server.ask(content, None, method, path)
            assert (status, told["error"]["code"]) == (401, "invalid_api_key")
            assert headers["www-authenticate"] == "Bearer"
            assert server.ask(content, {"Authorization": f"Bearer {OTHER}"}, method, path)[0] == 401
            assert server.ask(content, {"Authorization": f"Bearer {KEY}"}, method, path)[0] == 200
        for path in ("/health", "/ready"):
            assert server.ask(None, {"Host": "any.example"}, "GET", path)[0] == 200
    assert KEY not in caplog.text
    assert OTHER not in caplog.text
