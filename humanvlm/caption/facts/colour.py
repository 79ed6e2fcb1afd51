"""Colour names by lightness, chroma and hue in CIE Lab, and the shares of a region that have each name."""

from functools import cache

import cv2
import numpy as np
import numpy.typing as npt

from humanvlm.data.facts import Guess

NAMES = (
    *("black", "grey", "white", "red", "dark red", "pink", "orange", "brown", "beige"),
    *("yellow", "olive", "green", "teal", "light blue", "blue", "dark blue", "purple"),
)
FAMILIES = {"dark red": "red", "light blue": "blue", "dark blue": "blue", "teal": "green", "olive": "green"}
DIM, LIT, MOST = 200, 235, 2.0  # levels of a picture's lightest parts: too dark, as they should be; gain at most
SIDE = 64  # regions are averaged down to at most this many pixels a side: texture and noise are no colours


def exposed(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """An underexposed picture [height, width, 3] as bright as if its lightest hundredth were nearly white; another as
    it is. Things have their colours in dim light too.

    In gamma-coded levels, which a longer exposure multiplies.
    """
    red, green, blue = np.moveaxis(rgb[::4, ::4], -1, 0)
    levels = np.bincount(np.maximum(np.maximum(red, green), blue).ravel(), minlength=256).cumsum()
    lightest = int(np.searchsorted(levels, 0.99 * levels[-1]))
    if lightest >= DIM:
        return rgb
    return np.asarray(cv2.convertScaleAbs(rgb, alpha=min(LIT / max(lightest, 1.0), MOST)), dtype=np.uint8)


def averaged(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """[64, 64, 3] the picture averaged down."""
    return np.asarray(cv2.resize(rgb, (SIDE, SIDE), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def colour_names(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.intp]:
    """Index into ``NAMES`` for every pixel of a uint8 RGB array [..., 3]."""
    step = rgb.astype(np.intp) >> 3
    return np.asarray(_table()[step[..., 0], step[..., 1], step[..., 2]])


def colour_shares(
    rgb: npt.NDArray[np.uint8], mask: npt.NDArray[np.bool_] | None = None, least: float = 0.15
) -> tuple[Guess, ...]:
    """Colour names of a uint8 RGB region [height, width, 3] with their shares, largest first.

    mask: of any size, which pixels count. When no name has half of the pixels, shades of one family are added up
    (dark blue and blue). Names with a smaller share than ``least`` are left out, and shares are of the pixels that
    stay: shadows and trimmings do not make a dress less red. () when more than half of the pixels are left out.
    """
    height, width = rgb.shape[:2]
    if height < 2 or width < 2:
        return ()
    size = (min(width, SIDE), min(height, SIDE))
    small = rgb if size == (width, height) else cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    counted = np.ones(size[::-1], dtype=bool)
    if mask is not None:
        counted = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.99
    if counted.sum() < 9:
        return ()
    shares = np.bincount(colour_names(small[counted]), minlength=len(NAMES)) / counted.sum()
    named = {name: float(share) for name, share in zip(NAMES, shares, strict=True) if share > 0}
    if max(named.values()) < 0.5:
        merged: dict[str, float] = {}
        for name, share in named.items():
            merged[FAMILIES.get(name, name)] = merged.get(FAMILIES.get(name, name), 0.0) + share
        named = merged
    named = {name: share for name, share in named.items() if share >= least}
    total = sum(named.values())
    if total < 0.5:
        return ()
    ranked = sorted(named.items(), key=lambda item: (-item[1], item[0]))
    return tuple(Guess(name, round(share / total, 3)) for name, share in ranked)


def lab_of(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """CIE Lab (L 0..100) of a uint8 RGB picture [height, width, 3]."""
    levels = rgb.astype(np.float32)
    levels *= np.float32(1 / 255)
    return np.asarray(cv2.cvtColor(levels, cv2.COLOR_RGB2Lab), dtype=np.float32)


@cache
def _table() -> npt.NDArray[np.intp]:
    """[32, 32, 32] name index of every RGB colour, 8 levels a step."""
    axis = (np.arange(32) * 8 + 4) / 255
    rgb = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).astype(np.float32)
    lab = cv2.cvtColor(rgb.reshape(1024, 32, 3), cv2.COLOR_RGB2Lab).reshape(32, 32, 32, 3)
    lightness, a, b = lab[..., 0], lab[..., 1], lab[..., 2]
    chroma = np.hypot(a, b)
    hue = np.degrees(np.arctan2(b, a)) % 360
    warm = (hue >= 20) & (hue < 95)
    # First match wins. Achromatic colours are told by chroma: the eye calls dark and light colours grey sooner.
    rules = [
        ("black", (lightness < 12) & (chroma < 22) | (lightness < 20) & (chroma < 10)),
        ("black", (lightness < 26) & (chroma < 7)),
        ("white", (lightness > 80) & (chroma < 9)),
        ("beige", warm & (lightness > 68) & (chroma >= 9) & (chroma < 34)),
        ("beige", (hue >= 95) & (hue < 112) & (lightness > 68) & (chroma >= 9) & (chroma < 20)),
        ("grey", chroma < np.where((hue > 220) & (hue < 310), 10, 9)),
        ("dark blue", (hue >= 245) & (hue < 312) & (lightness < 28)),
        ("light blue", (hue >= 205) & (hue < 290) & (lightness > 66)),
        ("blue", (hue >= 235) & (hue < 309)),
        ("teal", (hue >= 178) & (hue < 235)),
        ("purple", (hue >= 309) & (hue < 345) & (lightness < 72)),
        ("pink", ((hue >= 309) | (hue < 28)) & (lightness >= 54)),
        ("dark red", ((hue >= 345) | (hue < 45)) & (lightness < 30) & (chroma >= 22)),
        ("red", (hue >= 345) | (hue < 22)),
        ("red", (hue < 42) & (chroma >= 45) & (lightness < 60)),
        ("brown", warm & (lightness < 62) & (chroma < 52) & (hue < 88)),
        ("orange", (hue < 76) & (chroma >= 40)),
        ("beige", (hue < 88) & (lightness > 62) & (chroma < 45)),
        ("olive", (hue >= 76) & (hue < 112) & (lightness < 62)),
        ("yellow", (hue >= 76) & (hue < 112)),
        ("brown", hue < 76),
        ("green", np.ones_like(hue, dtype=bool)),
    ]
    names = np.select([rule for _, rule in rules], [NAMES.index(name) for name, _ in rules])
    return np.asarray(names, dtype=np.intp)
