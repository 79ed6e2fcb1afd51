"""Referring expressions, of RefCOCO and the like: intersection over union, and accuracy at a threshold.

The standard figure counts a box as right when its intersection over union with the truth is at least 0.5, on boxes in
pixels, as they are (``pycocotools.mask.iou``). ``acc50_authors`` is the figure of the HumanVLM authors' script.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from humanvlm.data.detections import Box, iou
from humanvlm.data.prompts import FIND, format_box
from humanvlm.errors import UserError
from humanvlm.evaluate.files import Row, by_id, get, get_id, get_numbers, get_text, pair, read_rows
from humanvlm.evaluate.stats.parts import ratio, with_parts
from humanvlm.evaluate.stats.scored import Array, Scored
from humanvlm.evaluate.tasks.base import Coordinates, Dropped, Judged, Sample, Spaces, Task, own_sample, source_file
from humanvlm.evaluate.tasks.options import PREDICTIONS, REFERENCES, SPACE
from humanvlm.evaluate.tasks.pictures import source_picture
from humanvlm.evaluate.tasks.replies import REPLY, answers, row_id, with_replies
from humanvlm.inference.boxes import REASONS, SCALE, Found, Order, Reading, choose_space, find_numbers, read_box

if TYPE_CHECKING:
    from humanvlm.config.benchmark_scores import Source

BOX = ("bbox", "box", "solution")
THRESHOLDS = (0.5, 0.75)
NAMES = ("mean_iou", "acc50", "acc75", "acc50_authors", "unparseable")


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


def score_boxes(
    expressions: Sequence[Expression],
    replies: Sequence[str | Sequence[float] | None],
    *,
    space: Spaces = "auto",
    order: Order = "xyxy",
    sides: bool = False,
) -> Scored:
    """Acc@0.5, Acc@0.75 and mean IoU in 0..1, over all expressions; a reply without a usable box scores 0.

    replies: text, or four numbers; None is missing. space: of the numbers; "auto" is ``boxes.choose_space``; notations
    of one space are read in that. order: of four numbers in a row, see ``boxes.find_all``. sides: the numbers are x, y,
    width, height. counts: ``unparseable`` and each of its reasons, ``missing``, ``several_boxes`` (of which the first
    counts), ``ambiguous_space`` (only with "auto"), ``overlapping_edge`` (boxes that leave the picture, scored as they
    are), ``own_space`` (of the notation's).
    """
    found = [_found(reply, order) for reply in replies]
    sizes = [(expression.width, expression.height) for expression in expressions]
    chosen, ambiguous = choose_space(found, sizes, sides=sides) if space == "auto" else (space, 0)
    readings = [
        Reading(None, "missing") if reply is None else read_box(one, *size, chosen, sides=sides)
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
        "several_boxes": sum(one is not None and one.boxes > 1 for one in found),
        "ambiguous_space": ambiguous,
        "overlapping_edge": sum(_leaves(one.box, *size) for one, size in zip(readings, sizes, strict=True)),
        "own_space": sum(one is not None and one.space is not None for one in found),
        f"space_{chosen}": sum(one is not None and one.space is None for one in found),
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


def iou_authors(first: Box, second: Sequence[float], width: float, height: float) -> float:
    """The figure of the HumanVLM authors' script: whole hundredths, and sides counted one longer. Inflates accuracy."""

    def floored(box: Sequence[float]) -> list[float]:
        return [int(100 * value / size) for value, size in zip(box, (width, height, width, height), strict=True)]

    return iou(floored(first), floored(second), plus=1.0)


def read_expressions(path: Path, *, sides: bool = False) -> list[Expression]:
    """Referring expressions with boxes (xyxy, or with ``sides`` x, y, width, height, in pixels), JSON lines."""
    return list(by_id((one.id, where, one) for where, one in _rows(path, sides)).values())


def read_box_replies(path: Path, expressions: Sequence[Expression]) -> dict[str, str | list[float]]:
    """Replies with boxes: text, or four numbers. Rows without an id of their own are told apart by ``line``, the place
    of their expression, counted from 0."""
    found = []
    for where, row in read_rows(path):
        if (key := row_id(row)) is None:
            line = row.get("line")
            if not isinstance(line, int) or not 0 <= line < len(expressions):
                raise UserError(f"{where}: no id or sent_id, and no line from 0 to {len(expressions) - 1}")
            key = expressions[line].id
        found.append((key, where, _box_reply(row, where)))
    return by_id(found)


def score_files(
    references: Path,
    predictions: Path,
    space: Spaces = "auto",
    boxes: str = "xyxy",
    reference_boxes: str = "xyxy",
    allow_missing: bool = False,
) -> Scored:
    """RefCOCO, RefCOCO+, RefCOCOg: Acc@0.5, Acc@0.75 and mean IoU.

    References are JSON lines with expression, bbox (pixels), width, height, image_id, and sent_id or id; predictions
    have the same id (or line, counted from 0) and text, or bbox with four numbers. acc50_authors is the figure of the
    HumanVLM authors' script: whole hundredths and sides one longer, which is more generous. A reply without a box that
    is finite, not swapped, not empty and not wholly outside of the picture is unparseable, and wrong. Of several boxes
    the first counts; such replies are counted.
    """
    expressions = read_expressions(references, sides=reference_boxes == "xywh")
    found = read_box_replies(predictions, expressions)
    ids = [expression.id for expression in expressions]
    replies = pair(ids, found, references, predictions, allow_missing=allow_missing)
    return with_replies(score_boxes(expressions, answers(replies), space=space, sides=boxes == "xywh"), replies)


def samples(task: str, source: "Source") -> Iterator[Sample | Dropped]:
    """Expressions whose box is null, for which nothing is to be found, are dropped as ``no_box``."""
    for number, (one, row) in enumerate(source_expressions(task, source)):
        if one is None:
            yield row_id(row) or f"line {number}", "no_box", f"{task}: nothing to be found"
            continue
        box = format_box(list(one.box), int(one.width), int(one.height))
        picture = source_picture(task, source, one.image, row)
        yield Sample(
            one.id, task, one.image, picture, FIND.format(expression=one.text), (box,), one, one.part, subject=one.text
        )


def source_expressions(task: str, source: "Source") -> Iterator[tuple[Expression | None, Row]]:
    """Each row with its expression, None where its box is null. Raises UserError when an id comes twice."""
    seen: set[str] = set()
    for number, (where, row) in enumerate(read_rows(source_file(task, source))):
        if any(name in row for name in BOX) and all(row.get(name) is None for name in BOX):
            yield None, row
            continue
        one = read_expression(number, where, row)
        if one.id in seen:
            raise UserError(f"{where}: id {one.id} is there twice")
        seen.add(one.id)
        yield one, row


def sample(row: Row, folder: Path) -> Sample:
    x1, y1, x2, y2 = (float(value) for value in row["box"])
    width, height = int(row["width"]), int(row["height"])
    if not (x1 < x2 and y1 < y2 and width > 0 and height > 0):
        raise ValueError(f"box {row['box']} of a {width}x{height} picture")
    truth = Expression(str(row["id"]), str(row["image"]), row["expression"], (x1, y1, x2, y2), width, height)
    prompt = FIND.format(expression=row["expression"])
    return own_sample(
        row, folder, "rec", prompt, [format_box([x1, y1, x2, y2], width, height)], truth=truth, subject=truth.text
    )


def judge(samples: Sequence[Sample], replies: Sequence[str | None], given: Coordinates) -> Judged:
    truths = [sample.truth for sample in samples]
    found = score_boxes(truths, replies, space=given.space, order=given.order)
    boxes = [[round(side, 1) for side in box] if box else None for box in found.per_sample["box"]]
    return Judged(boxes, found.per_sample["iou"], found.contributions[:, : len(NAMES) + 1])


def read_expression(number: int, where: str, row: Row, *, sides: bool = False) -> Expression:
    """The expression of one row, the ``number``-th from 0. Raises UserError naming ``where``."""
    x1, y1, x2, y2 = get_numbers(get(row, BOX, where), f"{where}: box", 4)
    box: Box = (x1, y1, x1 + x2, y1 + y2) if sides else (x1, y1, x2, y2)
    if box[0] >= box[2] or box[1] >= box[3]:
        raise UserError(f"{where}: box {list(box)} has no area; x1, y1, x2, y2 in pixels are expected")
    width, height = get_numbers([get(row, (name,), where) for name in ("width", "height")], f"{where}: size", 2)
    if width <= 0 or height <= 0:
        raise UserError(f"{where}: a picture of {width:g} x {height:g} pixels")
    text = get_text(row, ("expression", "caption", "normal_caption", "text"), where)
    image = get_id(row, ("image_id", "image", "img_path", "file_name"), where)
    part = "/".join(str(row[name]) for name in ("dataset_name", "dataset", "split") if row.get(name))
    return Expression(row_id(row) or f"line {number}", image, text, box, width, height, part)


def _rows(path: Path, sides: bool) -> Iterator[tuple[str, Expression]]:
    for number, (where, row) in enumerate(read_rows(path)):
        yield where, read_expression(number, where, row, sides=sides)


def _box_reply(row: Row, where: str) -> str | list[float]:
    for name in ("bbox", "box"):
        if isinstance(row.get(name), list):
            value = row[name]
            if len(value) != 4 or not all(isinstance(one, int | float) and not isinstance(one, bool) for one in value):
                return str(value)  # no box of four numbers: read as a reply, and counted as unparseable
            return [float(one) for one in value]
    return get_text(row, REPLY, where)


def _found(reply: str | Sequence[float] | None, order: Order) -> Found | None:
    if reply is None or isinstance(reply, str):
        return find_numbers(reply, order) if reply else None
    x1, y1, x2, y2 = reply
    return Found((x1, y1, x2, y2))


def _leaves(box: Box | None, width: float, height: float) -> bool:
    return box is not None and (box[0] < 0 or box[1] < 0 or box[2] > width or box[3] > height)


def summed_metrics(sums: Array) -> dict[str, Array]:
    """Summed [iou, right at .5, at .75, by the authors, without a box, 1] to the metrics."""
    return {name: ratio(sums[..., place], sums[..., len(NAMES)]) for place, name in enumerate(NAMES)}


TASK = Task(
    "rec",
    "Where is …?",
    "Boxes for referring expressions; sample scores are intersection over union.",
    "acc50",
    samples,
    judge,
    summed_metrics,
    score_files,
    (
        REFERENCES,
        PREDICTIONS,
        SPACE,
        click.option(
            "--boxes",
            type=click.Choice(["xyxy", "xywh"]),
            default="xyxy",
            show_default=True,
            help="What the four numbers of a reply are: corners, or corner and sides.",
        ),
        click.option(
            "--reference-boxes",
            type=click.Choice(["xyxy", "xywh"]),
            default="xyxy",
            show_default=True,
            help="In pixels.",
        ),
    ),
    command="grounding",
    sample=sample,
)
