"""Section ``registered_model``."""

from typing import Annotated

from pydantic import Field

from humanvlm.config.section import Section


class RegisteredModel(Section):
    """Registration in MLflow and promotion."""

    name: Annotated[str, Field(description="the registered model's name in MLflow")] = "humanvlm"
    metric: Annotated[str, Field(description="TASK.METRIC of benchmark_scores that decides on promotion")] = (
        "captions.cider"
    )
    min_gain: Annotated[
        float, Field(description="the challenger must beat the champion by more than this, in the metric's unit")
    ] = 0.0
    guards: Annotated[dict[str, float], Field(description="TASK.METRIC -> least acceptable value")] = {}
