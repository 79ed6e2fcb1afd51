"""Networks run by the name of their entry."""

from pathlib import Path

import numpy as np
import pytest

from humanvlm.weights.catalog import ModelError
from humanvlm.weights.run import network, opened


@pytest.mark.parametrize(
    ("name", "shape", "given", "outputs"),
    [
        ("gender-v1", (-1, 3, 32, 32), np.zeros((3, 3, 32, 32), np.float32), [(3, 2)]),
        (
            "blazeface-full-range",
            (1, 192, 192, 3),
            np.zeros((1, 192, 192, 3), np.float32),
            [(1, 2304, 16), (1, 2304, 1)],
        ),
        ("movenet-lightning", (1, 192, 192, 3), np.zeros((1, 192, 192, 3), np.uint8), [(1, 1, 17, 3)]),
    ],
)
def test_a_network_of_either_format(
    name: str, shape: tuple[int, ...], given: np.ndarray, outputs: list[tuple[int, ...]]
) -> None:
    net = network(name)
    assert net.input_shape == shape
    assert sorted(found.shape for found in net(given)) == sorted(outputs)
    assert network(name) is net


def test_outputs_belong_to_the_caller() -> None:
    net = network("blazeface-short-range")
    first = net(np.zeros((1, 128, 128, 3), np.float32))
    kept = [found.copy() for found in first]
    net(np.ones((1, 128, 128, 3), np.float32))
    for found, copy in zip(first, kept, strict=True):
        np.testing.assert_array_equal(found, copy)


def test_one_too_few_or_too_many_inputs_is_an_error() -> None:
    with pytest.raises(ValueError, match="zip"):
        network("gender-v1")()


def test_another_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"runs \*\.pb; \.onnx and \.tflite files are expected"):
        opened(tmp_path / "graph.pb")
