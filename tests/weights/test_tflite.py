"""Files whose weights are stored as bytes, as files with floats."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from humanvlm.weights.catalog import model_file
from humanvlm.weights.tflite import with_float_weights


def answer(model: bytes, given: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    from ai_edge_litert.interpreter import Interpreter

    net = Interpreter(model_content=model, num_threads=1)
    net.allocate_tensors()
    net.set_tensor(net.get_input_details()[0]["index"], given)
    net.invoke()
    return np.asarray(net.get_tensor(net.get_output_details()[0]["index"]))


def test_a_network_with_stored_bytes_answers_as_it_did() -> None:
    model = model_file("facex-expression").read_bytes()
    floats = with_float_weights(model)
    assert len(floats) > 4 * len(model)
    assert with_float_weights(floats) == floats
    for seed in range(4):
        blobs = np.random.default_rng(seed).random((1, 5, 5, 1), dtype=np.float32)
        picture = np.repeat(np.kron(blobs, np.ones((1, 40, 40, 1), np.float32)), 3, axis=3)
        np.testing.assert_allclose(answer(floats, picture), answer(model, picture), atol=0.05)


@pytest.mark.parametrize("name", ["efficientnet-lite3", "movenet-lightning", "face-landmark"])
def test_of_other_networks_nothing_is_changed(name: str) -> None:
    model = model_file(name).read_bytes()
    assert with_float_weights(model) is model


def test_bytes_mean_what_their_reader_takes_them_for() -> None:
    from ai_edge_litert import schema_py_generated as schema

    model = with_float_weights(model_file("facex-expression").read_bytes())
    parsed: Any = schema.ModelT.InitFromObj(schema.Model.GetRootAs(model))
    (graph,) = parsed.subgraphs
    weights = [
        np.frombuffer(bytes(parsed.buffers[graph.tensors[operator.inputs[1]].buffer].data), np.float32)
        for operator in graph.operators
        if operator.builtinOptions is not None and type(operator.builtinOptions).__name__ == "Conv2DOptionsT"
    ]
    assert all(abs(values.mean()) < 0.5 * values.std() for values in weights)  # read as unsigned, all would be positive
