"""GGUF files: what is kept in which type, read back as it was."""

from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFReader, GGUFWriter, dequantize

from humanvlm.export.gguf_file import F16, F32, PRECISIONS, Q4_0, Q8_0, Tensor, write_gguf

WEIGHT = np.random.default_rng(1).standard_normal((8, 64)).astype(np.float32)


def written(path: Path, *tensors: Tensor) -> GGUFReader:
    def describe(writer: GGUFWriter) -> None:
        writer.add_name("small")

    write_gguf(path, "llama", describe, tensors)
    return GGUFReader(path)


@pytest.mark.parametrize(("kept", "away"), [(F32, 0), (F16, 2e-3), (Q8_0, 0.02), (Q4_0, 0.3)])
def test_a_matrix_is_read_back(tmp_path: Path, kept: object, away: float) -> None:
    (tensor,) = written(tmp_path / "a.gguf", Tensor("w", WEIGHT.shape, kept, lambda: WEIGHT)).tensors
    assert tensor.tensor_type == kept
    assert tensor.shape.tolist() == [64, 8]
    assert np.abs(dequantize(tensor.data, tensor.tensor_type).reshape(8, 64) - WEIGHT).max() <= away


def test_vectors_stay_whole_and_rows_of_no_whole_blocks_are_half_floats() -> None:
    assert Tensor("norm", (64,), Q4_0, lambda: WEIGHT[0]).type == F32
    assert Tensor("narrow", (8, 40), Q4_0, lambda: WEIGHT).type == F16
    assert Tensor("wide", (8, 64), Q4_0, lambda: WEIGHT).type == Q4_0


def test_tensors_are_made_one_at_a_time_as_they_are_written(tmp_path: Path) -> None:
    made: list[str] = []

    def tensor(name: str) -> Tensor:
        def read() -> np.ndarray:
            made.append(name)
            return WEIGHT

        return Tensor(name, WEIGHT.shape, F16, read)

    reader = written(tmp_path / "a.gguf", tensor("a"), tensor("b"), tensor("c"))
    assert made == ["a", "b", "c"] == [one.name for one in reader.tensors]


def test_a_file_that_cannot_be_finished_is_not_there(tmp_path: Path) -> None:
    def fail() -> np.ndarray:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        written(tmp_path / "a.gguf", Tensor("w", WEIGHT.shape, F16, fail))
    assert list(tmp_path.iterdir()) == []


def test_fewer_bits_from_one_precision_to_the_next() -> None:
    assert list(PRECISIONS) == ["f32", "f16", "q8_0", "q4_0"]
    assert PRECISIONS["q4_0"].embeddings == Q8_0
    assert PRECISIONS["q4_0"].tower == F16
