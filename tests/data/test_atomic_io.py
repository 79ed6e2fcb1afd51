import ast
import errno
import json
import os
import signal
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pytest

from humanvlm.data import atomic_io
from humanvlm.data.atomic_io import atomic_file, atomic_folder, made_once, write_bytes, write_json, write_text
from humanvlm.data.shards import write_shard
from humanvlm.errors import UserError


def test_text_bytes_and_json(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "newer"
    write_text(folder / "text", "grüß\n")
    write_bytes(folder / "bytes", b"\0\xff")
    write_json(folder / "value.json", {"b": 1, "a": "ü"})
    assert (folder / "text").read_bytes() == "grüß\n".encode()
    assert (folder / "bytes").read_bytes() == b"\0\xff"
    assert (folder / "value.json").read_text(encoding="utf-8") == '{\n "b": 1,\n "a": "ü"\n}\n'
    assert sorted(path.name for path in folder.iterdir()) == ["bytes", "text", "value.json"]


def test_what_utf8_lacks_is_an_escape_that_json_reads_back(tmp_path: Path) -> None:
    write_json(tmp_path / "half.json", {"reply": "\ud83d"})
    assert json.loads((tmp_path / "half.json").read_text(encoding="utf-8")) == {"reply": "\ud83d"}


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "scores.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"a": float("nan")})
    with suppress(KeyboardInterrupt), atomic_file(path) as work:
        work.write_text("half")
        raise KeyboardInterrupt
    assert json.loads(path.read_text()) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("write", [write_json, write_text])
def test_an_impossible_write_is_one_line(tmp_path: Path, write: object) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"below.json: cannot be written \(File exists\)") as error:
        write(tmp_path / "file" / "below.json", "text")  # type: ignore[operator]
    assert "\n" not in str(error.value)


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.json"
    write_json(path, 1)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=r"report.json: No space left on device; free space"):
        write_json(path, 2)
    with pytest.raises(UserError, match=r"shard-00000.parquet: No space left on device; free space"):
        write_shard(tmp_path / "shard-00000.parquet", [{"id": "a"}], pa.schema([("id", pa.string())]))
    for whole in (atomic_folder, made_once):
        with pytest.raises(UserError, match=r"model.*: No space left on device; free space"), whole(tmp_path / "model"):
            pass
    assert path.read_text() == "1\n"
    assert list(tmp_path.iterdir()) == [path]


def test_permissions_are_those_of_any_new_file(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "file", "text")
        with atomic_folder(tmp_path / "folder"), made_once(tmp_path / "cache"):
            pass
    finally:
        os.umask(before)
    modes = {path.name: oct(stat.S_IMODE(path.stat().st_mode)) for path in tmp_path.iterdir()}
    assert modes == {"file": "0o640", "folder": "0o750", "cache": "0o750"}


@pytest.mark.parametrize(("umask", "mode"), [(0o022, "0o644"), (0o027, "0o640"), (0o077, "0o600")])
def test_a_library_that_writes_for_the_owner_alone_changes_no_permissions(
    tmp_path: Path, umask: int, mode: str
) -> None:
    def private(path: Path) -> None:  # as safetensors writes: a private file, renamed
        path.unlink(missing_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))

    before = os.umask(umask)
    try:
        with atomic_file(tmp_path / "file") as work:
            private(work)
        for whole in (atomic_folder, made_once):
            with whole(tmp_path / whole.__name__) as folder:
                (folder / "model").mkdir()
                private(folder / "model" / "weights")
    finally:
        os.umask(before)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 3
    assert {oct(stat.S_IMODE(path.stat().st_mode)) for path in files} == {mode}


def test_data_is_durable_before_the_name_and_the_name_before_the_return(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    real_fsync, real_replace = os.fsync, Path.replace

    def fsync(descriptor: int) -> None:
        events.append(f"fsync {Path(f'/proc/self/fd/{descriptor}').readlink().name}")
        real_fsync(descriptor)

    def replace(self: Path, target: Path) -> Path:
        events.append(f"rename {self.name}")
        return real_replace(self, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    write_text(tmp_path / "new" / "file", "text")
    assert events == [f"fsync {tmp_path.name}", "fsync .file.work", "rename .file.work", "fsync new"]
    events.clear()
    write_text(tmp_path / "new" / "file", "text", durable=False)
    assert events == ["rename .file.work"]


def dying(body: str) -> None:
    script = f"import os, signal\nfrom pathlib import Path\nfrom humanvlm.data.atomic_io import *\n{body}"
    died = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert died.returncode == -signal.SIGKILL, died.stderr


def test_a_kill_leaves_the_old_file_and_the_next_writer_clears_up(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_text(path, "old")
    dying(f"with atomic_file(Path({str(path)!r})) as work:\n work.write_text('hal')\n os.kill(os.getpid(), 9)")
    assert path.read_text() == "old"
    write_text(path, "new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("call", range(1, 8))
def test_a_folder_is_old_or_new_or_absent_wherever_the_kill_falls(tmp_path: Path, call: int) -> None:
    folder = tmp_path / "model"
    with atomic_folder(folder) as work:
        write_text(work / "old" / "part", "old")
    dying(
        f"""
calls = 0
def counted(real):
    def call(*arguments, **options):
        global calls
        calls += 1
        if calls == {call}:
            os.kill(os.getpid(), 9)
        return real(*arguments, **options)
    return call
folder = Path({str(folder)!r})
os.fsync, Path.rename = counted(os.fsync), counted(Path.rename)
with atomic_folder(folder) as work:
    (work / "part").write_text("new")
for _ in range({call}):
    os.fsync(0)
os.kill(os.getpid(), 9)
"""
    )
    found = (
        {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} if folder.exists() else set()
    )
    assert found in ({"old/part"}, {"part"}, set())
    with atomic_folder(folder) as work:
        write_text(work / "newest", "")
    assert [path.name for path in folder.iterdir()] == ["newest"]
    assert list(tmp_path.iterdir()) == [folder]


def test_a_folder_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with atomic_folder(folder) as work:
        write_text(work / "kept", "")
    with suppress(KeyboardInterrupt), atomic_folder(folder) as work:
        write_text(work / "half", "")
        raise KeyboardInterrupt
    assert [path.name for path in folder.iterdir()] == ["kept"]
    assert list(tmp_path.iterdir()) == [folder]


def test_of_two_that_make_the_same_the_first_stands(tmp_path: Path) -> None:
    folder = tmp_path / "caches" / "model"
    with made_once(folder) as late:
        write_text(late / "part", "late")
        with made_once(folder) as early:
            write_text(early / "part", "early")
    assert (folder / "part").read_text() == "early"
    assert list(folder.parent.iterdir()) == [folder]


def test_a_cache_that_cannot_be_put_in_place_says_so(tmp_path: Path) -> None:
    (tmp_path / "model").write_text("a file")
    with pytest.raises(OSError, match="model"), made_once(tmp_path / "model") as work:
        write_text(work / "part", "")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_moved_file_takes_the_place_of_another_also_across_disks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def moved() -> list[tuple[str, str]]:
        source, target = tmp_path / "new", tmp_path / "place"
        source.write_text("new")
        target.write_text("old")
        atomic_io.move_file(source, target)
        return [(path.name, path.read_text()) for path in tmp_path.iterdir()]

    assert moved() == [("place", "new")]
    real = Path.replace

    def elsewhere(self: Path, target: Path) -> Path:
        if self.name == "new":
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return real(self, target)

    monkeypatch.setattr(Path, "replace", elsewhere)
    assert moved() == [("place", "new")]


def test_nothing_else_renames_or_makes_temporary_files() -> None:
    """A rename or a temporary file elsewhere would be a second way to make a file whole."""
    root = Path(atomic_io.__file__).parents[1]
    ours = {"mkstemp", "mkdtemp", "NamedTemporaryFile", "fsync", "rename", "renames", "replace"}
    found = set()
    for path in sorted(root.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ours):
                continue
            if node.func.attr != "replace" or (len(node.args) == 1 and not node.keywords):  # str.replace has two
                found.add(f"{path.relative_to(root).as_posix()}: {node.func.attr}")
    assert {name for name in found if not name.startswith("data/atomic_io.py")} == {
        "data/seals.py: fsync",  # a key: for its owner alone, and never written over
        "inference/cache.py: fsync",  # appends to one file that processes share
        "registry/decisions.py: fsync",  # the same
    }
