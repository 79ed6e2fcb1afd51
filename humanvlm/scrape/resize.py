"""Picture sizes of the resize modes, and resampling that is fast and free of visible aliasing."""

from dataclasses import dataclass
from functools import cache
from math import sqrt
from types import ModuleType
from typing import Any

from PIL import Image

from humanvlm.config import RawScrape

Size = tuple[int, int]
# Up to here two taps an axis are within 1.5 dB of an area average (photographs, against Lanczos); beyond, they alias.
LINEAR_SHRINK = 1.5


@dataclass(frozen=True)
class Plan:
    """A picture becomes ``scaled`` and is then cut or padded to ``canvas``, centred; width and height in pixels."""

    scaled: Size
    canvas: Size


def plan(size: Size, config: RawScrape) -> Plan | None:
    """What ``config.resize_mode`` makes of an upright picture of this size; None: it stays as it is.

    ``keep_ratio`` and ``center_crop`` compare the shorter side with ``config.image_size``, ``keep_ratio_largest`` and
    ``border`` the longer; with ``only_if_bigger`` a picture that is not bigger is left alone, neither cut nor padded.
    ``max_pixels`` never enlarges. Sides are rounded half to even, as img2dataset's are.
    """
    side, mode = config.image_size, config.resize_mode
    if mode == "no":
        return None
    if mode == "max_pixels":
        scaled = _within(size, side * side)
    else:
        reference = min(size) if mode in ("keep_ratio", "center_crop") else max(size)
        if config.only_if_bigger and reference <= side:
            return None
        scale = side / reference
        scaled = (max(1, round(size[0] * scale)), max(1, round(size[1] * scale)))
    canvas = (side, side) if mode in ("center_crop", "border") else scaled
    return None if scaled == canvas == size else Plan(scaled, canvas)


def _within(size: Size, pixels: int) -> Size:
    """The size nearest to the ratio of ``size`` with at most this many pixels."""
    width, height = size
    if width * height <= pixels:
        return size
    scale = sqrt(pixels / (width * height))
    width = min(max(1, round(width * scale)), pixels)
    return width, min(max(1, round(height * scale)), pixels // width)


def resample(image: Image.Image, size: Size) -> Image.Image:
    """An RGB or L picture at another size.

    Shrinking by up to 1.5 is bilinear; by less than 2 bilinear to twice the size, then a mean of 2x2 (a box filter,
    half the time of an area average at such ratios); from 2 on an area average. Enlarging is bicubic.
    """
    if image.size == size:
        return image
    cv2 = _cv2()
    pixels = _pixels(image)
    shrink = max(image.width / size[0], image.height / size[1])
    if shrink < 1:
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_CUBIC)
    elif shrink <= LINEAR_SHRINK:
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR)
    else:
        if shrink < 2:
            pixels = cv2.resize(pixels, (2 * size[0], 2 * size[1]), interpolation=cv2.INTER_LINEAR)
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return _image(pixels, image.mode)


def fit(image: Image.Image, canvas: Size) -> Image.Image:
    """The centre of the picture, cut to ``canvas`` and padded with white where it is smaller."""
    if image.size == canvas:
        return image
    result = Image.new(image.mode, canvas, "white")
    result.paste(image, ((canvas[0] - image.width) // 2, (canvas[1] - image.height) // 2))
    return result


@cache
def _cv2() -> ModuleType:
    import cv2

    cv2.setNumThreads(1)  # shards are the unit of parallelism
    return cv2


def _pixels(image: Image.Image) -> Any:
    """The pixels as an array, RGB with Pillow's fourth filler byte and without a copy where Pillow allows it."""
    import numpy as np
    import pyarrow as pa

    try:
        buffer = pa.array(image).buffers()[-1]
    except ValueError:  # large pictures lie in several blocks
        return np.asarray(image)
    bands = 4 if image.mode == "RGB" else 1
    flat = np.frombuffer(buffer, np.uint8, image.width * image.height * bands)
    return flat.reshape(image.height, image.width, bands)


def _image(pixels: Any, mode: str) -> Image.Image:
    import pyarrow as pa

    if pixels.ndim == 3 and pixels.shape[2] == 4:
        column = pa.FixedSizeListArray.from_arrays(pa.array(pixels.reshape(-1)), 4)
        return Image.fromarrow(column, mode, (pixels.shape[1], pixels.shape[0]))
    return Image.fromarray(pixels, mode) if pixels.ndim == 2 else Image.fromarray(pixels)
