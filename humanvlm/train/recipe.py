"""What a stage of training is made of."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from humanvlm.pipeline.contract import StageRun
from humanvlm.train.samples import Samples


@dataclass(frozen=True)
class Source:
    """Where samples come from and which share of the run they are."""

    name: str
    share: float
    samples: Samples


@dataclass(frozen=True)
class Recipe:
    """What differs between the stages: the model with its trainable parts, the data, what is saved."""

    model: Callable[[StageRun], tuple[Any, Any]]
    sources: Callable[[StageRun], Sequence[Source]]
    save: Callable[[StageRun, Any, Any], None]
