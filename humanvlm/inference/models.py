"""A model under test by its name."""

from pathlib import Path

from humanvlm.config.benchmark_scores import BenchmarkScores
from humanvlm.errors import UserError
from humanvlm.inference.base import Model
from humanvlm.inference.endpoint import open_endpoint
from humanvlm.inference.local import Local
from humanvlm.weights.hub import snapshot


def open_model(config: BenchmarkScores, checkpoint: Path) -> Model:
    """The model that ``config.model`` names; ``checkpoint``, the folder of ours, is looked at only when it is that one.

    No weights are loaded yet. Raises UserError naming the key when there is no such model.
    """
    kind, _, name = config.model.partition(":")
    if config.model == "checkpoint":
        return Local(checkpoint, config.dtype, config.batch_size)
    if kind == "hub" and name:
        return Local(snapshot(name), config.dtype, config.batch_size, own=False)
    if config.model == "endpoint":
        return open_endpoint(config.endpoint)
    raise UserError(
        f"benchmark_scores.model: {config.model!r} is no model; known: checkpoint, hub:ORG/NAME[@REVISION], "
        "hub:FOLDER, endpoint"
    )
