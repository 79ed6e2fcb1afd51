"""Requirement files: pins with their lines, and what is none."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from humanvlm.errors import UserError
from humanvlm.supply.lock import read_pins

SHA256 = st.text("0123456789abcdef", min_size=64, max_size=64)


def write(folder: Path, text: str) -> Path:
    (folder / "x.lock").write_text(text)
    return folder / "x.lock"


def test_pins_have_their_lines_versions_and_hashes(tmp_path: Path) -> None:
    text = f"""# made by a tool
--only-binary :all:

Ruamel.Yaml==0.18.1 \\
    --hash=sha256:{"a" * 64} \\
    --hash=sha256:{"b" * 64}
    # via dvc
pywin32==312 ; sys_platform == 'win32' \\
    --hash=sha256:{"c" * 64}
loose>=1  # any
"""
    first, second, third = read_pins(write(tmp_path, text))
    assert (first.name, first.version, first.hashes) == ("ruamel-yaml", "0.18.1", ["a" * 64, "b" * 64])
    assert (second.name, second.version, second.hashes) == ("pywin32", "312", ["c" * 64])
    assert (third.name, third.version, third.hashes) == ("loose", None, [])
    assert [pin.where.rpartition(":")[2] for pin in (first, second, third)] == ["4", "8", "10"]


@pytest.mark.parametrize("line", ["a>=1,==1", "a==1.*", "a===1", "a", "a @ https://files.example/a.whl", "a~=1.0"])
def test_what_may_be_several_files_is_no_version(tmp_path: Path, line: str) -> None:
    (pin,) = read_pins(write(tmp_path, line))
    assert pin.version is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a==1\n./folder/b.whl\n", r"x\.lock:2: not a requirement"),
        ("a==1 --hash=md5:00\n", r"x\.lock:1: 'md5:00' is no sha256"),
        ("a==1 --hash=sha256:short\n", "is no sha256"),
    ],
)
def test_what_cannot_be_read_names_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_pins(write(tmp_path, text))
    with pytest.raises(UserError, match=r"none\.lock: No such file"):
        read_pins(tmp_path / "none.lock")


@given(hashes=st.lists(SHA256, max_size=4), versions=st.lists(st.integers(0, 99), min_size=1, max_size=3))
def test_what_was_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, hashes: list[str], versions: list[int]
) -> None:
    version = ".".join(map(str, versions))
    text = " \\\n    ".join([f"a=={version}", *(f"--hash=sha256:{value}" for value in hashes)])
    (pin,) = read_pins(write(tmp_path_factory.mktemp("lock"), text))
    assert (pin.version, pin.hashes) == (version, hashes)
