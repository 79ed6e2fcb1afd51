"""What the pixels of a head show, as numbers: edges where glasses have frames, colours of crown and sides, dark chins.

Each is a difference to the same person's skin, or a share of a length of the same face, so that light and size count
little. What they mean is decided in ``head``.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from humanvlm.caption.facts.colour import lab_of
from humanvlm.caption.facts.crops import FACE_SIDE, SIDE, Floats, Head, Mask, away, median, patches

RIGHT_EYE, LEFT_EYE = (33, 133, 159, 145, 158, 153), (362, 263, 386, 374, 385, 380)  # corners, then lids in pairs
Colour = tuple[float, float, float]  # CIE Lab
SKIN, HAIR = 14.0, 15.0  # CIE Lab distances, lightness counting a third, within which a colour is the same


@dataclass(frozen=True)
class Signs:
    """Lengths are shares of the face's height or width, gradients lightness a px, colours CIE Lab.

    yaw, pitch: degrees, positive to the picture's right and down.
    """

    yaw: float
    pitch: float
    eyes: float  # gap between the lids, of the eye's width
    mouth: float  # gap between the lips, of the mouth's width
    skin: Colour
    bridge: float  # edges across the bridge of the nose, where glasses have one
    under: float  # edges under the eyes
    temples: float  # edges from the eyes to the ears
    cheeks: float  # edges on the cheeks, for comparison
    eye_light: float  # lightness around the eyes, less the skin's
    eye_spread: float
    chin: float  # lightness of the chin, less the skin's
    lip: float  # lightness above the upper lip, less the skin's
    chin_colour: float  # how far the chin's hue and chroma are from the skin's
    top: "Top"


@dataclass(frozen=True)
class Top:
    """What is on the skull: hair, skin or hat."""

    colour: Colour | None  # of the crown, above the forehead
    bare: float  # share of the crown that has the skin's colour
    change: float  # how far the crown's colour is from that of the sides
    width: float
    forehead: float  # from the brows up to what covers the forehead
    brim: float  # how far that edge is from a smooth curve
    beside: float  # share of the space beside cheeks and chin that looks like the crown
    below: float  # the same below the chin, on the fuller side
    below_both: float  # and on the other
    seen: float  # share of the space above the head that the picture shows


def signs_of(head: Head) -> Signs:
    """The signs of one head."""
    skin = head.skin
    points = head.points
    lab = head.face_lab
    light = np.ascontiguousarray(lab[..., 0])
    down = abs(cv2.Sobel(light, cv2.CV_32F, 0, 1, ksize=3)) / 8
    along = abs(cv2.Sobel(light, cv2.CV_32F, 1, 0, ksize=3)) / 8
    steep = np.hypot(down, along)
    eye = (
        float(np.linalg.norm(points[33, :2] - points[133, :2]) + np.linalg.norm(points[362, :2] - points[263, :2])) / 2
    )
    middle = (points[133, :2] + points[362, :2]) / 2

    def box(values: npt.NDArray[np.float32], x0: float, y0: float, x1: float, y1: float) -> Floats:
        edges = (*sorted((x0, x1)), *sorted((y0, y1)))
        left, right, top, bottom = (int(min(max(at, 0), FACE_SIDE - 2)) for at in edges)
        return np.asarray(values[top : bottom + 1, left : right + 1], dtype=np.float32)

    bridge = box(down, middle[0] - 0.28 * eye, middle[1] - 0.3 * eye, middle[0] + 0.28 * eye, middle[1] + 0.35 * eye)
    under, temples, dark = [], [], []
    for outer, inner, lower, ear in ((33, 133, 145, 127), (263, 362, 374, 356)):
        x0, x1, y, corner = points[outer, 0], points[inner, 0], points[lower, 1], points[outer, 1]
        under.append(box(steep, x0, y + 0.22 * eye, x1, y + 0.85 * eye))
        temples.append(box(down, x0, corner - 0.3 * eye, points[ear, 0], corner + 0.2 * eye))
        dark.append(box(light, x0, y - 0.55 * eye, x1, y + 0.4 * eye).reshape(-1))
    cheeks = patches(steep[..., None], points[[50, 280, 205, 425]], 6)
    darkness = np.concatenate(dark)

    def strong(values: Floats) -> float:
        fifth = max(values.size // 5, 1)
        return float(np.partition(values, -fifth, axis=None)[-fifth:].mean())

    chin = median(patches(lab, points[[200, 199, 175, 171, 396, 170, 395, 140, 369]], 4).reshape(-1, 3)) - skin
    lip = median(patches(lab, points[[164, 167, 393, 165, 391]], 2).reshape(-1, 3)) - skin
    darker, lighter = np.percentile(darkness, (20, 80))
    return Signs(
        eyes=(_gap(points, RIGHT_EYE) + _gap(points, LEFT_EYE)) / 2,
        mouth=_length(points, 13, 14) / max(_length(points, 78, 308), 1.0),
        yaw=float(np.degrees(np.arctan2(points[454, 2] - points[234, 2], points[454, 0] - points[234, 0]))),
        pitch=float(np.degrees(np.arctan2(points[152, 2] - points[10, 2], points[152, 1] - points[10, 1]))),
        skin=_colour(skin),
        bridge=strong(bridge),
        under=float(np.mean([strong(values) for values in under])),
        temples=float(np.mean([strong(values) for values in temples])),
        cheeks=strong(cheeks),
        eye_light=float(np.median(darkness) - skin[0]),
        eye_spread=float(lighter - darker),
        chin=float(chin[0]),
        lip=float(lip[0]),
        chin_colour=float(np.hypot(*chin[1:])),
        top=_top(head, skin),
    )


def _top(head: Head, skin: Floats) -> Top:
    lab = lab_of(head.rgb)
    places = head.places
    rows, columns = np.ogrid[:SIDE, :SIDE]
    height = max(float(np.linalg.norm(places[10] - places[152])), 1.0)
    width = max(float(np.linalg.norm(places[234] - places[454])), 1.0)
    centre = float(places[[234, 454], 0].mean())
    brow, top, chin = float(places[[105, 334], 1].mean()), float(places[10, 1]), float(places[152, 1])
    nose = float(places[4, 1])
    beyond = head.beyond / height
    aside = abs(columns - centre) / width
    sides = head.within & (rows >= brow) & (rows < chin) & (beyond > 0.04) & (aside < 0.8)
    bare = away(lab, skin) < SKIN
    crown_lab, side_lab = _covering(lab, head.crown, skin), _median(lab, sides & ~bare)
    # Where what covers the forehead ends, across the face: low and smooth where it is a brim.
    edge = []
    for x in np.linspace(centre - 0.3 * width, centre + 0.3 * width, 13).round().astype(int):
        if 0 <= x < SIDE and (rows_of := np.flatnonzero(head.mask[: int(brow), x])).size:
            column = bare[rows_of[0] + 3 : max(int(brow), 0), x]
            ends = np.flatnonzero(column[:-1] & column[1:])
            edge.append((x, float(rows_of[0] + 3 + ends[0]) if len(ends) else brow))
    xs, ys = np.array(edge or [(0, top)], dtype=np.float64).T
    brim = float(np.abs(np.polyval(np.polyfit(xs, ys, 2), xs) - ys).mean() / height) if len(edge) > 4 else 0.1
    hairy = head.mask & (away(lab, np.array(crown_lab)) < HAIR) if crown_lab is not None else bare & False
    low = (rows >= chin) & (rows < chin + 0.3 * height) & (aside > 0.4) & (aside < 0.75)
    middle = (rows >= nose) & (rows < chin) & (beyond > 0.03) & (aside < 0.8)
    above = (rows < top) & (rows > top - 0.5 * height) & (aside < 0.5)
    left, right = low & (columns < centre), low & (columns > centre)
    change = 0.0
    if crown_lab is not None and side_lab is not None:
        lightness, a, b = np.subtract(crown_lab, side_lab)
        change = float(np.sqrt((lightness / 2) ** 2 + a**2 + b**2))
    upper = head.mask & (rows < brow) & (rows > top - 0.6 * height)
    return Top(
        colour=crown_lab,
        bare=_share(bare, head.crown),
        change=change,
        width=float(upper.sum(axis=1).max()) / width,
        forehead=(brow - float(np.median(ys))) / height,
        brim=brim,
        beside=_share(hairy, middle),
        below=max(_share(hairy, left), _share(hairy, right)),
        below_both=min(_share(hairy, left), _share(hairy, right)),
        seen=_share(head.inside, above),
    )


def _share(what: Mask, of: Mask) -> float:
    return int(np.count_nonzero(what & of)) / max(int(np.count_nonzero(of)), 1)


def _median(lab: Floats, mask: Mask) -> Colour | None:
    return _colour(median(lab[mask])) if mask.sum() >= 40 else None


def _covering(lab: Floats, crown: Mask, skin: Floats) -> Colour | None:
    """The colour of hair or hat: of the crown without skin, when enough is left, in its darker middle, as strands of
    light hair lie in their own shadow.
    """
    values = lab[crown]
    if len(values) < 40:
        return None
    lightness, a, b = (values - skin).T
    cover = values[np.sqrt((lightness / 2) ** 2 + a**2 + b**2) > 10]
    values = cover if len(cover) > 0.3 * len(values) else values
    return float(np.percentile(values[:, 0], 35)), float(np.median(values[:, 1])), float(np.median(values[:, 2]))


def _colour(values: npt.NDArray[np.float32]) -> Colour:
    return float(values[0]), float(values[1]), float(values[2])


def _length(points: Floats, one: int, other: int) -> float:
    return float(np.linalg.norm(points[one, :2] - points[other, :2]))


def _gap(points: Floats, eye: tuple[int, ...]) -> float:
    outer, inner, *lids = eye
    gaps = [_length(points, upper, lower) for upper, lower in zip(lids[::2], lids[1::2], strict=True)]
    return float(np.mean(gaps)) / max(_length(points, outer, inner), 1.0)
