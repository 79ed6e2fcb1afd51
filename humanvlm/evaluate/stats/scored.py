"""What every scorer returns: values per sample, and corpus metrics as functions of a sum.

Each sample contributes a vector, and a corpus is scored by the sum of its vectors. So a bootstrap resample is one
matrix product, and corpus metrics such as BLEU get honest intervals.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Scored:
    """The scores of one task.

    ids, images: one a sample; samples with the same image are resampled together. per_sample: named columns, one value
    a sample. contributions: (samples, k). metrics: summed contributions (..., k) to named values (...). counts: what a
    reader must know beside the scores, such as replies that could not be parsed, or predictions that are missing. idf:
    digest of the corpus that CIDEr's document frequencies are from; '' when they are those of the references.
    """

    task: str
    ids: Sequence[str]
    images: Sequence[str]
    per_sample: Mapping[str, Sequence[Any]]
    contributions: Array
    metrics: Callable[[Array], dict[str, Array]]
    counts: Mapping[str, int] = field(default_factory=dict)
    idf: str = ""

    @property
    def scores(self) -> dict[str, float]:
        """Every metric of the whole corpus."""
        return {name: float(value) for name, value in self.metrics(self.contributions.sum(axis=0)).items()}
