"""The frozen SSD-MobileNetV2 graph as an ONNX model: ONNX Runtime takes less than a third of OpenCV's time.

Batch normalisation is folded into the convolutions. The class predictors, which are more than half of all
multiplications, are computed in 8-bit integers: the last step, so that their rounding errors reach nothing else, on
features that ReLU6 keeps in 0..6, so that no calibration is needed. Weights have 7 bits, because processors without
VNNI add pairs of 8-bit products up in 16 bits, where larger ones would saturate: so integers are the same everywhere.
"""

from typing import Any

import numpy as np

from humanvlm.curate.frozen_graph import Floats, Graph, Node, folded
from humanvlm.weights.catalog import ModelError

SIZE = 300  # px, the side of the input
GRIDS = (19, 10, 5, 3, 2, 1)  # cells a side of the feature maps that boxes are predicted from
CLASSES = 91  # the first is background
STEP = np.float32(6 / 255)  # of the features that ReLU6 leaves
LEVELS = 64  # of a weight, to either side
OPSET = 17
IR_VERSION = 8


def onnx_model(graph: Graph) -> bytes:
    """input: uint8 [1, 300, 300, 3] RGB. Outputs, float32: box encodings [1, 1917, 4], class scores [1, 1917, 91].

    Raises ModelError when the graph has an operation that SSD-MobileNetV2 has not.
    """
    from onnx import TensorProto, checker, helper

    build = _Build(graph)
    encodings, logits = [], []
    for number in range(len(GRIDS)):
        head = f"BoxPredictor_{number}"
        boxes = build.tensor(f"{head}/BoxEncodingPredictor/BiasAdd")
        encodings.append(build.rows(build.add("Transpose", [boxes], perm=[0, 2, 3, 1]), 4))
        logits.append(build.rows(build.classes(graph[f"{head}/ClassPredictor/BiasAdd"]), CLASSES))
    build.add("Concat", encodings, "encodings", axis=1)
    build.add("Sigmoid", [build.add("Concat", logits, axis=1)], "scores")
    anchors = sum(per_cell(number) * side * side for number, side in enumerate(GRIDS))
    model = helper.make_model(
        helper.make_graph(
            build.nodes,
            "ssd",
            [helper.make_tensor_value_info("picture", TensorProto.UINT8, [1, SIZE, SIZE, 3])],
            [
                helper.make_tensor_value_info("encodings", TensorProto.FLOAT, [1, anchors, 4]),
                helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, anchors, CLASSES]),
            ],
            build.initializers,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    checker.check_model(model)
    return bytes(model.SerializeToString())


def per_cell(layer: int) -> int:
    """Anchors of a cell of a feature map."""
    return 3 if layer == 0 else 6


class _Build:
    """ONNX nodes and initializers for what has been asked of a TensorFlow graph, each once."""

    def __init__(self, graph: Graph) -> None:
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self._graph = graph
        self._made: dict[str, tuple[str, int]] = {}  # TensorFlow's name: ours, and the height and width in px
        self._windows: dict[str, str] = {}

    def add(self, op: str, inputs: list[str], output: str = "", **attributes: Any) -> str:
        """A node; the name of its output."""
        from onnx import helper

        output = output or f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [output], **attributes))
        return output

    def value(self, array: Any) -> str:
        """An initializer; its name."""
        from onnx import numpy_helper

        name = f"v{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def tensor(self, name: str) -> str:
        """The tensor that a TensorFlow node puts out, with channels first."""
        return self._tensor(name)[0]

    def rows(self, cells: str, width: int) -> str:
        """[1, height, width, n] as [1, anchors, width]."""
        return self.add("Reshape", [cells, self.value(np.array([1, -1, width]))])

    def classes(self, node: Node) -> str:
        """Logits [1, height, width, n] of a class predictor, in integers: each window of cells times the weights."""
        convolution = self._graph[node.inputs[0]]
        weights = folded(self._graph, convolution.inputs[1])  # height, width, in, out
        scale = np.maximum(abs(weights).max(axis=(0, 1, 2)), np.float32(1e-12)) / LEVELS
        integers = np.round(weights / scale).astype(np.int8).reshape(-1, weights.shape[3])
        features, side = self._tensor(convolution.inputs[0])
        sums = self.add("MatMulInteger", [self._window(features, side, weights.shape[0]), self.value(integers)])
        scaled = self.add("Mul", [self.add("Cast", [sums], to=1), self.value(scale * STEP)])
        return self.add("Add", [scaled, self.value(folded(self._graph, node.inputs[1]))])

    def _window(self, features: str, side: int, kernel: int) -> str:
        """[1, side, side, kernel * kernel * n] uint8: for every cell those around it, zero outside."""
        if features not in self._windows:
            zero = self.value(np.uint8(0))
            cells = self.add("QuantizeLinear", [features, self.value(STEP), zero])
            cells = self.add("Transpose", [cells], perm=[0, 2, 3, 1])
            edge = kernel // 2
            padded = self.add("Pad", [cells, self.value(np.array([0, edge, edge, 0] * 2)), zero])
            axes = self.value(np.array([1, 2]))
            moved = [
                self.add("Slice", [padded, self.value(np.array(start)), self.value(np.add(start, side)), axes])
                for start in np.ndindex(kernel, kernel)
            ]
            self._windows[features] = self.add("Concat", moved, axis=3)
        return self._windows[features]

    def _tensor(self, name: str) -> tuple[str, int]:
        if name not in self._made:
            self._made[name] = self._make(self._graph[name])
        return self._made[name]

    def _make(self, node: Node) -> tuple[str, int]:
        if node.name == "Preprocessor/sub":
            return self._prepared(node), SIZE
        match node.op:
            case "Identity":
                return self._tensor(node.inputs[0])
            case "Relu6":
                given, side = self._tensor(node.inputs[0])
                return self.add("Clip", [given, self.value(np.float32(0)), self.value(np.float32(6))]), side
            case "BiasAdd":
                return self._convolved(self._graph[node.inputs[0]], None, folded(self._graph, node.inputs[1]))
            case "Add" if node.name.endswith("/batchnorm/add_1"):
                scaled = self._graph[node.inputs[0]]
                scale, shift = folded(self._graph, scaled.inputs[1]), folded(self._graph, node.inputs[1])
                return self._convolved(self._graph[scaled.inputs[0]], scale, shift)
            case "Add":
                (one, side), (other, _) = (self._tensor(given) for given in node.inputs)
                return self.add("Add", [one, other]), side
        raise ModelError(f"node {node.name!r}: {node.op} is no operation of SSD-MobileNetV2; name another file")

    def _prepared(self, node: Node) -> str:
        """The picture as the graph scales it, channels first."""
        scale = folded(self._graph, self._graph[node.inputs[0]].inputs[0])
        scaled = self.add("Mul", [self.add("Cast", ["picture"], to=1), self.value(scale)])
        moved = self.add("Sub", [scaled, self.value(folded(self._graph, node.inputs[1]))])
        return self.add("Transpose", [moved], perm=[0, 3, 1, 2])

    def _convolved(self, node: Node, scale: Floats | None, shift: Floats) -> tuple[str, int]:
        given, side = self._tensor(node.inputs[0])
        depthwise = node.op == "DepthwiseConv2dNative"
        weights = folded(self._graph, node.inputs[1]).transpose((2, 3, 0, 1) if depthwise else (3, 2, 0, 1))
        if scale is not None:
            weights = weights * scale[:, None, None, None]
        stride, kernel = int(node.attributes["strides"].list.i[1]), weights.shape[2]
        out = -(-side // stride)  # TensorFlow's SAME: the odd pixel of the margin is at the end
        margin = max((out - 1) * stride + kernel - side, 0)
        before, after = margin // 2, margin - margin // 2
        convolved = self.add(
            "Conv",
            [given, self.value(weights), self.value(shift)],
            strides=[stride, stride],
            pads=[before, before, after, after],
            group=len(weights) if depthwise else 1,
        )
        return convolved, out
