"""TFLite files whose weights are stored in fewer bits than they are computed with, as files that run fast.

XNNPACK, which LiteRT computes with, takes float layers with float weights. Of a file that was made smaller by storing
its weights as uint8 it takes no such layer; LiteRT's own loops need twice as long, and round what comes in as well.
"""

from typing import Any

import numpy as np
import numpy.typing as npt


def with_float_weights(model: bytes) -> bytes:
    """The TFLite model with every uint8 weight of a float layer as float32; the same bytes when it has none.

    Stored are bytes that a DEQUANTIZE operator reads as unsigned, from a zero point, and that a layer reads as signed.
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    parsed: Any = schema.ModelT.InitFromObj(schema.Model.GetRootAs(model))
    floats, stored, opens = schema.TensorType.FLOAT32, schema.TensorType.UINT8, schema.BuiltinOperator.DEQUANTIZE

    def constant(tensor: Any) -> bool:
        data, form = parsed.buffers[tensor.buffer].data, tensor.quantization
        return bool(tensor.type == stored and data is not None and len(data) and len(form.scale) == 1)

    def put(tensor: Any, values: npt.NDArray[np.float32]) -> None:
        parsed.buffers.append(schema.BufferT(data=np.frombuffer(values.tobytes(), dtype=np.uint8)))
        tensor.buffer, tensor.type, tensor.quantization = len(parsed.buffers) - 1, floats, None

    changed = False
    for graph in parsed.subgraphs:
        kept = []
        for operator in graph.operators:
            code = parsed.operatorCodes[operator.opcodeIndex]
            tensors = [graph.tensors[number] for number in operator.inputs if number >= 0]
            if max(code.builtinCode, code.deprecatedBuiltinCode) == opens and constant(tensors[0]):
                data = np.asarray(parsed.buffers[tensors[0].buffer].data, dtype=np.uint8)
                form = tensors[0].quantization
                put(graph.tensors[operator.outputs[0]], _scaled(data, form.scale, form.zeroPoint))
                changed = True
                continue
            kept.append(operator)
            if tensors and tensors[0].type == floats:
                for tensor in filter(constant, tensors[1:]):
                    data = np.asarray(parsed.buffers[tensor.buffer].data, dtype=np.uint8)
                    put(tensor, _scaled(data.view(np.int8), tensor.quantization.scale, [0]))
                    changed = True
        graph.operators = kept
    if not changed:
        return model
    builder = flatbuffers.Builder(4 * len(model))
    builder.Finish(parsed.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _scaled(data: npt.NDArray[Any], scale: Any, zero: Any) -> npt.NDArray[np.float32]:
    """The values of bytes with one scale and zero point."""
    return (data.astype(np.float32) - np.float32(zero[0])) * np.float32(scale[0])
