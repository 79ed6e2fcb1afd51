"""Scenes: one or two cut-out people before a background and their truth (copy-paste augmentation, Ghiasi et al. 2021).

A scene is planned from its own seed as plain values, so its truth is known without drawing it, wherever it is drawn.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image, ImageFilter, ImageOps

from humanvlm.data.detections import Box
from humanvlm.synthetic.sources import LIGHTS, backgrounds, body_box, crop, cut_out, lit, people, random_crop

LONG_SIDES = (320, 384, 448, 512, 576, 640, 768)
ASPECTS = ((1, 1), (4, 3), (3, 4), (3, 2), (4, 5))
LIGHT_WEIGHTS = dict(zip(LIGHTS, (10, 3, 3, 3, 3), strict=True))
FRAMINGS = {"close": (0.86, 0.97), "medium": (0.62, 0.82), "far": (0.42, 0.58)}
DARK_BACKGROUNDS = ("stars", "launch_pad", "flower")
HELD_OUT_STEP = 6
MAX_ENLARGEMENT = 1.6
TWO_PEOPLE = 0.3


@dataclass(frozen=True)
class Figure:
    """One person placed in a picture: ``box`` (xyxy, picture pixels) is where the source's body box goes."""

    person: str
    color: str
    cut: int
    mirrored: bool
    box: tuple[int, int, int, int]


@dataclass(frozen=True)
class Scene:
    """A picture to draw. Figures are in drawing order; quality is JPEG's; blur is a radius in pixels."""

    size: tuple[int, int]
    background: str
    crop: Box
    mirrored: bool
    depth_blur: float
    light: str
    figures: tuple[Figure, ...]
    quality: int
    blur: float = 0.0
    gain: float = 1.0


def held_out(background: str, person: str, color: str) -> bool:
    """Whether this combination is kept for the benchmarks: one colour of each person before each background."""
    row = [key for key, value in backgrounds().items() if value.scene].index(background)
    column = list(people()[person].colors).index(color)
    return (row + column + 3 * list(people()).index(person)) % HELD_OUT_STEP == 0


def plan_scene(rng: random.Random, benchmark: bool) -> Scene:
    """A scene whose combinations are all held out (benchmark), or all not."""
    aspect = rng.choice(ASPECTS)
    long_side = rng.choice(LONG_SIDES)
    width, height = (long_side * side // max(aspect) for side in aspect)
    background = rng.choice([key for key, value in backgrounds().items() if value.scene])
    chosen = rng.sample(list(people()), 2 if rng.random() < TWO_PEOPLE else 1)
    figures = []
    for place, person in enumerate(chosen):
        colors = [color for color in people()[person].colors if held_out(background, person, color) == benchmark]
        if len(chosen) == 1:
            middle = rng.choice((0.29, 0.5, 0.71))
            framing = rng.choice(list(FRAMINGS))
        else:
            middle, framing = (0.27, 0.73)[place], rng.choice(("medium", "far"))
        figures.append(_place(person, rng.choice(colors), framing, middle, (width, height), len(chosen), rng))
    figures.sort(key=lambda figure: figure.box[3] - figure.box[1])
    lights = [light for light in LIGHT_WEIGHTS if light != "dim" or background not in DARK_BACKGROUNDS]
    light = rng.choices(lights, weights=[LIGHT_WEIGHTS[name] for name in lights])[0]
    return Scene(
        size=(width, height),
        background=background,
        crop=random_crop(background, (width, height), rng),
        mirrored=rng.random() < 0.5,
        depth_blur=rng.choice((0.0, 0.0, 0.8, 1.5)),
        light=light,
        figures=tuple(figures),
        quality=rng.choice((82, 86, 90, 93)),
    )


def _place(
    person: str, color: str, framing: str, middle: float, size: tuple[int, int], of: int, rng: random.Random
) -> Figure:
    """Stand a person on the lower edge, its middle near ``middle`` (share of the width), the face inside."""
    width, height = size
    cut = rng.choice(people()[person].cuts)
    mirrored = rng.random() < 0.5
    left, top, right, bottom = body_box(person, cut)
    scale = min(
        height * rng.uniform(*FRAMINGS[framing]) / (bottom - top),
        width * (0.56 if of == 2 else 1.05) / (right - left),
        MAX_ENLARGEMENT,
    )
    body = (round((right - left) * scale), round((bottom - top) * scale))
    x = round((middle + rng.uniform(-0.05, 0.05)) * width - body[0] / 2)
    face = _in_picture(people()[person].face, (left, top), (right, bottom), (x, height - body[1]), scale, mirrored)
    x += max(0, 2 - round(face[0])) - max(0, round(face[2]) - width + 2)
    return Figure(person, color, cut, mirrored, (x, height - body[1], x + body[0], height))


def _in_picture(
    box: Box,
    corner: tuple[int, int],
    opposite: tuple[int, int],
    at: tuple[float, float],
    scale: float,
    mirrored: bool,
) -> Box:
    """A source box in picture pixels, when the source's body box (corner, opposite) is scaled and put at ``at``."""
    x1, x2 = (opposite[0] - box[2], opposite[0] - box[0]) if mirrored else (box[0] - corner[0], box[2] - corner[0])
    y1, y2 = box[1] - corner[1], box[3] - corner[1]
    return (at[0] + x1 * scale, at[1] + y1 * scale, at[0] + x2 * scale, at[1] + y2 * scale)


def draw(scene: Scene) -> Image.Image:
    """The picture of a scene, RGB."""
    picture = crop(scene.background, scene.crop, scene.size, scene.mirrored)
    if scene.depth_blur:
        picture = picture.filter(ImageFilter.GaussianBlur(scene.depth_blur))
    for figure in scene.figures:
        body = cut_out(figure.person, figure.color).crop(body_box(figure.person, figure.cut))
        body = ImageOps.mirror(body) if figure.mirrored else body
        x1, y1, x2, y2 = figure.box
        body = body.resize((x2 - x1, y2 - y1), Image.Resampling.BICUBIC)
        picture.paste(body, (x1, y1), body)
    picture = lit(picture, scene.light)
    if scene.blur:
        picture = picture.filter(ImageFilter.GaussianBlur(scene.blur))
    return picture.point(lambda value: int(value * scene.gain)) if scene.gain != 1 else picture


def person_truth(figure: Figure, size: tuple[int, int]) -> dict[str, Any]:
    """What is known of a person in a picture: apparent attributes, visible box, face box and points, in its pixels.

    points: right eye, left eye, nose, mouth, right ear, left ear, the person's own right and left.
    """
    person = people()[figure.person]
    left, top, right, bottom = body_box(figure.person, figure.cut)
    x1, y1, x2, y2 = figure.box
    scale = (x2 - x1) / (right - left)

    def placed(box: Box) -> Box:
        return _in_picture(box, (left, top), (right, bottom), (x1, y1), scale, figure.mirrored)

    points: Sequence[Box] = [placed((x, y, x, y)) for x, y in person.points]
    if figure.mirrored:  # what was the right eye now looks like the left one
        points = [points[i] for i in (1, 0, 2, 3, 5, 4)]
    face = _clip(placed(person.face), size)
    middle = (face[0] + face[2]) / 2 / size[0]
    return {
        **person.attributes,
        "clothing": person.clothing["garment"],
        "clothing_color": figure.color,
        "side": "left" if middle < 0.4 else "right" if middle > 0.6 else "center",
        "box": _clip((x1, y1, x2, y2), size),
        "face_box": face,
        "points": [[round(x, 1), round(y, 1)] for x, y, _, _ in points],
    }


def _clip(box: Box, size: tuple[int, int]) -> list[float]:
    width, height = size
    return [round(min(max(value, 0.0), float(limit)), 1) for value, limit in zip(box, (width, height) * 2, strict=True)]


def scene_truth(scene: Scene) -> dict[str, Any]:
    """Truth of a picture: size, background, light, people from left to right."""
    truths = sorted((person_truth(figure, scene.size) for figure in scene.figures), key=lambda truth: truth["face_box"])
    if len(truths) == 2:  # of two people one is left of the other, wherever they stand
        truths = [truth | {"side": side} for truth, side in zip(truths, ("left", "right"), strict=True)]
    return {
        "width": scene.size[0],
        "height": scene.size[1],
        "background": scene.background,
        "light": scene.light,
        "people": truths,
    }
