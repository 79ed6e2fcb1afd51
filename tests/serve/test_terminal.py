"""A conversation in the terminal, with a model here and behind a server."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from humanvlm.cli import main
from humanvlm.serve.keys import read_keys

from .running import Running, png
from .scripted import Script, scripted

BOXES = ("The man", ": [10, 20, 60, 80]")
DATA = {"image_size": [60, 40], "boxes": [{"label": "The man", "xyxy": [6.0, 8.0, 36.0, 32.0]}], "keypoints": []}


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    (tmp_path / "noise.png").write_bytes(png())
    return tmp_path / "noise.png"


def said(*pieces: str) -> Script:
    made = Script(lambda _: pieces)
    made.go.set()
    return made


def chat(*words: object, typed: str | None = None) -> Result:
    return CliRunner().invoke(main, ["chat", *map(str, words)], input=typed)


def there(server: Running) -> tuple[str, str]:
    return "--endpoint", server.url


def test_an_answer_and_its_boxes_as_data(picture: Path) -> None:
    with scripted({"humanvlm": said(*BOXES)}) as server:
        found = chat(picture, *there(server), "--ask", "Where is the man?")
    assert found.exit_code == 0, found.output
    words, data = found.stdout.splitlines()
    assert words == "The man: [10, 20, 60, 80]"
    assert json.loads(data) == DATA


def test_several_questions_are_one_conversation_until_a_new_one(picture: Path) -> None:
    script = said("Fine.")
    with scripted({"humanvlm": script}) as server:
        found = chat(picture, *there(server), typed="One?\n\nTwo?\n/new\nThree?\n")
    assert (found.exit_code, found.stdout) == (0, "Fine.\n" * 3)
    turns = [[(turn.role, turn.text, turn.pictures) for turn in asked] for asked, _ in script.asked]
    assert turns[1] == [("user", "One?", 1), ("assistant", "Fine.", 0), ("user", "Two?", 0)]
    assert turns[2] == [("user", "Three?", 1)]


def test_a_model_here_says_what_it_says_behind_a_server(picture: Path, folder: Path, tiny_server: Running) -> None:
    asked = ("--ask", "Describe the picture.", "--max-tokens", "12", "--ask", "Why?")
    here, behind = chat(picture, "--model", folder, *asked), chat(picture, *there(tiny_server), *asked)
    assert here.exit_code == behind.exit_code == 0, here.output + behind.output
    assert here.stdout == behind.stdout
    assert len(here.stdout) > 10


def test_what_a_terminal_would_obey_is_written_out(picture: Path) -> None:
    with scripted({"humanvlm": said("\x1b]0;title\x07red\n", "line")}) as server:
        found = chat(picture, *there(server), "--ask", "Hi")
    assert found.stdout == "\\x1b]0;title\\x07red\nline\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("absent.png",), "absent.png: No such file or directory; name a picture"),
        ((__file__,), "name a JPEG, PNG, WebP or GIF file"),
        (("PICTURE", "--endpoint", "nowhere"), "--endpoint 'nowhere': no http(s)://HOST[:PORT]/v1"),
        (("PICTURE", "--endpoint", "http://127.0.0.1:1/v1"), "Connection refused; see whether the server runs there"),
        (("PICTURE", "--model", "absent"), "absent: no checkpoint (config.json) there"),
    ],
)
def test_faults_are_one_line(picture: Path, words: tuple[str, ...], told: str) -> None:
    found = chat(*(picture if word == "PICTURE" else word for word in words), "--ask", "Hi")
    assert found.exit_code == 2
    assert found.output.count("\n") == 1
    assert told in found.output


def test_a_key_is_named_and_sent(picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "keys").write_text("k" * 16)
    with scripted({"humanvlm": said("Fine.")}, keys=read_keys(tmp_path / "keys")) as server:
        without = chat(picture, *there(server), "--ask", "Hi")
        assert without.exit_code == 2
        assert "HTTP 401: name the environment variable of its key with --key-variable; it says" in without.output
        monkeypatch.setenv("SERVER_KEY", "k" * 16)
        found = chat(picture, *there(server), "--key-variable", "SERVER_KEY", "--ask", "Hi")
    assert (found.exit_code, found.stdout) == (0, "Fine.\n")


def test_a_name_that_the_server_does_not_have(picture: Path) -> None:
    with scripted({"humanvlm": said("Fine.")}) as server:
        found = chat(picture, *there(server), "--model", "other", "--ask", "Hi")
    assert found.exit_code == 2
    assert "HTTP 404: no such model 'other'; known: humanvlm; check --endpoint and --model" in found.output


class Typing:
    """The command at a keyboard. text: what the terminal showed."""

    def __init__(self, *words: object) -> None:
        self.to, ours = pty.openpty()
        command = [sys.executable, "-m", "humanvlm.cli", "chat", *map(str, words)]
        # A runner in the background ignores interrupts, which a child would inherit.
        heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
        self.process = subprocess.Popen(
            command, stdin=ours, stdout=ours, stderr=ours, start_new_session=True, preexec_fn=heard
        )
        os.close(ours)
        os.set_blocking(self.to, False)
        self.text = ""

    def wait(self, words: str) -> None:
        end = time.monotonic() + 60
        while words not in self.text:
            assert time.monotonic() < end, self.text
            try:
                self.text += os.read(self.to, 1 << 16).decode()
            except BlockingIOError:
                time.sleep(0.02)
        self.text = self.text.partition(words)[2]

    def type(self, text: str) -> None:
        os.write(self.to, text.encode())


@pytest.fixture
def typing(picture: Path) -> Iterator[tuple[Typing, Script]]:
    script = Script(lambda question: ("Long ", question))
    with scripted({"humanvlm": script}) as server:
        found = Typing(picture, *there(server))
        yield found, script
        if found.process.poll() is None:
            found.process.kill()
            found.process.wait()
        os.close(found.to)


def test_ctrl_c_stops_an_answer_and_ctrl_d_ends(typing: tuple[Typing, Script]) -> None:
    terminal, script = typing
    terminal.wait("> ")
    terminal.type("One?\n")
    terminal.wait("Long ")
    os.killpg(terminal.process.pid, signal.SIGINT)
    terminal.wait("(stopped)")
    script.go.set()
    terminal.type("Two?\n")
    terminal.wait("Long Two?")
    terminal.wait("> ")
    terminal.type("\x04")
    assert terminal.process.wait(30) == 0
    assert [turn.text for turn in script.asked[-1][0]] == ["Two?"]


def test_ctrl_c_at_the_prompt_ends(typing: tuple[Typing, Script]) -> None:
    terminal, _ = typing
    terminal.wait("> ")
    os.killpg(terminal.process.pid, signal.SIGINT)
    assert terminal.process.wait(30) == 0
