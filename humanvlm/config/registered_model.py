"""Section ``registered_model``."""

from typing import Annotated

from pydantic import Field

from humanvlm.config.section import Names, Section


class RegisteredModel(Section):
    """Registration in MLflow and promotion."""

    name: Annotated[str, Field(description="the registered model's name in MLflow")] = "humanvlm"
    metric: Annotated[str, Field(description="TASK.METRIC of benchmark_scores that decides on promotion")] = (
        "captions.cider"
    )
    min_gain: Annotated[
        float,
        Field(
            description="the whole 95% interval of the challenger's gain over the champion must lie above this, in the "
            "metric's unit"
        ),
    ] = 0.0
    not_worse: Annotated[
        Names,
        Field(
            description="TASK.METRIC, higher being better, that no champion may lose in beyond noise, in all samples "
            "and in each slice of 30 pictures or more; empty: the metric that says most of every task"
        ),
    ] = []
    guards: Annotated[dict[str, float], Field(description="TASK.METRIC -> least acceptable value")] = {}
