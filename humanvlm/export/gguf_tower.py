"""The tower and projector of a LLaVA as llama.cpp's ``mmproj`` file.

The runtime's LLaVA graph takes the features after ``clip.vision.feature_layer`` layers and
puts two matrices with a GELU between over them. It puts bars beside pictures that are not square, which transformers'
processors stretch or crop.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gguf import GGUFWriter

from humanvlm.errors import UserError
from humanvlm.export.checkpoint import Checkpoint
from humanvlm.export.gguf_file import F32, Precision, Tensor, write_gguf

TOWER = "siglip_vision_model"
CLIP = "clip_vision_model"
QUICK_GELU = "quick_gelu"
ACTIVATIONS = ("gelu", "gelu_pytorch_tanh", "gelu_new", "gelu_fast", QUICK_GELU)  # all but the last: one in llama.cpp

WHOLE = {
    "tower.embeddings.patch_embedding.weight": "v.patch_embd.weight",
    "tower.embeddings.patch_embedding.bias": "v.patch_embd.bias",
    "tower.embeddings.position_embedding.weight": "v.position_embd.weight",
    "projector.linear_1.weight": "mm.0.weight",
    "projector.linear_1.bias": "mm.0.bias",
    "projector.linear_2.weight": "mm.2.weight",
    "projector.linear_2.bias": "mm.2.bias",
}
LAYER = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.out_proj": "attn_out",
    "layer_norm1": "ln1",
    "layer_norm2": "ln2",
    "mlp.fc1": "ffn_up",
    "mlp.fc2": "ffn_down",
}
REMEDY = (
    "train with a SigLIP tower (model.vision_tower: siglip-base-patch16-224, siglip-so400m-patch14-384), or serve with "
    "`humanvlm serve`"
)
POSITIONS = "v.position_embd.weight"


def check_tower(checkpoint: Checkpoint) -> None:
    """Raises UserError, one line, when llama.cpp does not compute what this tower and projector do."""
    config, where = checkpoint.config, checkpoint.folder
    tower = config.vision_config
    if tower.model_type == CLIP:
        # xllamacpp 2026.10.11549: the class token is appended, the first row of features is left out.
        raise UserError(
            f"{where}: llama.cpp computes something else of a CLIP tower (it leaves out the first patch for the class "
            f"token); {REMEDY}"
        )
    if tower.model_type != TOWER:
        raise UserError(f"{where}: llama.cpp has no vision tower {tower.model_type!r}; {REMEDY}")
    if not isinstance(config.vision_feature_layer, int):
        raise UserError(f"{where}: vision_feature_layer is a list; llama.cpp's file is written for one layer")
    if tower.hidden_act not in ACTIVATIONS or config.projector_hidden_act != "gelu":
        raise UserError(
            f"{where}: llama.cpp knows no activation {tower.hidden_act!r} with {config.projector_hidden_act!r} in its "
            f"LLaVA towers; it has {', '.join(ACTIVATIONS)} there and gelu in the projector"
        )
    if config.vision_feature_select_strategy != "full":
        raise UserError(
            f"{where}: llama.cpp gives a language model all patches of a picture; set "
            "model.vision_feature_select_strategy to full and train again"
        )


def write_tower(checkpoint: Checkpoint, images: Any, path: Path, precision: Precision) -> None:
    """Write the file ``path``. images: the image processor, whose mean and deviation are noted. Raises UserError."""
    check_tower(checkpoint)
    config, layers = checkpoint.config.vision_config, layers_used(checkpoint)

    def describe(writer: GGUFWriter) -> None:
        writer.add_type("mmproj")
        writer.add_name("HumanVLM tower and projector")
        writer.add_file_type(precision.file_type)
        writer.add_clip_has_vision_encoder(True)
        writer.add_clip_projector_type("mlp")
        writer.add_vision_projection_dim(checkpoint.config.text_config.hidden_size)
        writer.add_vision_image_size(config.image_size)
        writer.add_vision_patch_size(config.patch_size)
        writer.add_vision_embedding_length(config.hidden_size)
        writer.add_vision_feed_forward_length(config.intermediate_size)
        writer.add_vision_block_count(layers)
        writer.add_vision_head_count(config.num_attention_heads)
        writer.add_vision_attention_layernorm_eps(config.layer_norm_eps)
        writer.add_vision_image_mean([float(value) for value in images.image_mean])
        writer.add_vision_image_std([float(value) for value in images.image_std])
        writer.add_vision_use_gelu(config.hidden_act != QUICK_GELU)
        writer.add_array("clip.vision.feature_layer", [layers])

    write_gguf(path, "clip", describe, list(_tensors(checkpoint, layers, precision)))


def layers_used(checkpoint: Checkpoint) -> int:
    """How many of the tower's layers the projector's features went through. Raises UserError when there are none."""
    config = checkpoint.config
    count = config.vision_config.num_hidden_layers
    used = config.vision_feature_layer + (count + 1 if config.vision_feature_layer < 0 else 0)
    if not 1 <= used <= count:
        raise UserError(
            f"{checkpoint.folder}: vision_feature_layer {config.vision_feature_layer} of {count} layers is not after "
            "any of them"
        )
    return int(used)


def _tensors(checkpoint: Checkpoint, layers: int, precision: Precision) -> Iterator[Tensor]:
    names = {name: place for name, place in WHOLE.items() if name in checkpoint}
    for layer in range(layers):
        for part, place in LAYER.items():
            for kind in ("weight", "bias"):
                names[f"tower.encoder.layers.{layer}.{part}.{kind}"] = f"v.blk.{layer}.{place}.{kind}"
    for name, place in names.items():
        kept = F32 if place == POSITIONS else precision.tower
        yield Tensor(place, checkpoint.shape(name), kept, lambda name=name: checkpoint.read(name).numpy())  # type: ignore[misc]
