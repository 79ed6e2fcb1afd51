"""The command: its options are the limits, and it stops as it should."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from humanvlm.cli import main
from humanvlm.serve import run as running_module
from humanvlm.serve.keys import VARIABLE
from humanvlm.serve.limits import Limits
from humanvlm.serve.run import listen

from .running import body, png


def test_every_limit_is_an_option_and_described(repo: Path) -> None:
    told = CliRunner().invoke(main, ["serve", "--help"]).output
    described = (repo / "docs/serving.md").read_text(encoding="utf-8")
    for limit in fields(Limits):
        option = f"--{limit.name.replace('_', '-')}"
        assert option in told
        assert f"`{option}`" in described


def test_limits_are_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []
    monkeypatch.setattr(running_module, "run", lambda *args, **more: given.append((args, more)))
    done = CliRunner().invoke(main, ["serve", "--slots", "3", "--body-s", "0.5", "--remote-pictures"])
    assert done.exit_code == 0, done.output
    ((models, host, port, keys, limits), more) = given[0]
    assert (models, host, port, keys.digests) == (("models:/humanvlm@champion",), "127.0.0.1", 8000, ())
    assert (limits, more) == (Limits(slots=3, body_s=0.5), {"remote_pictures": True})


def test_strangers_are_not_served_without_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    for host in ("0.0.0.0", "::", "192.0.2.1", ""):
        done = CliRunner().invoke(main, ["serve", "--host", host])
        assert (done.exit_code, "anybody could ask there; give --api-keys FILE" in done.output) == (2, True)


def test_a_port_that_is_taken_is_told(checkpoint: Path) -> None:
    with listen("127.0.0.1", 0) as taken:
        port = str(taken.getsockname()[1])
        done = CliRunner().invoke(main, ["serve", str(checkpoint), "--port", port])
    assert done.exit_code == 2
    assert f"127.0.0.1:{port}: Address already in use; choose another" in done.output


@contextmanager
def process(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command in a process of its own, and the address that it serves, once it is ready."""
    command = [sys.executable, "-m", "humanvlm.cli", "serve", *options, "--port", "0"]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env) as one:
        assert one.stderr is not None
        address = ""
        for line in one.stderr:
            if found := re.search(r"http://\S+/v1", line):
                address = found[0]
            if "ready" in line:
                break
        try:
            yield one, address
        finally:
            one.kill()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_curl_is_answered_and_a_signal_stops_the_server(checkpoint: Path, number: signal.Signals) -> None:
    with process(str(checkpoint)) as (one, address):
        asked = json.dumps(body("Hi", png(), model=checkpoint.name))
        command = ["curl", "-sS", f"{address}/chat/completions", "-H", "Content-Type: application/json", "-d", "@-"]
        said = subprocess.run(command, input=asked, capture_output=True, text=True, check=True).stdout
        assert json.loads(said)["usage"]["completion_tokens"] > 0
        one.send_signal(number)
        assert one.wait(60) == 0
        assert one.stderr is not None
        assert one.stderr.read().rstrip().endswith("stopped")


@pytest.mark.slow
def test_a_model_that_does_not_load_ends_the_server(checkpoint: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(checkpoint / "model", broken)
    (broken / "model.safetensors").write_bytes(b"")
    with process(str(broken)) as (one, _):
        assert one.wait(60) == 2
