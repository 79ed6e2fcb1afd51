"""Pictures of samples for the report, with what was to be found in green and what was found in red."""

import base64
import io
from collections.abc import Sequence
from typing import Any

from PIL import Image, ImageDraw

from humanvlm.evaluate.metrics.pck import Person
from humanvlm.evaluate.tasks.base import Sample
from humanvlm.evaluate.tasks.pictures import read_picture
from humanvlm.evaluate.tasks.rec import Expression
from humanvlm.inference.points import NAMES
from humanvlm.inspect.drawn import drawable

SIDE = 320
TRUTH, FOUND = "#2ca02c", "#e4572e"
BONES = (
    *(("left_ear", "left_eye"), ("left_eye", "nose"), ("nose", "right_eye"), ("right_eye", "right_ear")),
    *(("left_shoulder", "right_shoulder"), ("left_hip", "right_hip")),
    *((f"{side}_{one}", f"{side}_{other}") for side in ("left", "right") for one, other in (
        ("shoulder", "elbow"), ("elbow", "wrist"), ("shoulder", "hip"), ("hip", "knee"), ("knee", "ankle"))),
)  # fmt: skip


def draw_card(kind: str, sample: Sample, prediction: Any) -> str:
    """A small JPEG as a data URI. prediction: as of ``Judged``: a box, or points by name, in pixels of the picture."""
    image = drawable(read_picture(sample.picture))
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    truth = sample.truth
    if isinstance(truth, Expression):
        scale = image.width / truth.width, image.height / truth.height
        _box(image, truth.box, scale, TRUTH)
        if kind == "rec" and prediction:
            _box(image, prediction, scale, FOUND)
    if isinstance(truth, Person):
        scale = image.width / truth.size[0], image.height / truth.size[1]
        visible = {name: (x, y) for name, (x, y, seen) in zip(NAMES, truth.points, strict=True) if seen > 0}
        _points(image, visible, scale, TRUTH)
        _points(image, prediction or {}, scale, FOUND)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=76)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _box(image: Image.Image, box: Sequence[float], scale: tuple[float, float], colour: str) -> None:
    x1, y1, x2, y2 = (value * factor for value, factor in zip(box, scale * 2, strict=True))
    corners = (min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2))
    ImageDraw.Draw(image).rectangle(corners, outline=colour, width=3)


def _points(image: Image.Image, points: Any, scale: tuple[float, float], colour: str) -> None:
    draw = ImageDraw.Draw(image)
    placed = {name: (float(x) * scale[0], float(y) * scale[1]) for name, (x, y) in points.items()}
    for one, other in BONES:
        if one in placed and other in placed:
            draw.line((*placed[one], *placed[other]), fill=colour, width=2)
    for x, y in placed.values():
        draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=colour, outline="white")
