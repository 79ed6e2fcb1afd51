"""GGUF, the file format of llama.cpp: fields, then tensors, each converted when its turn comes to be written."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gguf import (
    GGML_QUANT_SIZES,
    GGML_QUANT_VERSION,
    GGMLQuantizationType,
    GGUFWriter,
    LlamaFileType,
    quant_shape_to_byte_shape,
)
from gguf.quants import quantize

from humanvlm.data.atomic_io import atomic_file

logging.getLogger("gguf").setLevel(logging.WARNING)  # it tells of every file, and of its byte order

F32, F16, Q8_0, Q4_0 = (
    GGMLQuantizationType.F32,
    GGMLQuantizationType.F16,
    GGMLQuantizationType.Q8_0,
    GGMLQuantizationType.Q4_0,
)


@dataclass(frozen=True)
class Precision:
    """How weights are kept. matrices: of the language model's layers; embeddings: its table, which is its head too
    where they are tied; tower: matrices of the tower and the projector, of which a few bits less are seen at once."""

    matrices: GGMLQuantizationType
    embeddings: GGMLQuantizationType
    tower: GGMLQuantizationType
    file_type: LlamaFileType


PRECISIONS: Mapping[str, Precision] = {
    "f32": Precision(F32, F32, F32, LlamaFileType.ALL_F32),
    "f16": Precision(F16, F16, F16, LlamaFileType.MOSTLY_F16),
    "q8_0": Precision(Q8_0, Q8_0, F16, LlamaFileType.MOSTLY_Q8_0),
    "q4_0": Precision(Q4_0, Q8_0, F16, LlamaFileType.MOSTLY_Q4_0),
}


@dataclass(frozen=True)
class Tensor:
    """One to be written. shape: as numpy has it, rows first; read: makes it, in float32."""

    name: str
    shape: tuple[int, ...]
    kept: GGMLQuantizationType
    read: Callable[[], np.ndarray[Any, Any]]

    @property
    def type(self) -> GGMLQuantizationType:
        """As ``kept`` says; vectors in float32, and half floats where rows are no whole number of blocks."""
        if len(self.shape) == 1:
            return F32
        return self.kept if self.shape[-1] % GGML_QUANT_SIZES[self.kept][0] == 0 else F16


def write_gguf(
    path: Path, architecture: str, describe: Callable[[GGUFWriter], None], tensors: Sequence[Tensor]
) -> None:
    """Write the file whole. describe: adds the fields. Memory: one tensor at a time."""
    with atomic_file(path) as work:
        writer = GGUFWriter(work, architecture)
        describe(writer)
        writer.add_quantization_version(GGML_QUANT_VERSION)
        for tensor in tensors:
            kind = tensor.type
            if kind in (F32, F16):
                dtype = np.dtype(np.float32 if kind == F32 else np.float16)
                size = int(np.prod(tensor.shape)) * dtype.itemsize
                writer.add_tensor_info(tensor.name, tensor.shape, dtype, size)
            else:
                shape = quant_shape_to_byte_shape(tensor.shape, kind)
                writer.add_tensor_info(tensor.name, shape, np.dtype(np.uint8), int(np.prod(shape)), raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for tensor in tensors:
            writer.write_tensor_data(quantize(np.ascontiguousarray(tensor.read()), tensor.type))
        writer.close()
