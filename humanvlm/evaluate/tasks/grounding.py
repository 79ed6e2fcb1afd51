"""Referring expressions: intersection over union, and accuracy at a threshold.

The standard figure counts a box as right when its intersection over union with the truth is at least 0.5, on boxes in
pixels, as they are (``pycocotools.mask.iou``). ``acc50_authors`` is the figure of the HumanVLM authors' script.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from humanvlm.evaluate.stats.parts import ratio, with_parts
from humanvlm.evaluate.stats.scored import Array, Scored
from humanvlm.evaluate.tasks.boxes import (
    REASONS,
    SCALE,
    Box,
    Found,
    Reading,
    Space,
    choose_space,
    find_numbers,
    read_box,
)

THRESHOLDS = (0.5, 0.75)


@dataclass(frozen=True)
class Expression:
    """What to find, and where it is: box in pixels (xyxy) of a width × height picture."""

    id: str
    image: str
    text: str
    box: Box
    width: float
    height: float
    part: str = ""


def score_grounding(
    expressions: Sequence[Expression],
    replies: Sequence[str | Sequence[float] | None],
    *,
    space: Space | Literal["auto"] = "auto",
    sides: bool = False,
) -> Scored:
    """Acc@0.5, Acc@0.75 and mean IoU in 0..1, over all expressions; a reply without a usable box scores 0.

    replies: text, or four numbers; None is missing. space: of the numbers; "auto" is ``boxes.choose_space``. sides: the
    numbers are x, y, width, height. counts: ``unparseable`` and each of its reasons, ``missing``, ``ambiguous_space``
    (only with "auto"), ``overlapping_edge`` (boxes that leave the picture, scored as they are).
    """
    found = [_found(reply) for reply in replies]
    sizes = [(expression.width, expression.height) for expression in expressions]
    chosen, ambiguous = choose_space(found, sizes, sides=sides) if space == "auto" else (space, 0)
    readings = [
        Reading(None, "missing")
        if reply is None
        else read_box(one, *size, (one and space == "auto" and one.hint) or chosen, sides=sides)
        for reply, one, size in zip(replies, found, sizes, strict=True)
    ]
    values = [
        (iou(one.box, expression.box), iou_authors(one.box, expression.box, expression.width, expression.height))
        if one.box
        else (0.0, 0.0)
        for one, expression in zip(readings, expressions, strict=True)
    ]
    ious, authors = np.array(values, dtype=np.float64).reshape(-1, 2).T
    none = np.array([one.box is None for one in readings])
    right = [ious >= threshold for threshold in THRESHOLDS]
    vectors = np.column_stack([ious, *right, authors >= 0.5, none, np.ones(len(ious))])
    contributions, metrics = with_parts(vectors, {"split": [one.part for one in expressions]}, summed_metrics)
    reasons = Counter(one.reason for one in readings)
    counts = {
        "missing": reasons.pop("missing", 0),
        "unparseable": sum(reasons[reason] for reason in REASONS),
        **{reason: reasons[reason] for reason in REASONS},
        "ambiguous_space": ambiguous,
        "overlapping_edge": sum(_leaves(one.box, *size) for one, size in zip(readings, sizes, strict=True)),
        f"space_{chosen}": sum(one is not None for one in found),
    }
    columns = {
        "expression": [one.text for one in expressions],
        "reply": [reply if reply is None or isinstance(reply, str) else list(reply) for reply in replies],
        "box": [list(one.box) if one.box else None for one in readings],
        "truth": [list(one.box) for one in expressions],
        "iou": ious.tolist(),
        "acc50": right[0].astype(float).tolist(),
        "acc75": right[1].astype(float).tolist(),
        "reason": [one.reason or None for one in readings],
    }
    return Scored(
        "grounding",
        [one.id for one in expressions],
        [one.image for one in expressions],
        columns,
        contributions,
        metrics,
        counts,
    )


def parse_box(text: str, width: float, height: float, scale: float = 100.0) -> Box | None:
    """The first box in a reply, in 0..scale of the picture, as xyxy pixels; None when it has no usable one."""
    space = next(space for space, known in SCALE.items() if known == scale)
    return read_box(find_numbers(text), width, height, space).box


def iou(first: Sequence[float], second: Sequence[float]) -> float:
    """Intersection over union of two xyxy boxes in the same unit, in 0..1."""
    return _iou(first, second, 0.0)


def iou_authors(first: Box, second: Sequence[float], width: float, height: float) -> float:
    """The figure of the HumanVLM authors' script: whole hundredths, and sides counted one longer. Inflates accuracy."""

    def floored(box: Sequence[float]) -> list[float]:
        return [int(100 * value / size) for value, size in zip(box, (width, height, width, height), strict=True)]

    return _iou(floored(first), floored(second), 1.0)


def _found(reply: str | Sequence[float] | None) -> Found | None:
    if reply is None or isinstance(reply, str):
        return find_numbers(reply) if reply else None
    x1, y1, x2, y2 = reply
    return Found((x1, y1, x2, y2))


def _leaves(box: Box | None, width: float, height: float) -> bool:
    return box is not None and (box[0] < 0 or box[1] < 0 or box[2] > width or box[3] > height)


def summed_metrics(sums: Array) -> dict[str, Array]:
    """Summed [iou, right at .5, at .75, by the authors, without a box, 1] to the metrics."""
    names = ("mean_iou", "acc50", "acc75", "acc50_authors", "unparseable")
    return {name: ratio(sums[..., place], sums[..., 5]) for place, name in enumerate(names)}


def _iou(first: Sequence[float], second: Sequence[float], plus: float) -> float:
    across = min(first[2], second[2]) - max(first[0], second[0]) + plus
    down = min(first[3], second[3]) - max(first[1], second[1]) + plus
    common = max(0.0, across) * max(0.0, down)
    union = sum((box[2] - box[0] + plus) * (box[3] - box[1] + plus) for box in (first, second)) - common
    return min(1.0, common / union) if union > 0 else 0.0
