"""The crops in which people are measured: the right part, the right way up, and masks that leave out what is behind."""

from typing import Any

import numpy as np
import pytest

from humanvlm.caption.facts.attributes import keypoints
from humanvlm.caption.facts.crops import away, body_of, head_of, patches
from humanvlm.data.detections import box_of
from humanvlm.inspect.plots import picture_of

Rows = dict[str, dict[str, Any]]


def rgb_of(row: dict[str, Any]) -> np.ndarray[Any, Any]:
    return np.asarray(picture_of(row))


@pytest.mark.parametrize("name", ["astronaut", "hopper"])
def test_a_head_is_cut_out_of_what_is_behind(rows: Rows, name: str) -> None:
    head = head_of(rgb_of(rows[name]), rows[name]["faces"][0]["points"])
    assert head is not None
    eyes = head.places[[33, 263]].mean(axis=0)
    assert abs(eyes - [128, 115]).max() < 12
    assert head.mask[int(eyes[1]), int(eyes[0])]
    assert not head.mask[5:20, 5:20].any()
    assert 0.15 < head.mask.mean() < 0.7
    assert abs(head.roll) < 8
    assert head.eye_distance == pytest.approx(42 if name == "astronaut" else 84, abs=6)


def test_skin_is_that_of_the_face(rows: Rows) -> None:
    head = head_of(rgb_of(rows["astronaut"]), rows["astronaut"]["faces"][0]["points"])
    assert head is not None
    lightness, a, b = head.skin
    assert lightness > 60
    assert a > 4
    assert b > 4


def test_no_head_where_the_points_are_of_no_face(rows: Rows) -> None:
    rgb = rgb_of(rows["astronaut"])
    assert head_of(np.full_like(rgb, 90), rows["astronaut"]["faces"][0]["points"]) is None
    assert head_of(rgb, [float("nan")] * 12) is None


def test_a_body_covers_the_person_and_nobody_else(rows: Rows) -> None:
    rgb = rgb_of(rows["astronaut"])
    height, width = rgb.shape[:2]
    frame = box_of(rows["astronaut"]["people"][0]["box"])
    joints = keypoints(rgb, frame)
    cover = body_of(rgb, frame, joints, []).cover(width, height)
    assert cover.shape == (height, width)
    assert cover[125, 225]  # the nose
    assert not cover[:60, :60].any()  # the flag behind
    beside = body_of(rgb, frame, joints, [(0.0, 300.0, float(width), float(height))]).cover(width, height)
    assert not beside[330:].any()
    assert beside[125, 225]


def test_pixels_like_a_colour_may_be_shaded() -> None:
    lab = np.array([[[60, 20, 20], [40, 20, 20], [60, -20, 20]]], dtype=np.float32)
    apart = away(lab, np.array([60, 20, 20], dtype=np.float32))
    assert apart[0].tolist() == pytest.approx([0, 20 / 3, 40])


def test_patches_at_the_edge_move_inwards() -> None:
    values = np.arange(100, dtype=np.float32).reshape(10, 10, 1)
    found = patches(values, np.array([[4.4, 5.0, 0.0], [-3.0, 12.0, 0.0]], dtype=np.float32), reach=1)
    assert found.shape == (2, 9, 1)
    assert found[0, :, 0].tolist() == [43, 44, 45, 53, 54, 55, 63, 64, 65]
    assert found[1, :, 0].tolist() == [70, 71, 72, 80, 81, 82, 90, 91, 92]
