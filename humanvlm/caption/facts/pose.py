"""What 17 body keypoints support: standing, sitting or lying; arms raised; the torso's region. Nothing is guessed from
points that were not seen.
"""

import math

import numpy as np
import numpy.typing as npt

from humanvlm.data.facts import Guess

LEAST = 0.3  # MoveNet's own threshold: points below are not seen
NOSE, SHOULDERS, WRISTS, HIPS, KNEES, ANKLES = 0, (5, 6), (9, 10), (11, 12), (13, 14), (15, 16)

Points = npt.NDArray[np.float32]


def posture(points: Points) -> Guess | None:
    """Standing, sitting or lying from [17, 3] keypoints (x px, y px, score), with the mean score of the joints used.

    Lying: the trunk is flatter than 35 degrees. Standing: thighs and shins are upright. Sitting: thighs cover less than
    half of the height that the shins cover, or are flat. None when the joints are not seen or the posture is between.
    """
    shoulders, hips = _middle(points, SHOULDERS), _middle(points, HIPS)
    if shoulders is None or hips is None:
        return None
    trunk = hips - shoulders
    if abs(trunk[1]) < 0.7 * abs(trunk[0]):
        return Guess("lying", _sureness(points, (*SHOULDERS, *HIPS)))
    knees, ankles = _middle(points, KNEES), _middle(points, ANKLES)
    if knees is None or ankles is None or trunk[1] <= 0:
        return None
    thigh, shin = knees - hips, ankles - knees
    sureness = _sureness(points, (*HIPS, *KNEES, *ANKLES))
    if thigh[1] > 0.5 * trunk[1] and shin[1] > 0.5 * trunk[1] and thigh[1] > 1.5 * abs(thigh[0]):
        return Guess("standing", sureness)
    if shin[1] > 0 and (thigh[1] < 0.5 * shin[1] or abs(thigh[0]) > 1.5 * abs(thigh[1])) and shin[1] > 0.3 * trunk[1]:
        return Guess("sitting", sureness)
    return None


def raised_arms(points: Points) -> Guess | None:
    """One or both wrists above the nose; None when neither is, or points are not seen."""
    shoulders = _middle(points, SHOULDERS)
    if shoulders is None or points[NOSE, 2] < LEAST or points[NOSE, 1] > shoulders[1]:
        return None
    raised = [wrist for wrist in WRISTS if points[wrist, 2] >= LEAST and points[wrist, 1] < points[NOSE, 1]]
    if not raised:
        return None
    return Guess("both arms raised" if len(raised) == 2 else "one arm raised", _sureness(points, (NOSE, *raised)))


def turned_away(points: Points) -> Guess | None:
    """Away from the camera, of a person whose face was not found: the right shoulder is on the picture's right.

    The surer, the wider the shoulders are against the trunk: of people seen from the side they nearly coincide. Of 39
    people in photographs with more than half of its length between them, 35 had turned away.
    """
    right, left, region = points[SHOULDERS[1]], points[SHOULDERS[0]], torso(points)
    if min(right[2], left[2]) < LEAST or region is None or right[0] <= left[0]:
        return None
    apart = float(right[0] - left[0]) / ((region[3] - region[1]) / 0.7)  # the region leaves out 0.3 of the trunk
    probability = 0.92 / (1 + math.exp(-(apart - 0.4) / 0.08))
    return Guess("away", round(probability, 3), "movenet-lightning") if probability >= 0.5 else None


def torso(points: Points) -> tuple[float, float, float, float] | None:
    """The xyxy px box between shoulders and hips, narrowed to leave out arms and background; None when not seen."""
    joints = points[[*SHOULDERS, *HIPS]]
    if (joints[:, 2] < LEAST).any():
        return None
    shoulders, hips = joints[:2, :2], joints[2:, :2]
    top, bottom = shoulders[:, 1].mean(), hips[:, 1].mean()
    width = max(np.ptp(shoulders[:, 0]), np.ptp(hips[:, 0]))
    centre, height = joints[:, 0].mean(), bottom - top
    if height < 0.8 * width or width < 4:
        return None
    box = (centre - 0.38 * width, top + 0.15 * height, centre + 0.38 * width, top + 0.85 * height)
    return (float(box[0]), float(box[1]), float(box[2]), float(box[3]))


def _middle(points: Points, joints: tuple[int, ...]) -> npt.NDArray[np.float32] | None:
    """The mean x, y of those of the joints that are seen; None when none is."""
    seen = points[[joint for joint in joints if points[joint, 2] >= LEAST], :2]
    return np.asarray(seen.mean(axis=0), dtype=np.float32) if len(seen) else None


def _sureness(points: Points, joints: tuple[int, ...]) -> float:
    scores = points[list(joints), 2]
    return round(float(scores[scores >= LEAST].mean()), 3)
