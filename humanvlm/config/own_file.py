"""A file of the user's own that takes the place of a pretrained one."""

from typing import Annotated

from pydantic import Field

from humanvlm.config.section import Section


class OwnFile(Section):
    """Its format, input and outputs are those of the file whose place it takes: see `humanvlm/weights/models.yaml`."""

    file: Annotated[str, Field(min_length=1, description="its path")]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$", description="what it must be")]
