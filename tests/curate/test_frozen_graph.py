"""Frozen TensorFlow graphs are read without TensorFlow."""

from pathlib import Path

import numpy as np
import pytest

from humanvlm.curate.frozen_graph import Graph, Node, _message, folded, read_graph
from humanvlm.weights.catalog import ModelError, model_file


@pytest.fixture(scope="module")
def graph() -> Graph:
    return read_graph(model_file("ssd-mobilenet-v2-coco"))


def test_nodes_and_constants_of_the_shipped_graph(graph: Graph) -> None:
    first = graph["FeatureExtractor/MobilenetV2/Conv/Conv2D"]
    assert (first.op, list(first.attributes["strides"].list.i)) == ("Conv2D", [1, 2, 2, 1])
    assert folded(graph, first.inputs[1]).shape == (3, 3, 3, 32)
    assert folded(graph, "Preprocessor/mul/x") == pytest.approx(2 / 255)


def test_arithmetic_of_constants_is_folded() -> None:
    def constant(name: str, *values: float) -> Node:
        value = _message("Value")()
        value.tensor.shape.dim.add(size=len(values))
        value.tensor.content = np.array(values, np.float32).tobytes()
        return Node(name, "Const", (), {"value": value})

    nodes = [constant("a", 4, 16), constant("b", 1, 2)]
    nodes += [
        Node("root", "Rsqrt", ("a",), {}),
        Node("sum", "Add", ("root", "b"), {}),
        Node("y", "Sub", ("sum", "b"), {}),
    ]
    nodes += [
        Node("product", "Mul", ("y", "a"), {}),
        Node("x", "Placeholder", (), {}),
        Node("z", "Mul", ("x", "a"), {}),
    ]
    graph = {node.name: node for node in nodes}
    np.testing.assert_allclose(folded(graph, "product"), [2, 4])
    with pytest.raises(ModelError, match="'x': Placeholder is not made of constants"):
        folded(graph, "z")


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "graph.pb").write_bytes(b"\xff" * 40)
    with pytest.raises(ModelError, match=r"graph\.pb: no frozen TensorFlow graph"):
        read_graph(tmp_path / "graph.pb")
