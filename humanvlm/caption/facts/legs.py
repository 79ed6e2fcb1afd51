"""Trousers: cloth down to the ankles on legs that are seen apart. A skirt closes the gap between the thighs."""

import numpy as np

from humanvlm.caption.facts import pose
from humanvlm.caption.facts.crops import SIDE, Body
from humanvlm.data.facts import Guess

THIGHS = (11, 13), (12, 14)  # hip, knee of either leg
STEPS = np.linspace(0.5, 0.95, 12)  # of the way from hip to knee, where it is looked between the thighs
ACROSS = np.linspace(0, 1, 30)[:, None]  # of the way from the left thigh to the right one
GAP = 2  # samples of ACROSS that are not of the person


def trousers(body: Body, length: Guess | None) -> Guess | None:
    """Trousers, where the lower garment is ``long``; None where it is not, or the legs do not tell.

    The probability is that of the length times the share of the thighs' lower halves with a gap between them: close
    legs are unknown, not a skirt.
    """
    if length is None or length.value != "long" or (body.joints[np.ravel(THIGHS), 2] < pose.LEAST).any():
        return None
    apart = float(np.mean([_gap(body, step) for step in STEPS]))
    return Guess("trousers", round(length.probability * apart, 3), "geometry") if apart else None


def _gap(body: Body, step: float) -> bool:
    """Whether both thighs are of the person at this height, and not all between them is."""
    (hip, knee), (other_hip, other_knee) = THIGHS
    points = body.joints[:, :2]
    left = points[hip] + step * (points[knee] - points[hip])
    right = points[other_hip] + step * (points[other_knee] - points[other_hip])
    x, y = np.clip(np.round(left + ACROSS * (right - left)).astype(int), 0, SIDE - 1).T
    seen = body.mask[y, x]
    return bool(seen[0] and seen[-1] and (~seen).sum() >= GAP)
