"""Section ``registered_model``."""

from pydantic import Field

from humanvlm.config.section import Section


class RegisteredModel(Section):
    """Registration in MLflow and promotion."""

    name: str = "humanvlm"
    metric: str = "captions.cider"
    min_gain: float = Field(0.0, description="the challenger must beat the champion by more than this")
    guards: dict[str, float] = Field(default_factory=dict, description="metric -> least acceptable value")
