"""Running small networks: ONNX files on ONNX Runtime, TFLite files on LiteRT, one thread each.

The engine already uses every core with processes, and a runtime's own threads would only wait for each other. A network
is opened once a process.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from humanvlm.weights.catalog import ModelError, model_file
from humanvlm.weights.tflite import with_float_weights

Array = NDArray[Any]


class Network(Protocol):
    """A network as a function. input_shape: of its first input, -1 where any length will do. metadata: of ONNX."""

    input_shape: tuple[int, ...]
    metadata: dict[str, str]

    def __call__(self, *inputs: Array) -> list[Array]:
        """Outputs in the file's order, owned by the caller. inputs: in its order, of its shapes and dtypes."""
        ...


@cache
def network(name: str, part: str = "") -> Network:
    """The network of an entry of models.yaml; ``part`` names a further file of it.

    Raises ModelError as ``model_file`` does, and when the file is of a format that nothing here runs.
    """
    return opened(model_file(name, part))


def opened(path: Path) -> Network:
    """The network of a file that was verified. Raises ModelError when its format is another."""
    kinds: dict[str, Callable[[Path], Network]] = {".onnx": _Onnx, ".tflite": _LiteRt}
    if path.suffix not in kinds:
        raise ModelError(f"{path}: nothing here runs *{path.suffix}; {' and '.join(kinds)} files are expected")
    return kinds[path.suffix](path)


def onnx_network(model: bytes) -> Network:
    """The network of an ONNX model that was made here."""
    return _Onnx(model)


class _Onnx:
    def __init__(self, model: Path | bytes) -> None:
        import onnxruntime

        source = model if isinstance(model, bytes) else str(model)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        self._names = [entry.name for entry in self._session.get_inputs()]
        shape = self._session.get_inputs()[0].shape
        self.input_shape = tuple(side if isinstance(side, int) else -1 for side in shape)
        self.metadata: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)

    def __call__(self, *inputs: Array) -> list[Array]:
        feed = {name: np.ascontiguousarray(given) for name, given in zip(self._names, inputs, strict=True)}
        outputs: list[Array] = self._session.run(None, feed)
        return outputs


class _LiteRt:
    def __init__(self, path: Path) -> None:
        from ai_edge_litert.interpreter import Interpreter

        model = with_float_weights(path.read_bytes())
        self._interpreter: Any = Interpreter(model_content=model, num_threads=1)
        self._interpreter.allocate_tensors()
        self._inputs = [entry["index"] for entry in self._interpreter.get_input_details()]
        self._outputs = [entry["index"] for entry in self._interpreter.get_output_details()]
        shape = self._interpreter.get_input_details()[0]["shape_signature"]
        self.input_shape = tuple(int(side) for side in shape)
        self.metadata: dict[str, str] = {}

    def __call__(self, *inputs: Array) -> list[Array]:
        for index, given in zip(self._inputs, inputs, strict=True):
            self._interpreter.set_tensor(index, given)
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(index) for index in self._outputs]  # copies
