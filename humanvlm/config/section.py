"""What every section of the parameter file is: strict, frozen, each key described, its default a literal.

A key is written ``key: Annotated[type, Field(description=...)] = default``, the default a literal, of several values a
list: so DVC reads it out of the file (``params:`` in dvc.yaml), and a stage is stale when a default changes, not when a
description does (humanvlm.config.defaults).
"""

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Names = Annotated[Sequence[str], AfterValidator(tuple)]
Pair = Annotated[Sequence[float], Field(min_length=2, max_length=2), AfterValidator(tuple)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), validate_default=True)

    @property
    def files(self) -> tuple[str, ...]:
        """Files and folders that the parameters name and the stage reads: a change of their content makes it stale."""
        return ()

    @property
    def models(self) -> tuple[str, ...]:
        """Models the stage loads: entries of models.yaml, folders, hub ids. Other content makes it stale."""
        return ()

    @property
    def own_files(self) -> Mapping[str, tuple[str, str]]:
        """Paths and sha256 of files that take the places of entries of models.yaml, by their names."""
        return {}

    @property
    def unread(self) -> tuple[str, ...]:
        """Inputs that are not read with these values: they need not be there, and a change does not make it stale."""
        return ()
