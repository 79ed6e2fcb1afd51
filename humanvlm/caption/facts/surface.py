"""What colour and texture tell of what is behind the people: grass, a starry sky, a brick wall. They were chosen on
photographs; snow, sand, sky and water were tried too, and told too unreliably.
"""

import math
from collections.abc import Iterator, Mapping

import cv2
import numpy as np
import numpy.typing as npt

from humanvlm.caption.facts.attributes import Picture
from humanvlm.caption.facts.colour import lab_of
from humanvlm.data.facts import Guess

SIDE, FINE = 64, 256  # px, of the copies on which colours and texture are measured
LEAST_SEEN = 60  # of the small copy's pixels; of less nothing is told
LEAST_GREEN = 0.5  # share of those seen that are grass
ROUGH = 6.0  # mean absolute Laplacian of grey levels; lower is smooth
SPECK, SPECK_SIZE = 25, 16  # a star: brighter than around by so many grey levels, of so many px at most
SPECKS = 20, 700  # how many at least, and of how many they are a texture
DARK, GLOW = 45, 70  # grey levels of the night, and of what is no night
BAKED = 8.0, 75.0, -10.0  # CIE chroma at least, and hue between, of clay
REDDER = 8  # levels by which red is more than green and blue in all of these colours
JOINTS = 7, 11  # px of the finer copy, wider than joints may be
LEAST_JOINT = 2.0, 0.12  # how much lighter or darker a joint is than what is around it: CIE lightness, share of it
BRICK = 40, 0.72, (1.5, 6.0)  # px at least, share of its rectangle that it fills, length by width
CLAY = 0.8  # share of a brick's pixels that have clay's colours
BRICKS = 6  # how many at least
COVERED, BRICKWORK = (
    0.35,
    0.85,
)  # share of what is seen (one of 990 photographs without bricks has 0.31), and the probability
WORDS = {"grass": "on grass", "starry sky": "in front of a starry sky", "brick wall": "in front of a brick wall"}
OUTDOORS = {"grass", "starry sky"}  # hardly ever seen indoors


def surfaces(rgb: Picture, small: Picture, outside: npt.NDArray[np.bool_]) -> Mapping[str, Guess]:
    """Settings by the surface's name, each with its probability. small: the picture averaged down. outside: [height,
    width], the pixels of nobody.
    """
    fine = _smaller(rgb, outside)
    found = {"grass": grass(rgb, small, outside), "starry sky": starry(*fine), "brick wall": bricks(*fine)}
    return {name: Guess(WORDS[name], sure, "colour") for name, sure in found.items() if sure > 0}


def grass(rgb: Picture, small: Picture, outside: npt.NDArray[np.bool_]) -> float:
    """Probability of grass: rough green in most of the lower part of the picture, or of the whole; 0 when unlikely.

    Of photographs with such a share of such pixels, at least as many have grass, a lawn or a field in their captions.
    """
    seen = cv2.resize(outside.astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_AREA) > 0.99
    lightness, a, b = np.moveaxis(lab_of(small), -1, 0)
    hue = np.degrees(np.arctan2(b, a)) % 360
    green = (hue > 95) & (hue < 150) & (np.hypot(a, b) > 12) & (lightness > 15) & (lightness < 80)
    parts = [rows for rows in (slice(SIDE * 5 // 8, SIDE), slice(0, SIDE)) if seen[rows].sum() > LEAST_SEEN]
    if max((green[rows][seen[rows]].mean() for rows in parts), default=0.0) < LEAST_GREEN:
        return 0.0
    fine = cv2.resize(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), (FINE, FINE), interpolation=cv2.INTER_AREA)
    rough = cv2.resize(abs(cv2.Laplacian(fine, cv2.CV_32F)), (SIDE, SIDE), interpolation=cv2.INTER_AREA) > ROUGH
    share = max(float((green & rough)[rows][seen[rows]].mean()) for rows in parts)
    return round(min(share, 0.95), 3) if share >= LEAST_GREEN else 0.0


def starry(rgb: Picture, outside: npt.NDArray[np.bool_]) -> float:
    """Probability of a night sky full of stars: dark, specks of light everywhere, and nothing else that is bright."""
    small, seen = _smaller(rgb, outside)
    gray = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    if seen.mean() < 0.1 or (gray[seen] < DARK).mean() < 0.8:
        return 0.0
    if (cv2.GaussianBlur(gray, (0, 0), 3)[seen] > GLOW).mean() > 0.1:
        return 0.0
    light = cv2.morphologyEx(gray, cv2.MORPH_TOPHAT, np.ones((7, 7), dtype=np.uint8)) > SPECK
    _, _, numbers, middles = cv2.connectedComponentsWithStats((light & seen).astype(np.uint8))
    specks = middles[1:][numbers[1:, cv2.CC_STAT_AREA] <= SPECK_SIZE]
    cells = [
        (row, column)
        for row in range(8)
        for column in range(8)
        if _cell(seen, row, column).size and _cell(seen, row, column).mean() > 0.8
    ]
    lit = {(int(y * 8 / seen.shape[0]), int(x * 8 / seen.shape[1])) for x, y in specks}
    everywhere = sum(cell in lit for cell in cells) / max(len(cells), 1)
    return 0.85 if everywhere >= 0.85 and SPECKS[0] <= len(specks) <= SPECKS[1] else 0.0


def _smaller(rgb: Picture, outside: npt.NDArray[np.bool_]) -> tuple[Picture, npt.NDArray[np.bool_]]:
    """Copies with a longer side of 256 px."""
    scale = FINE / max(rgb.shape[:2])
    size = tuple(max(round(side * scale), 8) for side in rgb.shape[1::-1])
    if size == rgb.shape[1::-1]:
        return rgb, outside
    seen = cv2.resize(outside.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), dtype=np.uint8), seen


def _cell(seen: npt.NDArray[np.bool_], row: int, column: int) -> npt.NDArray[np.bool_]:
    """One of 8 x 8 parts of the picture."""
    height, width = seen.shape
    return seen[row * height // 8 : (row + 1) * height // 8, column * width // 8 : (column + 1) * width // 8]


def bricks(rgb: Picture, outside: npt.NDArray[np.bool_]) -> float:
    """Probability of a brick wall: rectangles of clay's colours, all one way, that joints part and that cover much."""
    small, free = _smaller(rgb, outside)
    seen = cv2.erode(free.astype(np.uint8), np.ones((3, 3), dtype=np.uint8)) > 0
    pixels = int(np.count_nonzero(seen))
    if pixels < 0.1 * seen.size:
        return 0.0
    red, green, blue = cv2.split(small)
    if np.count_nonzero((cv2.subtract(red, cv2.max(green, blue)) >= REDDER) & seen) < 0.3 * pixels:
        return 0.0
    lightness, a, b = cv2.split(lab_of(small))
    chroma, last, first = BAKED
    baked = (b < math.tan(math.radians(last)) * a) & (b > math.tan(math.radians(first)) * a)  # hence a > 0
    baked &= a * a + b * b > chroma**2
    if np.count_nonzero(baked & seen) < 0.3 * pixels:
        return 0.0
    walls = (_laid(one, pixels) for one in _parted(lightness, seen, baked))
    return BRICKWORK if any(covered >= COVERED for covered in walls) else 0.0


def _parted(
    lightness: npt.NDArray[np.float32], seen: npt.NDArray[np.bool_], baked: npt.NDArray[np.bool_]
) -> Iterator[npt.NDArray[np.float64]]:
    """Bricks [n, 4] px of each, its rectangle's width and length, and the rectangle's angle in degrees; by every way to
    find joints: lighter or darker than what is around, wide or narrow.
    """
    everything = np.count_nonzero(seen)
    least = max(LEAST_JOINT[0], LEAST_JOINT[1] * float(np.median(lightness[seen])))
    pixels, full, (shortest, longest) = BRICK
    for width in JOINTS:
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))
        for away in (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT):
            body = (seen & (cv2.morphologyEx(lightness, away, kernel) < least)).astype(np.uint8)
            body = cv2.morphologyEx(body, cv2.MORPH_OPEN, np.ones((3, 3), dtype=np.uint8))
            _, labels, boxes, _ = cv2.connectedComponentsWithStats(body, connectivity=4)
            areas = boxes[:, cv2.CC_STAT_AREA]
            clay = np.bincount(labels.ravel(), weights=baked.ravel(), minlength=len(areas)) > CLAY * areas
            clay &= (areas >= pixels) & (np.arange(len(areas)) > 0)  # the first is what is left
            found = []
            for number in np.flatnonzero(clay) if areas[clay].sum() >= COVERED * everything else ():
                x, y, across, down, area = boxes[number]
                part = labels[y : y + down, x : x + across] == number
                first, last = part.argmax(axis=1), across - 1 - part[:, ::-1].argmax(axis=1)
                rows = np.arange(down)  # the ends of all rows have the hull of all pixels
                ends = np.concatenate([np.stack([first, rows], axis=1), np.stack([last, rows], axis=1)])
                _, sides, angle = cv2.minAreaRect(ends.astype(np.int32))
                short, long = sorted(side + 1 for side in sides)
                if area >= full * short * long and shortest < long / short < longest:
                    found.append((area, short, long, angle if sides[0] >= sides[1] else angle + 90))
            yield np.array(found, dtype=np.float64).reshape(-1, 4)


def _laid(found: npt.NDArray[np.float64], seen: float) -> float:
    """The share of what is seen that bricks cover, less as they lie different ways."""
    if len(found) < BRICKS:
        return 0.0
    pixels = found[:, 0]
    alike = abs((np.exp(2j * np.radians(found[:, 3])) * pixels).sum()) / pixels.sum()
    return float(pixels.sum() / seen * alike**2)
