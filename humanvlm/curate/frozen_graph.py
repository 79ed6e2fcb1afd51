"""TensorFlow's frozen graphs: nodes and constants of a GraphDef file.

TensorFlow itself takes 600 MB to read them. The format is a few protobuf messages, of which only the fields that are
read here are declared (tensorflow/core/framework: graph, node_def, attr_value, tensor, tensor_shape).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from humanvlm.weights.catalog import ModelError

Floats = NDArray[np.float32]

# Message: field: (number, type, repeated). A type is one of protobuf's own, or a message of this table.
MESSAGES: Mapping[str, Mapping[str, tuple[int, str, bool]]] = {
    "Dim": {"size": (1, "INT64", False)},
    "Shape": {"dim": (2, "Dim", True)},
    "Tensor": {"shape": (2, "Shape", False), "content": (4, "BYTES", False), "float_val": (5, "FLOAT", True)},
    "List": {"i": (3, "INT64", True)},
    "Value": {"list": (1, "List", False), "s": (2, "BYTES", False), "tensor": (8, "Tensor", False)},
    "Attribute": {"key": (1, "STRING", False), "value": (2, "Value", False)},
    "Node": {
        "name": (1, "STRING", False),
        "op": (2, "STRING", False),
        "input": (3, "STRING", True),
        "attr": (5, "Attribute", True),
    },
    "Graph": {"node": (1, "Node", True)},
}


@dataclass(frozen=True)
class Node:
    """One operation by TensorFlow's names; inputs are names of nodes."""

    name: str
    op: str
    inputs: tuple[str, ...]
    attributes: Mapping[str, Any]  # values as protobuf messages


Graph = Mapping[str, Node]


def read_graph(path: Path) -> Graph:
    """The nodes of a GraphDef file by name. Raises ModelError when the file is none."""
    from google.protobuf.message import DecodeError

    graph = _message("Graph")()
    try:
        graph.ParseFromString(path.read_bytes())
    except DecodeError:
        raise ModelError(f"{path}: no frozen TensorFlow graph; name another file in models.yaml") from None
    return {
        node.name: Node(node.name, node.op, tuple(node.input), {entry.key: entry.value for entry in node.attr})
        for node in graph.node
    }


def folded(graph: Graph, name: str) -> Floats:
    """The value of a node that depends on constants alone: the arithmetic of a batch normalisation.

    Raises ModelError when it depends on more.
    """
    node = graph[name]
    if node.op == "Const":
        return _constant(node)
    values = [folded(graph, given) for given in node.inputs]
    match node.op, values:
        case "Identity", [value]:
            return value
        case "Rsqrt", [value]:
            return np.asarray(1 / np.sqrt(value), np.float32)
        case "Add", [a, b]:
            return a + b
        case "Sub", [a, b]:
            return a - b
        case "Mul", [a, b]:
            return a * b
    raise ModelError(f"node {name!r}: {node.op} is not made of constants; the graph is not of the kind expected")


def _constant(node: Node) -> Floats:
    tensor = node.attributes["value"].tensor
    shape = [dim.size for dim in tensor.shape.dim]
    if tensor.content:
        return np.frombuffer(tensor.content, np.float32).reshape(shape)
    return np.full(shape, tensor.float_val[0], np.float32)  # one value stands for all


@cache
def _message(name: str) -> Any:
    """protobuf's class of a message of the table."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    kind = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="frozen_graph.proto", package="graph", syntax="proto3")
    for message, fields in MESSAGES.items():
        declared = file.message_type.add(name=message)
        for field, (number, type_name, repeated) in fields.items():
            label = kind.LABEL_REPEATED if repeated else kind.LABEL_OPTIONAL
            added = declared.field.add(name=field, number=number, label=label)
            if type_name in MESSAGES:
                added.type, added.type_name = kind.TYPE_MESSAGE, f".graph.{type_name}"
            else:
                added.type = kind.Type.Value(f"TYPE_{type_name}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"graph.{name}"))
