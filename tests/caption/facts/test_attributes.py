"""The attribute networks on real photographs."""

from typing import Any

import numpy as np
import pytest

from humanvlm.caption.facts import attributes
from humanvlm.inspect.plots import picture_of

Rows = dict[str, dict[str, Any]]


def rgb_of(row: dict[str, Any]) -> np.ndarray[Any, Any]:
    return np.asarray(picture_of(row))


def test_astronaut_appears_to_be_a_smiling_woman_in_her_twenties_or_thirties(rows: Rows) -> None:
    rgb, points = rgb_of(rows["astronaut"]), rows["astronaut"]["faces"][0]["points"]
    female = attributes.female_probability(rgb, points)
    ages = attributes.age_probabilities(rgb, points)
    expressions = attributes.expression_probabilities(rgb, points)
    assert female is not None
    assert female > 0.6
    assert ages is not None
    assert ages[20:40].sum() > 0.8
    assert expressions is not None
    assert attributes.EXPRESSIONS[int(expressions.argmax())] == "happy"


def test_hopper_appears_old_and_does_not_smile(rows: Rows) -> None:
    rgb, points = rgb_of(rows["hopper"]), rows["hopper"]["faces"][0]["points"]
    ages = attributes.age_probabilities(rgb, points)
    expressions = attributes.expression_probabilities(rgb, points)
    assert ages is not None
    assert ages[60:].sum() > 0.8
    assert expressions is not None
    assert attributes.EXPRESSIONS[int(expressions.argmax())] == "neutral"


def test_chip_puts_eyes_level_where_the_frame_wants_them(rows: Rows) -> None:
    rgb = rgb_of(rows["astronaut"]).copy()
    points = [300.0, 200.0, 340.0, 240.0, 0.0, 0.0, 0.0, 0.0]  # a face tilted by 45 degrees
    middle = np.array([320.0, 220.0])
    down, length = np.array([-1.0, 1.0]) / np.sqrt(2), np.hypot(40, 40)
    frame = attributes.CHIP_POINTS
    eyes = frame[1, 0] - frame[0, 0]
    points[4:6] = middle + down * length * (frame[2, 1] - frame[0, 1]) / eyes
    points[6:8] = middle + down * length * (frame[3, 1] - frame[0, 1]) / eyes
    rgb[:] = 0
    for x, y in np.reshape(points, (4, 2)):
        rgb[int(y) - 2 : int(y) + 3, int(x) - 2 : int(x) + 3] = 255
    chip = attributes.face_chip(rgb, points, 64, frame)
    assert chip is not None
    for x, y in frame * 64:
        assert chip[round(y) - 1 : round(y) + 2, round(x) - 1 : round(x) + 2].max() > 100


@pytest.mark.parametrize("points", [[5.0] * 12, [float("nan")] * 12])
def test_points_that_span_no_face_give_nothing(rows: Rows, points: list[float]) -> None:
    rgb = rgb_of(rows["small"])
    assert attributes.face_chip(rgb, points, 64, attributes.CHIP_POINTS) is None
    assert attributes.female_probability(rgb, points) is None
    assert attributes.age_probabilities(rgb, points) is None
    assert attributes.expression_probabilities(rgb, points) is None


def test_keypoints_lie_on_the_astronaut(rows: Rows) -> None:
    found = attributes.keypoints(rgb_of(rows["astronaut"]), rows["astronaut"]["people"][0]["box"])
    nose, left_shoulder, right_shoulder = found[0], found[5], found[6]
    assert np.hypot(*(nose[:2] - [226, 125])) < 25
    assert left_shoulder[0] > right_shoulder[0]
    assert (found[[0, 5, 6], 2] > 0.3).all()


def test_label_network_knows_a_cat() -> None:
    import skimage.data

    from humanvlm.caption.facts.labels import best_guess

    guess = best_guess("objects", attributes.label_probabilities(np.asarray(skimage.data.chelsea())))
    assert guess.value == "cat"
    assert guess.probability > 0.6


def test_square_crop_outside_the_picture_is_black() -> None:
    rgb = np.full((10, 10, 3), 200, dtype=np.uint8)
    assert attributes.square_crop(rgb, 40, 40, 8, 16).max() == 0
    crop = attributes.square_crop(rgb, -5, 0, 10, 10)
    assert crop[:, :5].max() == 0
    assert crop[:, 5:].min() == 200
