"""What follows the network: anchors, boxes, suppression."""

import numpy as np
import pytest

from humanvlm.curate.ssd import anchors, decode, suppressed


def test_anchors_are_those_of_the_training_configuration() -> None:
    found = anchors()
    assert found.shape == (1917, 4)
    np.testing.assert_allclose(found[0], [0.5 / 19, 0.5 / 19, 0.1, 0.1], rtol=1e-6)
    np.testing.assert_allclose(found[1, 2:] * 300, [84.8528, 42.4264], rtol=1e-4)  # a ratio of two
    np.testing.assert_allclose(found[-1] * 300, [150, 150, 292.4038, 292.4038], rtol=1e-4)
    np.testing.assert_allclose(found[3, :2], [1.5 / 19, 0.5 / 19], rtol=1e-6)  # rows run along x


def test_encodings_move_and_grow_their_anchor() -> None:
    around = np.array([[0.5, 0.25, 0.2, 0.1]], np.float32)
    np.testing.assert_allclose(decode(np.zeros((1, 4), np.float32), around), [[0.4, 0.2, 0.6, 0.3]], atol=1e-6)
    moved = decode(np.array([[10, 5, 5 * np.log(2), 0]], np.float32), around)
    np.testing.assert_allclose(moved, [[0.5, 0.25, 0.7, 0.45]], atol=1e-6)


@pytest.mark.parametrize(("classes", "kept"), [([1, 1, 1], [1, 2]), ([1, 2, 1], [1, 0, 2])])
def test_the_best_of_overlapping_boxes_of_a_class_stays(classes: list[int], kept: list[int]) -> None:
    boxes = np.array([[0, 0, 1, 1], [0, 0, 1, 0.9], [0, 0, 0.5, 0.5]], np.float32)
    assert suppressed(boxes, np.array([0.8, 0.9, 0.4], np.float32), np.array(classes)) == kept
