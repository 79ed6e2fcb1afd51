"""What is worn on the parts of a body: where its joints are, in the colours of the person's mask without skin."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from humanvlm.caption.facts import pose
from humanvlm.caption.facts.colour import colour_shares, lab_of
from humanvlm.caption.facts.crops import SIDE, Body, Floats, Mask, away
from humanvlm.caption.facts.legs import trousers
from humanvlm.data.detections import Box
from humanvlm.data.facts import Garment, Guess

SKIN = 14.0  # CIE Lab distance, lightness counting a third, within which a pixel has the skin's colour
TORSO_SKIN = 9.0  # the same for the torso, of which little is bare: brown and beige clothes are not skin
SKIN_NAMES = {"brown", "beige", "pink"}  # of colours, that skin may have too
BARE = 0.5  # share of the trunk with the skin's colour above which it may be bare
SHADED = 0.5  # of white to grey, from which on the grey is a shadow
LEAST_PIXELS = 40  # of the crop, to speak of a garment's colour
LEAST_LIMB = 12.0  # px of the crop; of shorter limbs, sleeves are not told
SLEEVE = "colour"
LEGS_BEGIN, FEET_BEGIN = 1.2, 2.5  # faces' heights below the chin, less of which not even crouching people have
ARMS, LEGS = ((5, 7, 9), (6, 8, 10)), ((11, 13, 15), (12, 14, 16))


def garments_of(body: Body, face: Box | None, skin: Floats | None, kind: Guess | None) -> tuple[Garment, ...]:
    """Garments of upper and lower body and the shoes, as far as they are seen; one of the whole body where both are of
    one piece.

    face: its box in the crop. skin: its CIE Lab colour; None where it is not known: bare limbs then count as cloth of
    their colour, and nothing is said of sleeves. kind: what the upper garment, or the whole, probably is.
    """
    bare = closely = np.zeros((SIDE, SIDE), dtype=bool)
    if skin is not None and body.mask.any():
        unlike = np.full((SIDE, SIDE), np.inf, dtype=np.float32)
        unlike[body.mask] = away(lab_of(body.rgb[body.mask][None]), skin)[0]
        bare, closely = unlike < SKIN, unlike < TORSO_SKIN
    torso, legs, feet = _torso(body, face), _below(_legs(body), face, LEGS_BEGIN), _below(_feet(body), face, FEET_BEGIN)
    upper = _colours(body, torso, closely)
    if upper and upper[0].value in SKIN_NAMES and (skin is None or _bare_share(body, torso, bare) > BARE):
        upper = ()  # cloth, or a bare trunk: not told
    lower = _colours(body, legs, bare) if legs is not None else ()
    shoes = _colours(body, feet, bare) if feet is not None else ()
    sleeves = _length(body, bare, ARMS, ("sleeveless", "short-sleeved", "long-sleeved")) if skin is not None else None
    hem = _length(body, bare, LEGS, ("short", "short", "long")) if skin is not None and legs is not None else None
    found = []
    if upper or kind:
        found.append(Garment("upper", upper, kind, sleeves if upper else None))
    if lower:
        found.append(Garment("lower", lower, trousers(body, hem), hem))
    if shoes:
        found.append(Garment("feet", shoes))
    return tuple(found)


def _below(region: Mask | None, face: Box | None, faces: float) -> Mask | None:
    """The region as far as it is so many faces' heights below the chin: joints are also found where none are seen."""
    if region is None or face is None:
        return region
    rows = np.arange(SIDE)[:, None]
    return np.asarray(region & (rows >= face[3] + faces * (face[3] - face[1])))


def _bare_share(body: Body, region: Mask | None, bare: Mask) -> float:
    """The share of a region of the person that has the skin's colour."""
    worn = body.mask if region is None else region & body.mask
    return int(np.count_nonzero(worn & bare)) / max(int(np.count_nonzero(worn)), 1)


def _colours(body: Body, region: Mask | None, bare: Mask) -> tuple[Guess, ...]:
    """Colours of what covers a region; () when it is hardly seen, or mostly bare."""
    if region is None:
        return ()
    worn = region & body.mask
    cloth = worn & ~bare
    if np.count_nonzero(cloth) < max(LEAST_PIXELS, 0.25 * np.count_nonzero(worn)):
        return ()
    rows, columns = np.flatnonzero(cloth.any(axis=1)), np.flatnonzero(cloth.any(axis=0))
    part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    return _whitened({one.value: one.probability for one in colour_shares(body.rgb[part], cloth[part])})


def _whitened(shares: Mapping[str, float]) -> tuple[Guess, ...]:
    """Colours, largest share first; the shadows of white cloth, which are grey, count as white."""
    white, grey = shares.get("white", 0.0), shares.get("grey", 0.0)
    if white and grey and white >= SHADED * grey:
        shares = {name: share for name, share in shares.items() if name != "grey"} | {"white": round(white + grey, 3)}
    ranked = sorted(shares.items(), key=lambda item: (-item[1], item[0]))
    return tuple(Guess(name, share, "colour") for name, share in ranked)


def _torso(body: Body, face: Box | None) -> Mask | None:
    """Where the clothes of the upper body are: between the joints, else below the chin, else the crop's middle."""
    region = pose.torso(body.joints)
    if face is not None:
        x0, y0, x1, y1 = face
        side, centre = y1 - y0, (x0 + x1) / 2
        if region and region[1] > (y0 + y1) / 2 and region[0] < x1 and region[2] > x0:  # the joints are this person's
            return _box(region[0], max(region[1], y1 + 0.3 * side), region[2], region[3])
        below = _box(centre - 1.2 * side, y1 + 0.1 * side, centre + 1.2 * side, y1 + 2 * side)
        rows, columns = np.ogrid[:SIDE, :SIDE]
        reach = 0.3 + 0.8 * np.clip((rows - y1) / max(0.6 * side, 1.0), 0, 1)  # shoulders widen below a face
        aside = abs(columns - centre) / max(side, 1.0)
        neck = (aside < 0.42) & (rows < y1 + 0.45 * side)  # skin in shadow, a collar, a scarf
        return np.asarray(below & (aside <= reach) & ~neck)
    if region is None:
        rows, columns = np.flatnonzero(body.mask.any(axis=1)), np.flatnonzero(body.mask.any(axis=0))
        if not len(rows) or len(rows) < 1.5 * len(columns):  # a whole upright body; of another it could be anything
            return None
        top, left, height, width = rows[0], columns[0], len(rows), len(columns)
        region = (left + 0.3 * width, top + 0.24 * height, left + 0.7 * width, top + 0.42 * height)
    return _box(*region)


def _legs(body: Body) -> Mask | None:
    """Thighs and shins, as far as their joints are seen, from below the hem of a shirt on."""
    drawn = np.zeros((SIDE, SIDE), dtype=np.uint8)
    for hip, knee, ankle in LEGS:
        if not _seen(body, (hip, knee)):
            continue
        start, middle, end = body.joints[[hip, knee, ankle], :2]
        thick = max(round(0.22 * float(np.linalg.norm(middle - start))), 3)
        _draw(drawn, start + 0.3 * (middle - start), middle, thick)
        if _seen(body, (knee, ankle)):
            _draw(drawn, middle, middle + 0.85 * (end - middle), thick)
    return drawn > 0 if drawn.any() else None


def _feet(body: Body) -> Mask | None:
    """Below the ankles."""
    drawn = np.zeros((SIDE, SIDE), dtype=np.uint8)
    for _, knee, ankle in LEGS:
        if _seen(body, (knee, ankle)):
            shin, end = body.joints[ankle, :2] - body.joints[knee, :2], body.joints[ankle, :2]
            thick = max(round(0.4 * float(np.linalg.norm(shin))), 3)
            _draw(drawn, end + 0.12 * shin, end + 0.3 * shin, thick)
    return drawn > 0 if drawn.any() else None


def _length(body: Body, bare: Mask, limbs: Sequence[tuple[int, int, int]], names: tuple[str, str, str]) -> Guess | None:
    """Whether both halves of the limbs are bare (the first name), the outer one (the second), or none (the third).

    The probability is the share of the seen limbs' pixels that agree; None when no limb is long enough to tell.
    """
    inner, outer = [], []
    for first, joint, last in limbs:
        if not _seen(body, (first, joint, last)):
            continue
        points = body.joints[[first, joint, last], :2]
        if min(np.linalg.norm(points[1] - points[0]), np.linalg.norm(points[2] - points[1])) < LEAST_LIMB:
            continue
        inner.append(_along(body, bare, points[0], points[1], 0.35, 0.9))
        outer.append(_along(body, bare, points[1], points[2], 0.2, 0.8))
    upper, lower = [share for share in inner if share is not None], [share for share in outer if share is not None]
    if not upper or not lower:
        return None
    high, low = float(np.mean(upper)), float(np.mean(lower))
    chances = {names[0]: min(high, low), names[1]: min(1 - high, low), names[2]: min(1 - low, 1 - high)}
    if names[0] == names[1]:
        chances = {names[0]: low, names[2]: 1 - low}
    value = max(chances, key=chances.__getitem__)
    return Guess(value, round(chances[value], 3), SLEEVE)


def _along(body: Body, bare: Mask, start: Floats, end: Floats, first: float, last: float) -> float | None:
    """The share of bare pixels around a limb's axis between two shares of its length; None when it is not seen."""
    drawn = np.zeros((SIDE, SIDE), dtype=np.uint8)
    _draw(
        drawn,
        start + first * (end - start),
        start + last * (end - start),
        max(round(0.12 * np.linalg.norm(end - start)), 2),
    )
    limb = drawn > 0
    seen = limb & body.mask
    count = int(np.count_nonzero(seen))
    return int(np.count_nonzero(seen & bare)) / count if count >= 0.6 * max(int(np.count_nonzero(limb)), 1) else None


def _seen(body: Body, joints: Sequence[int]) -> bool:
    return bool((body.joints[list(joints), 2] >= pose.LEAST).all())


def _draw(canvas: npt.NDArray[np.uint8], start: Floats, end: Floats, thick: int) -> None:
    a, b = (tuple(int(value) for value in np.clip(np.round(point), -SIDE, 2 * SIDE)) for point in (start, end))
    cv2.line(canvas, a, b, 1, thick)


def _box(x0: float, y0: float, x1: float, y1: float) -> Mask:
    filled = np.zeros((SIDE, SIDE), dtype=bool)
    left, top, right, bottom = (int(np.clip(round(value), 0, SIDE)) for value in (x0, y0, x1, y1))
    filled[top:bottom, left:right] = True
    return filled
