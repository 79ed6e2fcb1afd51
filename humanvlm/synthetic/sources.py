"""The photographs the synthetic crawl is made of: people cut out of their pictures, and backgrounds.

``people.yaml`` and ``backgrounds.yaml`` say which file of which installed package each one is, with its sha256, so the
same seed gives the same bytes everywhere. Everything here is integer Pillow operations and elementwise float32.
"""

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageOps

from humanvlm.data.detections import Box
from humanvlm.data.image import opened
from humanvlm.errors import UserError

Rgb = tuple[int, int, int]
HERE = Path(__file__).parent
SUPERSAMPLE = 4


@dataclass(frozen=True)
class Person:
    """One person's photograph. Lengths in pixels of that file; attributes are apparent, never an identity."""

    key: str
    package: str
    file: str
    sha256: str
    bottom: int
    cuts: Sequence[int]
    face: Box
    points: Sequence[tuple[float, float]]
    unreadable: Sequence[tuple[int, int, int, int]]
    attributes: Mapping[str, Any]
    clothing: Mapping[str, Any]
    outline: Sequence[tuple[float, float]]

    @property
    def colors(self) -> dict[str, Rgb]:
        """Clothing colours by name; the first is the photographed one."""
        return {name: (r, g, b) for name, (r, g, b) in self.clothing["colors"].items()}


@dataclass(frozen=True)
class Background:
    """One photograph without people; see backgrounds.yaml for the fields."""

    key: str
    package: str
    file: str
    sha256: str
    scene: bool
    zoom: float
    words: str
    place: str = ""
    answers: Sequence[str] = ()
    tint: Rgb | None = None
    license: str = "CC0-1.0"
    focus: tuple[float, float] | None = None


@lru_cache
def people() -> dict[str, Person]:
    """People by key, in the order of people.yaml."""
    values = yaml.safe_load((HERE / "people.yaml").read_text(encoding="utf-8"))
    return {key: Person(key=key, **value) for key, value in values.items()}


@lru_cache
def backgrounds() -> dict[str, Background]:
    """Backgrounds by key, in the order of backgrounds.yaml."""
    values = yaml.safe_load((HERE / "backgrounds.yaml").read_text(encoding="utf-8"))
    return {key: Background(key=key, **value) for key, value in values.items()}


def _photograph(source: Person | Background) -> Image.Image:
    """The RGB source picture. Raises UserError when its package is absent or holds other bytes."""
    spec = find_spec(source.package)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    path = Path(folders[0] if folders else source.package) / source.file
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; pip install -r requirements.lock") from None
    if hashlib.sha256(data).hexdigest() != source.sha256:
        raise UserError(f"{path}: not the expected picture; install the versions of requirements.lock")
    image: Image.Image = opened(data)
    return image.convert("RGB")


@lru_cache
def cut_out(key: str, color: str) -> Image.Image:
    """A person as RGBA in the size of the source file, the clothing in the named colour."""
    person = people()[key]
    picture = _photograph(person)
    for x1, y1, x2, y2 in person.unreadable:
        picture.paste(picture.crop((x1, y1, x2, y2)).filter(ImageFilter.GaussianBlur(2)), (x1, y1))
    if color != next(iter(person.colors)):
        picture = _recolor(picture, person, person.colors[color])
    solid = _polygon_mask(picture.size, person.outline)
    picture = _without_fringe(picture, solid)
    picture.putalpha(solid.filter(ImageFilter.MinFilter(3)).filter(ImageFilter.GaussianBlur(0.7)))
    return picture


@lru_cache
def body_box(key: str, cut: int) -> tuple[int, int, int, int]:
    """Extent (xyxy, source pixels) of a person whose picture ends above row ``cut``."""
    alpha = cut_out(key, next(iter(people()[key].colors))).getchannel("A")
    box = alpha.crop((0, 0, alpha.width, cut)).point(lambda value: 255 if value > 127 else 0).getbbox()
    if box is None:
        raise ValueError(f"{key}: nothing above row {cut}")
    return box


def _polygon_mask(size: tuple[int, int], points: Sequence[tuple[float, float]]) -> Image.Image:
    large = Image.new("L", (size[0] * SUPERSAMPLE, size[1] * SUPERSAMPLE))
    ImageDraw.Draw(large).polygon([((x + 0.5) * SUPERSAMPLE, (y + 0.5) * SUPERSAMPLE) for x, y in points], fill=255)
    return large.reduce(SUPERSAMPLE)


def _without_fringe(picture: Image.Image, mask: Image.Image) -> Image.Image:
    """Replace the colours along the edge, a mix with the old background, by those just inside it."""
    inside = mask.filter(ImageFilter.MinFilter(7)).point(lambda value: 255 if value == 255 else 0)
    black = Image.new("RGB", picture.size)
    for _ in range(3):
        spread = Image.composite(picture, black, inside).filter(ImageFilter.GaussianBlur(2))
        weight = np.asarray(inside.filter(ImageFilter.GaussianBlur(2)), np.float32)[..., None]
        known = weight > 0
        colors = np.asarray(spread, np.float32) * np.float32(255) / np.where(known, weight, np.float32(1))
        grown = Image.fromarray(np.clip(colors, 0, 255).astype(np.uint8))
        picture = Image.composite(picture, grown, inside)
        inside = ImageChops.lighter(inside, Image.fromarray(np.where(known[..., 0], 255, 0).astype(np.uint8)))
    return picture


def _recolor(picture: Image.Image, person: Person, color: Rgb) -> Image.Image:
    """Dye the clothing: the cloth keeps its folds and highlights, patches and straps keep their colours."""
    rgb = np.asarray(picture, np.float32)
    region = np.asarray(_polygon_mask(picture.size, person.clothing["region"]), np.float32) / np.float32(255)
    target = np.asarray(color, np.float32)
    if person.clothing["cloth"] == "bright":
        real = np.asarray(next(iter(person.colors.values())), np.float32)
        cloth = np.clip((rgb[..., 0] - rgb[..., 2] - np.float32(25)) / np.float32(50), 0, 1)
        shade = rgb[..., 0] / real[0]
        gloss = np.clip(rgb[..., 2] - np.float32(110), 0, 255) * np.float32(0.5)
        dyed = target * shade[..., None] + gloss[..., None]
    else:
        light = np.asarray(picture.convert("L").filter(ImageFilter.GaussianBlur(1)), np.float32)
        cloth = np.clip((np.float32(95) - light) / np.float32(35), 0, 1)
        shade = np.clip(np.float32(0.62) + light / np.float32(60), 0, np.float32(1.35))
        dyed = target * shade[..., None]
    weight = (region * cloth)[..., None]
    return _image(rgb + (dyed - rgb) * weight)


def _image(rgb: NDArray[np.float32]) -> Image.Image:
    return Image.fromarray(np.clip(rgb, 0, 255).astype(np.uint8))


@lru_cache
def background_picture(key: str) -> Image.Image:
    """The whole background as RGB, a gray one printed in its tint."""
    background = backgrounds()[key]
    picture = _photograph(background)
    if background.tint is None:
        return picture
    half = (background.tint[0], background.tint[1], background.tint[2])
    return ImageOps.colorize(picture.convert("L"), black=(8, 10, 8), mid=half, white=(250, 248, 238))


def random_crop(key: str, size: tuple[int, int], rng: random.Random) -> Box:
    """A crop (xyxy, pixels of the background) with the aspect ratio of ``size`` (width, height)."""
    background, picture = backgrounds()[key], background_picture(key)
    scale = min(picture.width / size[0], picture.height / size[1]) * rng.uniform(background.zoom, 1.0)
    starts = []
    for axis in (0, 1):
        length, most = size[axis] * scale, picture.size[axis] - size[axis] * scale
        least = 0.0
        if background.focus:  # a tenth of the crop at least lies between the point and the edge
            focus = background.focus[axis]
            least, most = max(0.0, focus - 0.9 * length), min(most, focus - 0.1 * length)
        starts.append(rng.uniform(min(least, most), max(least, most)))
    left, top = (max(start, 0.0) for start in starts)
    right, bottom = min(left + size[0] * scale, picture.width), min(top + size[1] * scale, picture.height)
    return (round(left, 2), round(top, 2), round(right, 2), round(bottom, 2))


def crop(key: str, box: Box, size: tuple[int, int], mirrored: bool) -> Image.Image:
    """That part of a background in ``size`` (width, height) pixels."""
    picture = background_picture(key).resize(size, Image.Resampling.BICUBIC, box=box)
    return ImageOps.mirror(picture) if mirrored else picture


def lit(picture: Image.Image, light: str) -> Image.Image:
    """The picture in another light, one of LIGHTS."""
    gains = LIGHTS[light]
    rgb = np.asarray(picture, np.float32) * np.asarray(gains, np.float32)
    if light == "overcast":
        gray = np.asarray(picture.convert("L"), np.float32)[..., None] * np.asarray(gains, np.float32)
        rgb = gray + (rgb - gray) * np.float32(0.55)
    return _image(rgb)


LIGHTS: dict[str, tuple[float, float, float]] = {
    "normal": (1.0, 1.0, 1.0),
    "dim": (0.55, 0.55, 0.6),
    "bright": (1.22, 1.22, 1.2),
    "warm": (1.12, 0.98, 0.76),
    "overcast": (0.92, 0.95, 1.0),
}
