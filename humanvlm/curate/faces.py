"""Faces of a whole picture, and a second, closer look at people whose face was too small for the first.

The full-range detector sees a picture at 192 px, where faces of people further away are a few pixels wide. The closer
look runs on the upper part of every person box that has no face yet.
"""

from collections.abc import Sequence

import numpy as np

from humanvlm.curate.detectors import FaceDetector
from humanvlm.data.detections import Box, Detection, Face, Picture, overlaps

MAX_PEOPLE = 8
UPPER_SHARE = 0.35  # of a standing person's height, when that is more than the width
MARGIN = 0.08
MIN_CROP = 24  # pixels; less shows no face
MAX_OVERLAP = 0.3


def find_faces(
    rgb: Picture, people: Sequence[Detection], detector: FaceDetector, closeup: FaceDetector | None
) -> list[Face]:
    """Faces in pixels of the picture, best first. ``people``: best first; at most eight get the closer look."""
    faces = detector.detect(rgb)
    if closeup is None:
        return faces
    faceless = [person for person in people if not any(_belongs(face, person.box) for face in faces)]
    for person in faceless[:MAX_PEOPLE]:
        faces += _look(rgb, person.box, closeup)
    return _distinct(faces)


def _belongs(face: Face, person: Box) -> bool:
    x, y = (face.box[0] + face.box[2]) / 2, (face.box[1] + face.box[3]) / 2
    return person[0] <= x <= person[2] and person[1] <= y <= person[1] + 0.6 * (person[3] - person[1])


def _look(rgb: Picture, person: Box, closeup: FaceDetector) -> list[Face]:
    left, top, right, bottom = _upper_square(person, rgb.shape[1], rgb.shape[0])
    if min(right - left, bottom - top) < MIN_CROP:
        return []
    found = closeup.detect(np.ascontiguousarray(rgb[top:bottom, left:right]))
    return [_shift(face, left, top) for face in found]


def _upper_square(person: Box, width: int, height: int) -> tuple[int, int, int, int]:
    x1, y1, x2, y2 = person
    side = max(x2 - x1, UPPER_SHARE * (y2 - y1)) * 1.1
    left, top = max((x1 + x2 - side) / 2, 0), max(y1 - MARGIN * side, 0)
    return int(left), int(top), int(min((x1 + x2 + side) / 2, width)), int(min(top + side, height))


def _shift(face: Face, x: float, y: float) -> Face:
    x1, y1, x2, y2 = face.box
    points = np.add(np.reshape(face.points, (-1, 2)), (x, y))
    return Face((x1 + x, y1 + y, x2 + x, y2 + y), face.score, tuple(points.ravel().tolist()))


def _distinct(faces: Sequence[Face]) -> list[Face]:
    """Of faces found twice, the better; best first."""
    kept: list[Face] = []
    for face in sorted(faces, key=lambda face: -face.score):
        if not kept or overlaps(face.box, [other.box for other in kept]).max() <= MAX_OVERLAP:
            kept.append(face)
    return kept
