"""The command line: fast help, one-line errors with exit code 2, imports kept out of the way."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from humanvlm.cli import main
from humanvlm.config.profiles import profile_path
from humanvlm.errors import UserError
from humanvlm.pipeline import runner
from humanvlm.pipeline.stages import STAGES


def test_every_stage_has_a_command() -> None:
    assert {name: main.commands[name].help for name in STAGES} == {name: s.help for name, s in STAGES.items()}


def test_help_imports_nothing_heavy() -> None:
    heavy = ("torch", "pydantic", "pyarrow", "cv2", "mlflow", "numpy", "yaml")
    code = f"import sys, humanvlm.cli; print([name for name in {heavy} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_user_errors_are_one_line_and_exit_2(tmp_path: Path) -> None:
    params = tmp_path / "params.yaml"
    params.write_text(profile_path("cpu").read_text().replace("raw_scrape:", "raw_scrape:\n  concurency: 3"))
    result = CliRunner().invoke(main, ["raw_scrape", "--params", str(params), "--out", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert result.stderr.strip().splitlines()[-1] == (
        f"humanvlm: {params}: unknown key 'raw_scrape.concurency'; did you mean 'concurrency'?"
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            OSError(errno.ENOSPC, "x", "/data/a"),
            "/data/a: No space left on device; free space and run the same command",
        ),
        (OSError(errno.ENOSPC, "x"), "No space left on device; free space and run the same command again"),
        (OSError(errno.EROFS, "x", "/data/a"), "/data/a: Read-only file system; make it accessible, or name another"),
        (PermissionError(errno.EACCES, "x", "/data/a"), "/data/a: Permission denied; make it accessible"),
    ],
)
def test_a_full_disk_and_a_closed_folder_are_one_line(
    error: OSError, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*arguments: object) -> None:
        raise error

    monkeypatch.setattr(runner, "run_stage", failing)
    result = CliRunner().invoke(main, ["human_scenes"])
    assert result.exit_code == 2
    assert result.stderr.startswith(f"humanvlm: {line}")
    assert result.stderr.count("\n") == 1
    monkeypatch.setattr(error, "errno", errno.EISDIR)  # a bug, which keeps its traceback
    assert CliRunner().invoke(main, ["human_scenes"]).exception is error


def test_unknown_input_is_named(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["human_scenes", "--in", "scenes=x", "--params", str(profile_path("cpu"))])
    assert result.exit_code == 2
    assert "has no input 'scenes'; it reads raw_scrape" in result.stderr


def test_an_error_shows_no_secret_and_nothing_that_a_terminal_obeys(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*arguments: object) -> None:
        raise UserError("http://me:word@h/x?sig=abc: said \x1b[2J\nhumanvlm: all is well")

    monkeypatch.setattr(runner, "run_stage", failing)
    result = CliRunner().invoke(main, ["human_scenes"])
    assert result.stderr == "humanvlm: http://***@h/x?sig=***: said \\x1b[2J\\nhumanvlm: all is well\n"
