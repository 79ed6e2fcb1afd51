"""A model by its name."""

from pathlib import Path

from humanvlm.config.endpoint import Endpoint
from humanvlm.errors import UserError
from humanvlm.inference.base import Model
from humanvlm.inference.endpoint import open_endpoint
from humanvlm.inference.local import Local
from humanvlm.weights.hub import snapshot


def open_model(
    name: str,
    endpoint: Endpoint,
    section: str,
    *,
    checkpoint: Path | None = None,
    dtype: str = "float32",
    batch_size: int = 8,
    processes: int = 1,
) -> Model:
    """The model that ``section.model`` names; ``checkpoint``, the folder that the bare name stands for, is looked at
    only when it is that one.

    No weights are loaded yet. Raises UserError naming the key when there is no such model.
    """
    kind, _, place = name.partition(":")
    if kind == "checkpoint" and place:
        return Local(Path(place), dtype, batch_size, processes=processes)
    if name == "checkpoint" and checkpoint:
        return Local(checkpoint, dtype, batch_size, processes=processes)
    if kind == "hub" and place:
        return Local(snapshot(place), dtype, batch_size, own=False, processes=processes)
    if name == "endpoint":
        return open_endpoint(endpoint, section)
    known = [*(["checkpoint"] if checkpoint else []), "checkpoint:FOLDER", "hub:ORG/NAME[@REVISION]", "hub:FOLDER"]
    raise UserError(f"{section}.model: {name!r} is no model; known: {', '.join([*known, 'endpoint'])}")
