"""What every section of the parameter file is: strict, frozen."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    @property
    def files(self) -> tuple[str, ...]:
        """Files and folders that the parameters name and the stage reads: a change of their content makes it stale."""
        return ()
