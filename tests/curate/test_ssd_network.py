"""The converted network: its shapes, its integers, and what it refuses."""

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from humanvlm.curate.frozen_graph import Graph, Node, read_graph
from humanvlm.curate.ssd_network import CLASSES, GRIDS, LEVELS, _Build, onnx_model, per_cell
from humanvlm.weights.catalog import ModelError, model_file
from humanvlm.weights.run import onnx_network


@pytest.fixture(scope="module")
def graph() -> Graph:
    return read_graph(model_file("ssd-mobilenet-v2-coco"))


@pytest.fixture(scope="module")
def model(graph: Graph) -> bytes:
    return onnx_model(graph)


def test_outputs_are_rows_of_anchors(model: bytes) -> None:
    net = onnx_network(model)
    assert net.input_shape == (1, 300, 300, 3)
    encodings, scores = net(np.full((1, 300, 300, 3), 128, np.uint8))
    anchors = sum(per_cell(layer) * side**2 for layer, side in enumerate(GRIDS))
    assert encodings.shape == (1, anchors, 4)
    assert scores.shape == (1, anchors, CLASSES)
    assert 0 <= scores.min() <= scores.max() <= 1


def test_the_same_graph_makes_the_same_bytes(graph: Graph, model: bytes) -> None:
    assert onnx_model(graph) == model


def test_integer_weights_leave_no_sum_of_two_products_that_16_bits_cannot_hold(model: bytes) -> None:
    initializers = onnx.load_from_string(model).graph.initializer
    integers = [array for array in map(numpy_helper.to_array, initializers) if array.dtype == np.int8]
    assert len(integers) == len(GRIDS)
    for array in integers:
        assert abs(array.astype(int)).max() == LEVELS
        assert 2 * 255 * LEVELS <= 2**15


def test_windows_times_integers_are_a_convolution(graph: Graph) -> None:
    """The class scores of the first feature map against a convolution in floats, of the same features."""
    build = _Build(graph)
    logits = build.classes(graph["BoxPredictor_0/ClassPredictor/BiasAdd"])
    exact = build.tensor("BoxPredictor_0/ClassPredictor/BiasAdd")
    value = onnx.helper.make_tensor_value_info
    outputs = [value(name, onnx.TensorProto.FLOAT, None) for name in (logits, exact)]
    inputs = [value("picture", onnx.TensorProto.UINT8, [1, 300, 300, 3])]
    made = onnx.helper.make_graph(build.nodes, "head", inputs, outputs, build.initializers)
    opset = [onnx.helper.make_opsetid("", 17)]
    net = onnx_network(onnx.helper.make_model(made, opset_imports=opset, ir_version=8).SerializeToString())
    picture = np.random.default_rng(0).integers(0, 256, (1, 300, 300, 3), np.uint8)
    found, wanted = net(picture)
    assert found.shape == (1, 19, 19, 3 * CLASSES)
    wanted = wanted.transpose(0, 2, 3, 1)
    assert abs(found - wanted).max() < 0.02 * np.ptp(wanted)


def test_another_network_is_refused(graph: Graph) -> None:
    changed = {**graph, "BoxPredictor_0/BoxEncodingPredictor/BiasAdd": Node("head", "Elu", (), {})}
    with pytest.raises(ModelError, match="'head': Elu is no operation of SSD-MobileNetV2"):
        onnx_model(changed)
