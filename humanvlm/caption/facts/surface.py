"""What colour and texture tell of what is behind the people: grass, a starry sky, a brick wall. They were chosen on
photographs; snow, sand, sky and water were tried too, and told too unreliably.
"""

from collections.abc import Iterator, Mapping

import cv2
import numpy as np
import numpy.typing as npt

from humanvlm.caption.facts.attributes import Picture
from humanvlm.caption.facts.colour import lab_of
from humanvlm.data.facts import Guess

SIDE, FINE = 64, 256  # px, of the copies on which colours and texture are measured
LEAST_SEEN = 60  # of the small copy's pixels; of less nothing is told
ROUGH = 6.0  # mean absolute Laplacian of grey levels; lower is smooth
SPECK, SPECK_SIZE = 25, 16  # a star: brighter than around by so many grey levels, of so many px at most
SPECKS = 20, 700  # how many at least, and of how many they are a texture
DARK, GLOW = 45, 70  # grey levels of the night, and of what is no night
BAKED = 8.0, 75.0, -10.0  # CIE chroma at least, and hue between, of clay
JOINTS = 7, 11  # px of the finer copy, wider than joints may be
LEAST_JOINT = 2.0, 0.12  # how much lighter or darker a joint is than what is around it: CIE lightness, share of it
BRICK = 40, 0.72, (1.5, 6.0)  # px at least, share of its rectangle that it fills, length by width
BRICKS = 6  # how many at least
COVERED, BRICKWORK = (
    0.35,
    0.85,
)  # share of what is seen (one of 990 photographs without bricks has 0.31), and the probability
WORDS = {"grass": "on grass", "starry sky": "in front of a starry sky", "brick wall": "in front of a brick wall"}
OUTDOORS = {"grass", "starry sky"}  # hardly ever seen indoors


def surfaces(rgb: Picture, outside: npt.NDArray[np.bool_]) -> Mapping[str, Guess]:
    """Settings by the surface's name, each with its probability. outside: [height, width], the pixels of nobody."""
    found = {"grass": grass(rgb, outside), "starry sky": starry(rgb, outside), "brick wall": bricks(rgb, outside)}
    return {name: Guess(WORDS[name], sure, "colour") for name, sure in found.items() if sure > 0}


def grass(rgb: Picture, outside: npt.NDArray[np.bool_]) -> float:
    """Probability of grass: rough green in most of the lower part of the picture, or of the whole; 0 when unlikely.

    Of photographs with such a share of such pixels, at least as many have grass, a lawn or a field in their captions.
    """
    seen = cv2.resize(outside.astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_AREA) > 0.99
    lightness, a, b = np.moveaxis(lab_of(cv2.resize(rgb, (SIDE, SIDE), interpolation=cv2.INTER_AREA)), -1, 0)
    hue = np.degrees(np.arctan2(b, a)) % 360
    green = (hue > 95) & (hue < 150) & (np.hypot(a, b) > 12) & (lightness > 15) & (lightness < 80)
    fine = cv2.resize(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), (FINE, FINE), interpolation=cv2.INTER_AREA)
    rough = cv2.resize(abs(cv2.Laplacian(fine, cv2.CV_32F)), (SIDE, SIDE), interpolation=cv2.INTER_AREA) > ROUGH
    shares = [
        float((green & rough)[rows][seen[rows]].mean())
        for rows in (slice(SIDE * 5 // 8, SIDE), slice(0, SIDE))
        if seen[rows].sum() > LEAST_SEEN
    ]
    share = max(shares, default=0.0)
    return round(min(share, 0.95), 3) if share >= 0.5 else 0.0


def starry(rgb: Picture, outside: npt.NDArray[np.bool_]) -> float:
    """Probability of a night sky full of stars: dark, specks of light everywhere, and nothing else that is bright."""
    scale = FINE / max(rgb.shape[:2])
    size = tuple(max(round(side * scale), 8) for side in rgb.shape[1::-1])
    gray = cv2.resize(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), size, interpolation=cv2.INTER_AREA)
    seen = cv2.resize(outside.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
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
    lit = {(int(y * 8 / size[1]), int(x * 8 / size[0])) for x, y in specks}
    everywhere = sum(cell in lit for cell in cells) / max(len(cells), 1)
    return 0.85 if everywhere >= 0.85 and SPECKS[0] <= len(specks) <= SPECKS[1] else 0.0


def _cell(seen: npt.NDArray[np.bool_], row: int, column: int) -> npt.NDArray[np.bool_]:
    """One of 8 x 8 parts of the picture."""
    height, width = seen.shape
    return seen[row * height // 8 : (row + 1) * height // 8, column * width // 8 : (column + 1) * width // 8]


def bricks(rgb: Picture, outside: npt.NDArray[np.bool_]) -> float:
    """Probability of a brick wall: rectangles of clay's colours, all one way, that joints part and that cover much."""
    scale = FINE / max(rgb.shape[:2])
    size = tuple(max(round(side * scale), 8) for side in rgb.shape[1::-1])
    seen = cv2.resize(outside.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    seen = cv2.erode(seen, np.ones((3, 3), dtype=np.uint8)) > 0
    lightness, a, b = np.moveaxis(lab_of(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)), -1, 0)
    chroma, last, first = BAKED
    baked = (np.hypot(a, b) > chroma) & (np.degrees(np.arctan2(b, a)) < last) & (np.degrees(np.arctan2(b, a)) > first)
    if seen.mean() < 0.1 or (baked & seen).sum() < 0.3 * seen.sum():
        return 0.0
    walls = [_laid(one, float(seen.sum())) for one in _parted(lightness, seen, baked)]
    return BRICKWORK if max(walls) >= COVERED else 0.0


def _parted(
    lightness: npt.NDArray[np.float32], seen: npt.NDArray[np.bool_], baked: npt.NDArray[np.bool_]
) -> Iterator[npt.NDArray[np.float64]]:
    """Bricks [n, 4] px of each, its rectangle's width and length, and the rectangle's angle in degrees; by every way to
    find joints: lighter or darker than what is around, wide or narrow.
    """
    least = max(LEAST_JOINT[0], LEAST_JOINT[1] * float(np.median(lightness[seen])))
    pixels, full, (shortest, longest) = BRICK
    for width in JOINTS:
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))
        for away in (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT):
            body = (seen & (cv2.morphologyEx(lightness, away, kernel) < least)).astype(np.uint8)
            body = cv2.morphologyEx(body, cv2.MORPH_OPEN, np.ones((3, 3), dtype=np.uint8))
            _, labels, boxes, _ = cv2.connectedComponentsWithStats(body, connectivity=4)
            found = []
            for number in 1 + np.flatnonzero(boxes[1:, cv2.CC_STAT_AREA] >= pixels):
                x, y, across, down, area = boxes[number]
                part = labels[y : y + down, x : x + across] == number
                _, sides, angle = cv2.minAreaRect(np.argwhere(part)[:, ::-1].astype(np.float32))
                short, long = sorted(side + 1 for side in sides)
                clay = baked[y : y + down, x : x + across][part].mean() > 0.8
                if clay and area >= full * short * long and shortest < long / short < longest:
                    found.append((area, short, long, angle if sides[0] >= sides[1] else angle + 90))
            yield np.array(found, dtype=np.float64).reshape(-1, 4)


def _laid(found: npt.NDArray[np.float64], seen: float) -> float:
    """The share of what is seen that bricks cover, less as they lie different ways."""
    if len(found) < BRICKS:
        return 0.0
    pixels = found[:, 0]
    alike = abs((np.exp(2j * np.radians(found[:, 3])) * pixels).sum()) / pixels.sum()
    return float(pixels.sum() / seen * alike**2)
