"""The two crops in which a person is measured, each with the person's mask: the upright head, and the body.

Everything is measured at one scale, so a number of pixels means the same of a large face and of a small one, and the
cost of a person does not depend on the picture's size.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from humanvlm.caption.facts.attributes import Picture, similarity, square_crop, warped
from humanvlm.caption.facts.colour import lab_of
from humanvlm.data.detections import Box
from humanvlm.weights.run import network

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

SIDE = 256  # px of both crops, what selfie_segmentation reads
FACE_SIDE = 192  # px of the part of the head crop that face_landmark reads
# Right eye, left eye, nose tip, mouth centre in the unit square of the head crop: room for a hat and for long hair.
HEAD_POINTS = np.array([[0.434, 0.45], [0.566, 0.45], [0.5, 0.525], [0.5, 0.595]], dtype=np.float32)
WINDOW = (0.257, 0.256, 0.486)  # left, top and side of face_landmark's part of the head crop
OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
SKIN_POINTS = (50, 280, 205, 425, 4, 195, 151, 9)
WEIGHTS = np.array([1 / 9, 1, 1], dtype=np.float32)  # of squares of CIE lightness, a and b
LEAST_PRESENCE = 0.5  # of face_landmark: below it, the points are of something else


@dataclass(frozen=True)
class Head:
    """An upright head. rgb: uint8 [256, 256, 3]; mask: of the person, and inside: of the picture, [256, 256].

    face: uint8 [192, 192, 3], the part around the face, twice as fine; points: [468, 3] px of it, the third towards
    the viewer when negative. eye_distance: in px of the picture. roll: degrees, positive when the head leans to the
    picture's right.
    """

    rgb: Picture
    mask: Mask
    inside: Mask
    face: Picture
    points: Floats
    eye_distance: float
    roll: float

    @cached_property
    def places(self) -> Floats:
        """[468, 2] the points in px of the head crop."""
        left, top, side = WINDOW
        return np.asarray((self.points[:, :2] / FACE_SIDE * side + [left, top]) * SIDE, dtype=np.float32)

    @cached_property
    def face_lab(self) -> Floats:
        """[192, 192, 3] CIE Lab of the face."""
        return lab_of(self.face)

    @cached_property
    def skin(self) -> Floats:
        """[3] CIE Lab of the skin in the light: of patches on cheeks, nose and forehead, the median of the lighter
        half. The others lie in shadow, or under glasses, a beard or a fringe.
        """
        colours = median(patches(self.face_lab, self.points[list(SKIN_POINTS)]))
        ranked = sorted(colours, key=lambda colour: -float(colour[0]))
        return median(np.array(ranked[: len(ranked) // 2]))

    @cached_property
    def within(self) -> Mask:
        """[256, 256] the mask without its edge, a mix with what is behind."""
        return np.asarray(cv2.erode(self.mask.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0)

    @cached_property
    def beyond(self) -> Floats:
        """[256, 256] px from the face's oval, outwards."""
        outside = np.ones((SIDE, SIDE), dtype=np.uint8)
        cv2.fillPoly(outside, [np.round(self.places[list(OVAL)]).astype(np.int32)], 0)
        return np.asarray(cv2.distanceTransform(outside, cv2.DIST_L2, 3), dtype=np.float32)

    @cached_property
    def crown(self) -> Mask:
        """[256, 256] the pixels on the skull above the forehead: hair, skin or hat."""
        places = self.places
        rows, columns = np.ogrid[:SIDE, :SIDE]
        width = max(float(np.linalg.norm(places[234] - places[454])), 1.0)
        height = max(float(np.linalg.norm(places[10] - places[152])), 1.0)
        aside = abs(columns - places[[234, 454], 0].mean()) / width
        above = rows < places[[105, 334], 1].mean() - 0.2 * height
        beyond = self.beyond / height
        return np.asarray(self.within & above & (beyond > 0.05) & (beyond < 0.3) & (aside < 0.7))


@dataclass(frozen=True)
class Body:
    """A body. rgb: uint8 [256, 256, 3]; mask: this person's pixels, [256, 256]; joints: [17, 3] x px, y px, score.

    scale: px of the crop a px of the picture. corner: x, y px of the crop's left top corner in the picture.
    """

    rgb: Picture
    mask: Mask
    joints: Floats
    scale: float
    corner: tuple[float, float]

    def here(self, box: Box) -> Box:
        """A box of the picture in px of the crop."""
        x, y = self.corner
        x0, y0, x1, y1 = box
        return (x0 - x) * self.scale, (y0 - y) * self.scale, (x1 - x) * self.scale, (y1 - y) * self.scale

    def cover(self, width: int, height: int) -> Mask:
        """[height, width] this person's pixels of the whole picture."""
        matrix = np.array([[1 / self.scale, 0, self.corner[0]], [0, 1 / self.scale, self.corner[1]]])
        mask = cv2.warpAffine(self.mask.astype(np.uint8), matrix, (width, height), flags=cv2.INTER_NEAREST)
        return np.asarray(mask > 0)


def head_of(rgb: Picture, points: Sequence[float]) -> Head | None:
    """The head around a face's points (x, y px of right eye, left eye, nose, mouth); None when they are of no face."""
    found = similarity(points, HEAD_POINTS)
    if found is None:
        return None
    a, b = found
    left, top, side = WINDOW
    chip = warped(rgb, a, b, SIDE, cv2.BORDER_REPLICATE)
    face = warped(rgb, a / side, (b - (left + 1j * top)) / side, FACE_SIDE, cv2.BORDER_REPLICATE)
    mesh, presence = network("face-landmark")(face[None].astype(np.float32) / 255)
    if float(presence.reshape(())) < np.log(LEAST_PRESENCE / (1 - LEAST_PRESENCE)):
        return None
    here = np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]]) * SIDE
    inside = cv2.warpAffine(np.ones(rgb.shape[:2], dtype=np.uint8), here, (SIDE, SIDE), flags=cv2.INTER_NEAREST) > 0
    return Head(
        rgb=chip,
        mask=_person(chip) & inside,
        inside=inside,
        face=face,
        points=np.asarray(mesh.reshape(468, 3), dtype=np.float32),
        eye_distance=float(abs(HEAD_POINTS[1] - HEAD_POINTS[0]).max() / abs(a)),
        roll=float(-np.degrees(np.angle(a))),
    )


def body_of(rgb: Picture, frame: Box, joints: Floats, others: Sequence[Box]) -> Body:
    """The body in the xyxy px frame. joints: [17, 3] in the picture's px; others: boxes of other people, whose pixels
    are not this person's unless that leaves too few.
    """
    x0, y0, x1, y1 = frame
    side = max(x1 - x0, y1 - y0, 1) * 1.1
    corner = ((x0 + x1 - side) / 2, (y0 + y1 - side) / 2)
    scale = SIDE / side
    chip = square_crop(rgb, *corner, side, SIDE)
    placed = joints.copy()
    placed[:, :2] = (joints[:, :2] - corner) * scale
    body = Body(chip, _person(chip), placed, scale, corner)
    mask = body.mask & _filled(body.here(frame))
    free = mask.copy()
    for other in others:
        free &= ~_filled(body.here(other))
    return Body(chip, free if np.count_nonzero(free) > 0.3 * np.count_nonzero(mask) else mask, placed, scale, corner)


def _person(chip: Picture) -> Mask:
    """Which pixels of a crop [256, 256, 3] are of people."""
    return np.asarray(network("selfie-segmentation")(chip[None].astype(np.float32) / 255)[0][0, :, :, 0] > 0.5)


def _filled(box: Box) -> Mask:
    x0, y0, x1, y1 = (int(np.clip(round(value), 0, SIDE)) for value in box)
    filled = np.zeros((SIDE, SIDE), dtype=bool)
    filled[y0:y1, x0:x1] = True
    return filled


def patches(values: Floats, points: Floats, reach: int = 4) -> Floats:
    """[points, (2 reach + 1)^2, channels] the values within ``reach`` px of points x, y, moved inwards at the edge."""
    down, across = np.ogrid[-reach : reach + 1, -reach : reach + 1]
    most = np.array(values.shape[1::-1]) - 1 - reach
    columns, rows = np.clip(np.round(points[:, :2]).astype(np.intp), reach, most).T[..., None, None]
    return np.asarray(values[rows + down, columns + across]).reshape(len(points), -1, values.shape[-1])


def median(values: Floats) -> Floats:
    """[..., channels] the medians of [..., n, channels]. Side by side in memory, several times as fast as strided."""
    return np.asarray(np.median(np.ascontiguousarray(values.swapaxes(-1, -2)), axis=-1), dtype=np.float32)


def away(lab: Floats, colour: Floats) -> Floats:
    """[height, width] how far the pixels of a CIE Lab picture are from a colour: lightness, which shading changes,
    counts a third.
    """
    lightness, a, b = (float(value) for value in colour)
    apart = cv2.subtract(lab, (lightness, a, b, 0.0))
    apart *= apart
    return np.asarray(np.sqrt(apart.reshape(-1, 3) @ WEIGHTS).reshape(lab.shape[:2]), dtype=np.float32)
