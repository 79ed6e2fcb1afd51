"""Keypoints: of a detector, by COCO's files of annotations and results (or its boxes), and of a model, in words.

https://cocodataset.org/#format-data and #format-results. Boxes are x, y, width, height in pixels.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
import numpy as np

from humanvlm.data.prompts import KEYPOINTS, format_box
from humanvlm.errors import UserError
from humanvlm.evaluate.files import (
    Row,
    by_id,
    get,
    get_id,
    get_numbers,
    get_text,
    pair,
    read_array,
    read_json,
    read_rows,
)
from humanvlm.evaluate.metrics.detections import Detection, Kind, Truth, score_detections
from humanvlm.evaluate.metrics.pck import SHARES, Person, score_points
from humanvlm.evaluate.stats.parts import ratio
from humanvlm.evaluate.stats.scored import Array, Scored
from humanvlm.evaluate.tasks.base import Coordinates, Judged, Sample, Spaces, Task, source_file
from humanvlm.evaluate.tasks.options import PREDICTIONS, REFERENCES, SPACE
from humanvlm.evaluate.tasks.pictures import coco_names, source_picture
from humanvlm.evaluate.tasks.replies import answers, with_replies
from humanvlm.inference.points import NAMES, Point, parse_points, to_pixels

if TYPE_CHECKING:
    from humanvlm.config.benchmark_scores import Source


Corner = tuple[float, float, float, float]


@dataclass(frozen=True)
class GroundTruth:
    """images: by id, as COCOeval takes them. sizes: width and height in pixels, where the file has them."""

    images: Sequence[str]
    sizes: Sequence[tuple[float, float] | None]
    categories: Sequence[int]
    truths: Sequence[Truth]


def read_ground_truth(path: Path, kind: Kind) -> GroundTruth:
    """The annotations of a COCO file.

    Raises UserError naming file and row for annotations without box, area or points, of unknown images or categories,
    with numbers that are not finite, or with an id that is there twice.
    """
    value = read_json(path)
    if not isinstance(value, dict):
        raise UserError(f"{path}: a JSON {type(value).__name__}; an object with images, annotations and categories")
    images = by_id((get_id(row, ("id",), where), where, row) for where, row in _rows(value, "images", path))
    categories = [_integer(row, "id", where) for where, row in _rows(value, "categories", path)]
    if kind == "keypoints":  # COCOeval evaluates every category of the file, and all need points
        for where, row in _rows(value, "categories", path):
            if len(row.get("keypoints", NAMES)) != len(NAMES):
                raise UserError(f"{where}: {len(row['keypoints'])} keypoints; those of COCO, {len(NAMES)}, are known")
    seen: set[int] = set()
    truths = []
    for where, row in _rows(value, "annotations", path):
        truth = _truth(row, where, kind)
        if truth.image not in images:
            raise UserError(f"{where}: image_id {truth.image} is not among the images")
        if truth.id in seen:
            raise UserError(f"{where}: id {truth.id} is there twice")
        seen.add(truth.id)
        truths.append(truth)
    names = sorted(images, key=_by_number)
    sizes = [_size(images[name]) for name in names]
    return GroundTruth(names, sizes, sorted(set(categories)), truths)


def read_results(path: Path, kind: Kind, truth: GroundTruth, references: Path) -> list[Detection]:
    """The rows of a COCO results file. Raises UserError, naming the row, for one that is no such result, or whose image
    is not in the ground truth."""
    images = set(truth.images)
    rows = list(read_array(path, "annotations"))
    boxed = bool(rows) and bool(rows[0][1].get("bbox"))  # COCOeval takes areas from boxes when the first row has one
    found = []
    for where, row in rows:
        image = get_id(row, ("image_id",), where)
        if image not in images:
            raise UserError(f"{where}: image_id {image} is not in {references}")
        found.append(_result(row, where, kind, image, boxed))
    return found


def read_people(path: Path) -> list[Person]:
    """The people of a COCO file that have visible keypoints and are no crowd, by annotation id, for PCK."""
    truth = read_ground_truth(path, "keypoints")
    sizes = dict(zip(truth.images, truth.sizes, strict=True))
    people = []
    for one in truth.truths:
        size = sizes[one.image]
        if one.points is None or one.ignored:
            continue
        if size is None:
            raise UserError(f"{path}: image {one.image} has no width and height")
        people.append(Person(str(one.id), one.image, one.box, one.points, size))
    return people


def read_point_replies(path: Path) -> dict[str, str | dict[str, tuple[float, float]]]:
    """Replies by annotation id, JSON lines: text, or ``keypoints``, name to x and y."""
    return by_id(
        (get_id(row, ("id", "annotation_id"), where), where, _point_reply(row, where)) for where, row in read_rows(path)
    )


def read_points(row: Row, where: str) -> Array:
    """``keypoints`` as (17, 3): x, y in pixels, and visibility or confidence."""
    numbers = get_numbers(get(row, ("keypoints",), where), f"{where}: keypoints", 3 * len(NAMES))
    return np.array(numbers).reshape(-1, 3)


def score_files(
    references: Path,
    predictions: Path,
    kind: Kind | Literal["pck"] = "keypoints",
    space: Spaces = "auto",
    allow_missing: bool = False,
) -> Scored:
    """COCO keypoints or boxes: average precision and recall, as COCOeval.

    References are a COCO file of annotations, predictions a COCO file of results. A score of -1 means that there is
    nothing to be found. With --kind pck, predictions are JSON lines with the annotation's id and text such as "left eye
    at (120, 45)"; a visible keypoint is right within 0.05, 0.1 or 0.2 of the longer side of the person's box.
    """
    if kind == "pck":
        people = read_people(references)
        ids = [person.id for person in people]
        replies = pair(ids, read_point_replies(predictions), references, predictions, allow_missing=allow_missing)
        return with_replies(score_points(people, answers(replies), space=space), replies)
    truth = read_ground_truth(references, kind)  # an image without results is a fact about a detector, no error
    found = read_results(predictions, kind, truth, references)
    return score_detections(kind, truth.images, truth.categories, truth.truths, found)


def samples(task: str, source: "Source") -> Iterator[Sample]:
    names = coco_names(source)
    for person in read_people(source_file(task, source)):
        width, height = (int(side) for side in person.size)
        x, y, across, down = person.box
        box = format_box([x, y, x + across, y + down], width, height)
        visible = [name for name, (_, _, seen) in zip(NAMES, person.points, strict=True) if seen > 0]
        prompt = KEYPOINTS.format(names=", ".join(name.replace("_", " ") for name in visible), box=box)
        picture = source_picture(task, source, person.image, {"file_name": names.get(person.image, person.image)})
        yield Sample(person.id, task, person.image, picture, prompt, (), person)


def judge(samples: Sequence[Sample], replies: Sequence[str | None], given: Coordinates) -> Judged:
    """Predictions are COCO's keypoints in pixels, by name."""
    people = [sample.truth for sample in samples]
    said: Sequence[str | Mapping[str, Point] | None] = replies
    if given.order == "yxyx":
        said = [reply and {name: (x, y) for name, (y, x) in parse_points(reply).items()} for reply in replies]
    found = score_points(people, said, space=given.space)
    chosen: Any = next(name.removeprefix("space_") for name in found.counts if name.startswith("space_"))
    points = [
        {name: to_pixels(point, person.size, chosen) for name, point in named.items()} or None
        for named, person in zip(found.per_sample["points"], people, strict=True)
    ]
    vectors = found.contributions[:, : len(SHARES) + 1]
    return Judged(points, ratio(vectors[:, 1], vectors[:, -1]).tolist(), vectors)


def judged_metrics(sums: Array) -> dict[str, Array]:
    return {f"pck_{share}": ratio(sums[..., place], sums[..., -1]) for place, share in enumerate(SHARES)}


def _point_reply(row: Row, where: str) -> str | dict[str, tuple[float, float]]:
    given = row.get("keypoints")
    if given is None:
        return get_text(row, ("text", "answer", "reply", "prediction"), where)
    if not isinstance(given, dict) or not set(given) <= set(NAMES):
        raise UserError(f"{where}: keypoints is not an object of COCO's names, such as left_eye, and x and y")
    points = {}
    for name, value in given.items():
        x, y = get_numbers(value, f"{where}: {name}", 2)
        points[name] = (x, y)
    return points


def _truth(row: Row, where: str, kind: Kind) -> Truth:
    identifier, category = _integer(row, "id", where), _integer(row, "category_id", where)
    box = _box(row, where)
    area = get_numbers([get(row, ("area",), where)], f"{where}: area", 1)[0]
    crowd = bool(row.get("iscrowd", 0))
    points, ignored = None, crowd
    if kind == "keypoints":
        points = read_points(row, where)
        visible = row.get("num_keypoints")
        ignored = crowd or (int((points[:, 2] > 0).sum()) if visible is None else visible) == 0
    return Truth(identifier, get_id(row, ("image_id",), where), category, box, area, crowd, points, ignored)


def _result(row: Row, where: str, kind: Kind, image: str, boxed: bool) -> Detection:
    score = get_numbers([get(row, ("score",), where)], f"{where}: score", 1)[0]
    category = _integer(row, "category_id", where)
    if kind == "bbox":
        box = _box(row, where)
        return Detection(image, category, score, box[2] * box[3], box)
    if "keypoints" not in row and "bbox" in row:
        raise UserError(f"{where}: a box and no keypoints; --kind bbox scores boxes")
    points = read_points(row, where)
    if boxed:
        box = _box(row, where)
        return Detection(image, category, score, box[2] * box[3], box, points)
    width, height = np.ptp(points[:, :2], axis=0)
    return Detection(image, category, score, float(width * height), None, points)


def _rows(value: Row, key: str, path: Path) -> list[tuple[str, Row]]:
    rows = value.get(key)
    if not isinstance(rows, list):
        raise UserError(f"{path}: no list of {key}; a COCO file of annotations is expected")
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            raise UserError(f"{path}: {key}[{number}]: an object is expected")
    return [(f"{path}: {key}[{number}]", row) for number, row in enumerate(rows)]


def _box(row: Row, where: str) -> Corner:
    x, y, width, height = get_numbers(get(row, ("bbox",), where), f"{where}: bbox", 4)
    if width < 0 or height < 0:
        raise UserError(f"{where}: bbox {[x, y, width, height]} has a negative side; x, y, width, height is expected")
    return x, y, width, height


def _integer(row: Row, name: str, where: str) -> int:
    value: Any = get(row, (name,), where)
    if isinstance(value, bool) or not isinstance(value, int):
        raise UserError(f"{where}: {name} {value!r} is not an integer")
    return value


def _size(row: Row) -> tuple[float, float] | None:
    width, height = row.get("width"), row.get("height")
    return (float(width), float(height)) if isinstance(width, int) and isinstance(height, int) else None


def _by_number(name: str) -> tuple[int, int | str]:
    return (0, int(name)) if name.lstrip("-").isdecimal() else (1, name)


TASK = Task(
    "keypoints",
    "Keypoints",
    "Where a person's eyes, ears and joints are; a sample's score is the share of visible ones that are at most a "
    "tenth of the person's longer side off.",
    "pck_0.1",
    samples,
    judge,
    judged_metrics,
    score_files,
    (
        REFERENCES,
        PREDICTIONS,
        click.option(
            "--kind",
            type=click.Choice(["keypoints", "bbox", "pck"]),
            default="keypoints",
            show_default=True,
            help="keypoints: AP by OKS; bbox: AP of boxes; pck: keypoints in words.",
        ),
        SPACE,
    ),
)
