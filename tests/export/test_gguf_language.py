"""The language model's file: rows of queries and keys in llama.cpp's order, and Llama 3.1's frequencies."""

from types import SimpleNamespace

import pytest
import torch
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from humanvlm.errors import UserError
from humanvlm.export.gguf_language import _factors, _interleaved, check_language


def test_halves_of_a_head_become_neighbours() -> None:
    rows = torch.arange(16).reshape(16, 1)  # two heads of eight: 0..3 turn with 4..7
    assert _interleaved(rows, 2).flatten().tolist() == [0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15]
    assert _interleaved(torch.arange(8), 1).tolist() == [0, 4, 1, 5, 2, 6, 3, 7]


def test_frequencies_are_divided_as_transformers_does() -> None:
    rope = {
        "rope_type": "llama3",
        "rope_theta": 500000.0,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    }
    config = LlamaConfig(hidden_size=512, num_attention_heads=4, max_position_embeddings=131072, rope_parameters=rope)
    scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](config, "cpu")
    plain = 1 / 500000.0 ** (torch.arange(0, 128, 2) / 128)
    assert torch.allclose(plain / scaled, _factors(config), rtol=1e-5)


@pytest.mark.parametrize(
    ("kind", "rope", "said"),
    [("qwen2", None, "'qwen2' is not written"), ("llama", {"rope_type": "yarn"}, "'yarn' are not written")],
)
def test_other_architectures_are_refused(kind: str, rope: dict[str, str] | None, said: str) -> None:
    text = SimpleNamespace(model_type=kind, rope_parameters=rope)
    with pytest.raises(UserError, match=said):
        check_language(SimpleNamespace(config=SimpleNamespace(text_config=text), folder="model"))  # type: ignore[arg-type]
