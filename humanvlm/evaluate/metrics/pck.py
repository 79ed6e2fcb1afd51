"""The percentage of correct keypoints (PCK), of keypoints told in words.

PCK@t: a visible keypoint is right when it is at most t times the longer side of the person's box away from the truth
(Yang and Ramanan 2013, with the box of the person as in COCO instead of the torso).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from humanvlm.evaluate.stats.parts import ratio, with_parts
from humanvlm.evaluate.stats.scored import Array, Scored
from humanvlm.inference.boxes import Found, Space, choose_space
from humanvlm.inference.points import NAMES, Point, parse_points, to_pixels

SHARES = (0.05, 0.1, 0.2)


@dataclass(frozen=True)
class Person:
    """box: x, y, width, height in pixels. points: (17, 3) x, y, visibility. size: of the picture, in pixels."""

    id: str
    image: str
    box: tuple[float, float, float, float]
    points: Array
    size: tuple[float, float]


def score_points(
    people: Sequence[Person],
    replies: Sequence[str | Mapping[str, Point] | None],
    *,
    space: Space | Literal["auto"] = "auto",
) -> Scored:
    """PCK@0.05, @0.1 and @0.2 over all visible keypoints, in 0..1; one that is not said is wrong.

    counts: ``missing`` and ``unparseable`` replies, ``keypoints`` to be found, ``untold`` ones among them,
    ``ambiguous_space`` (see ``boxes.choose_space``).
    """
    said = [parse_points(reply) if isinstance(reply, str) else dict(reply or {}) for reply in replies]
    bounds = [_bounds(points) for points in said]
    sizes = [person.size for person in people]
    chosen, ambiguous = choose_space(bounds, sizes) if space == "auto" else (space, 0)
    rows, labels, owners, untold = [], [], [], 0
    for number, (person, points) in enumerate(zip(people, said, strict=True)):
        for name, (x, y, visible) in zip(NAMES, person.points, strict=True):
            if visible <= 0:
                continue
            away = math.inf
            if name in points:
                away = math.dist(to_pixels(points[name], person.size, chosen), (x, y))
            untold += name not in points
            rows.append([*(away <= share * max(person.box[2:]) for share in SHARES), 1.0])
            labels.append(name)
            owners.append(number)
    vectors = np.array(rows, dtype=np.float64).reshape(-1, len(SHARES) + 1)
    parted, metrics = with_parts(vectors, {"keypoint": labels}, _metrics)
    contributions = np.zeros((len(people), parted.shape[1]))
    np.add.at(contributions, np.array(owners, dtype=np.intp), parted)
    return Scored(
        "pck",
        [person.id for person in people],
        [person.image for person in people],
        {
            "reply": [reply if isinstance(reply, str | None) else None for reply in replies],
            "points": [{name: list(point) for name, point in points.items()} for points in said],
            "right_at_0.1": contributions[:, 1].tolist(),
            "keypoints": contributions[:, len(SHARES)].tolist(),
        },
        contributions,
        metrics,
        {
            "missing": sum(reply is None for reply in replies),
            "unparseable": sum(reply is not None and not points for reply, points in zip(replies, said, strict=True)),
            "keypoints": len(rows),
            "untold": untold,
            "ambiguous_space": ambiguous,
            f"space_{chosen}": sum(bool(points) for points in said),
        },
    )


def _metrics(sums: Array) -> dict[str, Array]:
    return {f"pck@{share}": ratio(sums[..., place], sums[..., -1]) for place, share in enumerate(SHARES)}


def _bounds(points: Mapping[str, Point]) -> Found | None:
    if not points:
        return None
    across, down = zip(*points.values(), strict=True)
    return Found((min(across), min(down), max(across), max(down)))
