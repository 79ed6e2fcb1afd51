"""The one way a file or a folder becomes whole: written beside its place, made durable, renamed into it.

Standard library only. Killed at any point, or after a power cut, a reader finds what was there before or all that was
written. The work file of ``NAME`` is ``.NAME.work``: the next writer of the same path takes it over, so kills leave no
litter that grows. Of one path there is one writer at a time (a stage holds the lock of its artifact); what several
processes may make at once is a folder of ``made_once``.
"""

import errno
import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from humanvlm.errors import UserError

PRIVATE = 0o600


@contextmanager
def atomic_file(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """A path to write to, which becomes ``path`` when the block ends well; otherwise nothing is left of it.

    Folders above are made. durable: on return the file survives a power cut. Raises UserError when the disk is full,
    and other OSErrors as the system says them.
    """
    work = path.with_name(f".{path.name}.work")
    try:
        with _room_for(path):
            make_folder(path.parent)
            work.unlink(missing_ok=True)
            work.touch()
            readable = work.stat().st_mode
            yield work
            _let_read(work, readable)
            if durable:
                _sync(work)
        work.replace(path)
    except BaseException:
        with suppress(OSError):  # NotADirectoryError, when there is no folder to write in
            work.unlink()
        raise
    if durable:
        _sync(path.parent)


def write_bytes(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write a file whole. Raises UserError naming it when that is not possible."""
    try:
        with atomic_file(path, durable=durable) as work:
            work.write_bytes(data)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({error.strerror}); make its folder writable, or name another"
        ) from error


def write_text(path: Path, text: str, *, durable: bool = True) -> None:
    """Write UTF-8 as ``write_bytes`` writes; half a surrogate pair, which UTF-8 lacks, escaped (``\\ud800``)."""
    write_bytes(path, text.encode("utf-8", "backslashreplace"), durable=durable)


def write_json(path: Path, value: Any, *, durable: bool = True) -> None:
    """Write JSON as ``write_text`` writes; keys keep their order. Raises ValueError when a number is not finite."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n", durable=durable)


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """An empty folder to fill, which takes the place of ``folder`` when the block ends well.

    A folder cannot be renamed over a full one: the former steps aside first, so a kill between two renames leaves
    neither, never a mixture. Raises as ``atomic_file`` does.
    """
    work, former = (folder.with_name(f".{folder.name}.{kind}") for kind in ("work", "former"))
    for leftover in (work, former):
        shutil.rmtree(leftover, ignore_errors=True)
    with _filled(work):
        yield work
    if folder.exists():
        folder.rename(former)
    work.rename(folder)
    _sync(folder.parent)
    shutil.rmtree(former, ignore_errors=True)


@contextmanager
def made_once(folder: Path) -> Iterator[Path]:
    """An empty folder to fill, which becomes ``folder`` unless another process, making the same, was first.

    For caches: the content follows from the name, so it does not matter whose stands. Raises as ``atomic_file`` does.
    """
    work = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.work")
    with _filled(work):
        yield work
    try:
        work.rename(folder)
    except OSError:
        shutil.rmtree(work, ignore_errors=True)
        if not folder.is_dir():
            raise
    _sync(folder.parent)


def move_file(source: Path, target: Path) -> None:
    """Put a whole file into the place of another, durably; a copy of it when that is on another disk."""
    try:
        source.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        with atomic_file(target) as work:
            shutil.copyfile(source, work)
        source.unlink()
    else:
        _sync(target.parent)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, each durably. Raises OSError."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync(folder.parent)


def sync_tree(folder: Path) -> None:
    """Make all files and folders from ``folder`` down durable."""
    for path in [*folder.rglob("*"), folder]:
        _sync(path)


@contextmanager
def locked(path: Path) -> Iterator[int]:
    """A file to read and write, made when absent, locked against other processes. Its folder is there."""
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file
    finally:
        os.close(file)  # and with it the lock


@contextmanager
def _filled(work: Path) -> Iterator[None]:
    """A new folder, durable after the block, or gone."""
    try:
        with _room_for(work):
            make_folder(work)
            (probe := work / ".probe").touch()
            readable = probe.stat().st_mode
            probe.unlink()
            yield
            for path in work.rglob("*"):
                _let_read(path, readable)
            sync_tree(work)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise


def _let_read(path: Path, mode: int) -> None:
    """Give a file the mode of any new file here, where a library (safetensors) wrote it for its owner alone."""
    if path.is_file() and not path.is_symlink() and path.stat().st_mode & 0o777 == PRIVATE:
        path.chmod(mode & 0o777)


@contextmanager
def _room_for(path: Path) -> Iterator[None]:
    """Raises UserError when the disk, or a quota, is full; whatever is written, the remedy is the same."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise UserError(f"{path}: {os.strerror(error.errno)}; free space and run the same command again") from None


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
