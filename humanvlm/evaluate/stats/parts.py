"""The same metrics over parts of a task: answer types, splits, categories. Named ``metric[key=value]``."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from humanvlm.evaluate.stats.scored import Array

Metrics = Callable[[Array], dict[str, Array]]


def with_parts(vectors: Array, parts: Mapping[str, Sequence[str]], metrics: Metrics) -> tuple[Array, Metrics]:
    """Contributions and metrics of the whole and of each part.

    vectors: (samples, k), which ``metrics`` scores by their sum. parts: key to one label a sample; a sample with an
    empty label is in no part, and a key with a single label everywhere adds nothing.
    """
    width = vectors.shape[1]
    names, blocks = [], [vectors]
    for key, labels in parts.items():
        found = sorted(set(labels) - {""})
        if len(set(labels)) < 2:
            continue
        given = np.array(labels, dtype=object)
        for label in found:
            names.append(f"{key}={label}")
            blocks.append(vectors * (given == label)[:, None])

    def all_metrics(sums: Array) -> dict[str, Array]:
        named = metrics(sums[..., :width])
        for place, name in enumerate(names, 1):
            block = metrics(sums[..., place * width : (place + 1) * width])
            named |= {f"{metric}[{name}]": value for metric, value in block.items()}
        return named

    return np.concatenate(blocks, axis=1), all_metrics


def ratio(part: Array, whole: Array) -> Array:
    """Element by element; NaN where the whole is 0, as in a resample without any such sample."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.true_divide(part, whole), dtype=np.float64)
