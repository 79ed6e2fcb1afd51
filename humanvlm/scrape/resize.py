"""Picture sizes of the resize modes, and resampling that is fast and free of visible aliasing."""

from dataclasses import dataclass
from math import sqrt

import numpy as np

from humanvlm.config.raw_scrape import RawScrape
from humanvlm.scrape.pixels import Pixels, Size, opencv

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


def resample(pixels: Pixels, size: Size) -> Pixels:
    """Pixels (height, width, channels) at another size (width, height).

    Shrinking by up to 1.5 is bilinear; by less than 2 bilinear to twice the size, then a mean of 2x2 (a box filter,
    half the time of an area average at such ratios); from 2 on an area average. Enlarging is bicubic.
    """
    height, width, channels = pixels.shape
    if (width, height) == size:
        return pixels
    cv2 = opencv()
    shrink = max(width / size[0], height / size[1])
    if shrink < 1:
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_CUBIC)
    elif shrink <= LINEAR_SHRINK:
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR)
    else:
        if shrink < 2:
            pixels = cv2.resize(pixels, (2 * size[0], 2 * size[1]), interpolation=cv2.INTER_LINEAR)
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return pixels.reshape(size[1], size[0], channels)  # OpenCV drops the last axis of grey


def fit(pixels: Pixels, canvas: Size) -> Pixels:
    """The centre of the picture, cut to ``canvas`` (width, height) and padded with white where it is smaller."""
    height, width, channels = pixels.shape
    if (width, height) == canvas:
        return pixels
    left, top = (canvas[0] - width) // 2, (canvas[1] - height) // 2
    result = np.full((canvas[1], canvas[0], channels), 255, np.uint8)
    kept = pixels[max(0, -top) : canvas[1] - top, max(0, -left) : canvas[0] - left]
    top, left = max(0, top), max(0, left)
    result[top : top + kept.shape[0], left : left + kept.shape[1]] = kept
    return result
