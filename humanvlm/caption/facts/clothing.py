"""The colours of the clothes on the upper body: where they are, and which pixels are cloth."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from humanvlm.caption.facts import pose
from humanvlm.caption.facts.attributes import Picture
from humanvlm.caption.facts.colour import colour_shares, lab_of
from humanvlm.data.detections import Box, clip
from humanvlm.data.facts import Guess


def clothing_colours(
    rgb: Picture, frame: Box, face: Box | None, points: pose.Points, others: Sequence[Box]
) -> tuple[Guess, ...]:
    """Colours of the upper body. Pixels that somebody else may cover do not count, unless that leaves too few; nor do
    those of the colour of the face's skin.
    """
    height, width = rgb.shape[:2]
    region = _torso(frame, face, points)
    if region is None:
        return ()
    x0, y0, x1, y1 = (round(value) for value in clip(region, width, height, least=1))
    if min(x1 - x0, y1 - y0) < 6:
        return ()
    worn = np.ones((y1 - y0, x1 - x0), dtype=bool)
    if face is not None:
        worn = _below_chin(face, np.arange(x0, x1), np.arange(y0, y1))
    free = worn.copy()
    for other in others:
        left, top, right, bottom = (round(value) for value in other)
        free[max(top - y0, 0) : max(bottom - y0, 0), max(left - x0, 0) : max(right - x0, 0)] = False
    if free.sum() > 0.3 * worn.sum():
        worn = free
    cloth = worn if face is None else worn & ~_skin(rgb, face, rgb[y0:y1, x0:x1])
    return colour_shares(rgb[y0:y1, x0:x1], cloth) if cloth.sum() > 0.25 * worn.sum() else ()


def _torso(frame: Box, face: Box | None, points: pose.Points) -> Box | None:
    """Where the clothes of the upper body are: between the joints, else below the chin, else the frame's middle."""
    region = pose.torso(points)
    if face is not None:
        x0, y0, x1, y1 = face
        side, centre = y1 - y0, (x0 + x1) / 2
        if region and region[1] > (y0 + y1) / 2 and region[0] < x1 and region[2] > x0:  # the joints are this person's
            return region[0], max(region[1], y1 + 0.3 * side), region[2], region[3]
        below = (centre - 1.2 * side, y1 + 0.1 * side, centre + 1.2 * side, y1 + 1.8 * side)
        return max(below[0], frame[0]), below[1], min(below[2], frame[2]), min(below[3], frame[3])
    x0, y0, x1, y1 = frame
    if region is None and y1 - y0 >= 1.5 * (x1 - x0):  # a whole upright body; of another, the middle could be anything
        region = (x0 + 0.35 * (x1 - x0), y0 + 0.24 * (y1 - y0), x0 + 0.65 * (x1 - x0), y0 + 0.42 * (y1 - y0))
    return region


def _below_chin(face: Box, xs: npt.NDArray[np.intp], ys: npt.NDArray[np.intp]) -> npt.NDArray[np.bool_]:
    """[len(ys), len(xs)]: the pixels of neck and shoulders, which widen below a face."""
    side, centre = face[3] - face[1], (face[0] + face[2]) / 2
    reach = 0.3 + 0.8 * np.clip((ys - face[3]) / (0.6 * side), 0, 1)
    return np.asarray(abs(xs[None, :] - centre) <= reach[:, None] * side)


def _skin(rgb: Picture, face: Box, patch: Picture) -> npt.NDArray[np.bool_]:
    """Which pixels of the patch have the colour of the face's middle, within what shading does to it."""
    x0, y0, x1, y1 = face
    cheeks = x0 + 0.3 * (x1 - x0), y0 + 0.4 * (y1 - y0), x1 - 0.3 * (x1 - x0), y0 + 0.75 * (y1 - y0)
    left, top, right, bottom = clip(cheeks, rgb.shape[1], rgb.shape[0], least=1)
    middle = lab_of(rgb[round(top) : round(bottom) + 1, round(left) : round(right) + 1])
    lightness, a, b = np.moveaxis(lab_of(patch) - np.median(middle.reshape(-1, 3), axis=0), -1, 0)
    return np.asarray((lightness / 2) ** 2 + a**2 + b**2 < 10**2)
