"""The tower's file: what llama.cpp computes with, and one line where it would compute something else."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from gguf import GGUFReader

from humanvlm.config.model import Model
from humanvlm.errors import UserError
from humanvlm.export.checkpoint import Checkpoint
from humanvlm.export.gguf_file import PRECISIONS
from humanvlm.export.gguf_tower import check_tower, layers_used, write_tower
from humanvlm.model.build import build_llava


@pytest.fixture(scope="module")
def checkpoint(tiny_models: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    folder = tmp_path_factory.mktemp("model")
    for part in build_llava(Model(**tiny_models, system_prompt="", vision_feature_layer=-2)):
        part.save_pretrained(folder)
    return Checkpoint(folder)


def other(checkpoint: Checkpoint, **values: Any) -> Any:
    """The checkpoint, but for these values of its configuration; those of the tower begin with ``tower_``."""
    config = {"vision_feature_layer": -2, "projector_hidden_act": "gelu", "vision_feature_select_strategy": "full"}
    tower = {"model_type": "siglip_vision_model", "hidden_act": "gelu_pytorch_tanh", "num_hidden_layers": 2}
    for name, value in values.items():
        part, _, key = name.rpartition("tower_")
        (tower if name.startswith("tower_") else config)[key or part] = value
    config = SimpleNamespace(**config, vision_config=SimpleNamespace(**tower))  # type: ignore[assignment]
    return SimpleNamespace(config=config, folder=Path("model"), places=checkpoint.places, __contains__=None)


def test_layers_after_the_chosen_one_are_left_out(checkpoint: Checkpoint, tmp_path: Path) -> None:
    images = SimpleNamespace(image_mean=[0.5, 0.5, 0.5], image_std=[0.25, 0.5, 0.5])
    write_tower(checkpoint, images, tmp_path / "mmproj.gguf", PRECISIONS["f16"])
    reader = GGUFReader(tmp_path / "mmproj.gguf")
    value = {name: field.contents() for name, field in reader.fields.items()}
    assert value["clip.vision.block_count"] == 1
    assert value["clip.vision.feature_layer"] == [1]
    assert value["clip.projector_type"] == "mlp"
    assert value["clip.vision.image_std"] == [0.25, 0.5, 0.5]
    assert value["clip.use_gelu"] is True
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    assert not any(name.startswith(("v.blk.1.", "v.post_ln")) for name in tensors)
    weight = checkpoint.read("projector.linear_1.weight").numpy()
    assert np.allclose(tensors["mm.0.weight"].data, weight, atol=1e-3)
    assert tensors["v.position_embd.weight"].data.dtype == np.float32


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"tower_model_type": "mobilenet_v2_tokens"}, "no vision tower 'mobilenet_v2_tokens'"),
        ({"tower_model_type": "clip_vision_model"}, "something else of a CLIP tower"),
        ({"vision_feature_layer": [-2, -1]}, "is a list"),
        ({"vision_feature_select_strategy": "default"}, "all patches of a picture"),
        ({"tower_hidden_act": "relu"}, "no activation 'relu'"),
        ({"projector_hidden_act": "silu"}, "no activation"),
    ],
)
def test_what_llama_cpp_computes_otherwise_is_refused(
    checkpoint: Checkpoint, values: dict[str, Any], said: str
) -> None:
    with pytest.raises(UserError, match=said) as refused:
        check_tower(other(checkpoint, **values))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(("layer", "used"), [(-1, 2), (-2, 1), (1, 1), (2, 2)])
def test_how_many_layers_are_gone_through(checkpoint: Checkpoint, layer: int, used: int) -> None:
    assert layers_used(other(checkpoint, vision_feature_layer=layer)) == used


@pytest.mark.parametrize("layer", [0, -3, 3, -4])
def test_a_layer_that_is_none_is_refused(checkpoint: Checkpoint, layer: int) -> None:
    with pytest.raises(UserError, match="is not after any"):
        layers_used(other(checkpoint, vision_feature_layer=layer))
