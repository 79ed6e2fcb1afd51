"""``make audit``, offline: packages are pinned, hashed and of an allowed licence, model files and images are pinned.

It names each row that is not, and exits with 1. Known weaknesses are not looked up: that takes a network.
"""

import re
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from humanvlm.config.loading import Params, load_params
from humanvlm.config.profiles import profile_path
from humanvlm.errors import UserError
from humanvlm.supply.licences import is_allowed, licence_of, policy
from humanvlm.supply.lock import Pin, read_pins
from humanvlm.weights.catalog import NOT_STATED, ModelEntry, model_entries

HASHED = ("requirements.lock", "requirements-source.lock", "mlflow/requirements.lock")
UNHASHED = ("requirements-torch.txt",)  # indexes serve different files of it
COMPOSE = "mlflow/compose.yaml"
IMAGE = re.compile(r"^\s*(?:image:|FROM)\s+(\S+)")
DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
PINNED = re.compile(r"[^/@]+/[^/@]+@[0-9a-f]{40}")


def audit(root: Path) -> Iterator[str]:
    """What is wrong in a project's folder, a line each: where, what, the remedy. Raises UserError as ``read_pins``."""
    locked = [pin for name in HASHED for pin in read_pins(root / name)]
    free = [pin for name in UNHASHED for pin in read_pins(root / name)]
    yield from (f"{pin.where}: {pin.name}: no sha256; run `make lock`" for pin in locked if not pin.hashes)
    for pin in [*locked, *free]:
        if pin.version is None:
            yield f"{pin.where}: {pin.requirement}: not one version (==)"
    yield from packages([*locked, *free])
    yield from unlocked(root / "pyproject.toml", [*locked, *free])
    yield from weights(list(model_entries().values()))
    yield from models_of_profiles(profile_path("cpu").parent)
    yield from images(root / COMPOSE)


def packages(pins: Sequence[Pin]) -> Iterator[str]:
    """Packages whose licence is unknown or not allowed, each once."""
    for pin in {pin.name: pin for pin in reversed(pins)}.values():
        licence = licence_of(pin.name)
        if licence is None:
            yield f"{pin.where}: {pin.name}: no licence is known; read it and name it in humanvlm/supply/licences.yaml"
        elif not is_allowed(licence):
            yield f"{pin.where}: {pin.name}: {licence} is not allowed by humanvlm/supply/licences.yaml"


def unlocked(pyproject: Path, pins: Sequence[Pin]) -> Iterator[str]:
    """What a project asks for that no pin gives."""
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    versions = {pin.name: pin.version for pin in pins}
    for line in [*project["dependencies"], *project["optional-dependencies"]["dev"]]:
        wanted = Requirement(line)
        found = versions.get(canonicalize_name(wanted.name))
        if found is None or not wanted.specifier.contains(found, prereleases=True):
            yield f"{pyproject}: {line}: locked is {found or 'none'}; run `make lock`"


def weights(entries: Sequence[ModelEntry]) -> Iterator[str]:
    """Model files without a licence. That each has a source and a sha256, or a commit, holds since it was read."""
    for entry in entries:
        for what, licence in (("code", entry.licence.code), ("weights", entry.licence.weights)):
            if not licence.strip():
                yield f"models.yaml: {entry.name}: no licence of its {what}"
        if (entry.licence.weights == NOT_STATED) != (entry.name in policy().silent):
            yield f"models.yaml: {entry.name}: licences.yaml says otherwise, whether its publisher states a licence"


def models_of_profiles(profiles: Path) -> Iterator[str]:
    """Models that profiles name without a commit."""
    for path in sorted(profiles.glob("*.yaml")):
        params = load_params(path)
        sections = [getattr(params, name) for name in Params.model_fields if name != "profile"]
        for name in sorted({name for section in sections for name in section.models} - model_entries().keys()):
            if not PINNED.fullmatch(name):
                yield f"{path}: {name}: not pinned; name ORG/NAME@COMMIT, or an entry of models.yaml"


def images(compose: Path) -> Iterator[str]:
    """Images of containers without a digest."""
    for number, line in enumerate(compose.read_text(encoding="utf-8").splitlines(), 1):
        if (found := IMAGE.match(line)) and not DIGEST.search(found[1]):
            yield f"{compose}:{number}: {found[1]}: no digest; name IMAGE@sha256:…"


def main() -> None:
    """Print what is wrong; exit code 1 when anything is, 2 when a file cannot be read."""
    try:
        found = list(audit(Path.cwd()))
    except UserError as error:
        sys.stderr.write(f"humanvlm.supply.audit: {error}\n")
        sys.exit(2)
    sys.stdout.write("".join(f"{line}\n" for line in found))
    pinned = sum(len(read_pins(Path(name))) for name in (*HASHED, *UNHASHED))
    silent = f"{len(policy().silent)} of {len(model_entries())} model files without a stated licence"
    sys.stdout.write(f"audit: {len(found)} problems; {pinned} pins, {silent}\n")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
