"""What leaves training: stage 1's projector; stage 2's plain LLaVA checkpoint, and its low-rank updates beside it.

``model/`` is read by ``AutoModelForImageTextToText``, ``AutoProcessor`` and ``pipeline`` of transformers alone, for
towers that these know; for the packaged MobileNetV2, once ``humanvlm.model.tower`` is imported.
"""

from copy import copy
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from humanvlm.config.stage2_checkpoint import Stage2
from humanvlm.data.atomic_io import atomic_file, atomic_folder
from humanvlm.pipeline.contract import StageRun

PROJECTOR = "multi_modal_projector"
# Towers whose weights released checkpoints name below ``vision_model``: transformers reads both names, vLLM these.
WRAPPED = ("clip_vision_model", "siglip_vision_model")


def save_trained(run: StageRun, model: Any, processor: Any) -> None:
    """Write what the stage's artifact holds of a trained model, which is used up."""
    if run.stage.name == "stage1_checkpoint":
        save_projector(run.out, model)
        return
    model = model.float()  # bfloat16 would round the smaller updates away
    if is_adapter(run.config, model):
        save_adapter(run.out / "adapter", model)
    save_merged(run.out / "model", model, processor)


def save_projector(out: Path, model: Any) -> None:
    """``projector.safetensors`` in float32, and the ``config.json`` of the model it belongs to."""
    state = {name: value.float().contiguous() for name, value in model.model.multi_modal_projector.state_dict().items()}
    with atomic_file(out / "projector.safetensors") as work:
        save_file(state, work, metadata={"format": "pt"})
    with atomic_file(out / "config.json") as work:
        model.config.to_json_file(work, use_diff=False)


def is_adapter(config: Stage2, model: Any) -> bool:
    """Whether low-rank updates and the projector are all that was learnt."""
    return hasattr(model, "peft_config") and config.language_model != "full"


def save_adapter(folder: Path, model: Any) -> None:
    """The updates in peft's format, with the projector they were learnt with as its ``modules_to_save``.

    ``PeftModel.from_pretrained(build_llava(params.model)[0], folder)`` computes what the merged model does.
    """
    from peft import get_peft_model_state_dict

    (config,) = map(copy, model.peft_config.values())
    config.target_modules = sorted(config.target_modules)  # a set: its order would be another in every process
    config.modules_to_save = [PROJECTOR]
    config.base_model_name_or_path = None  # a place on this machine
    config.inference_mode = True
    state = get_peft_model_state_dict(model)
    state |= {name: value for name, value in model.state_dict().items() if f".{PROJECTOR}." in name}
    with atomic_folder(folder) as work:
        config.save_pretrained(work)
        weights = {name: value.detach().contiguous() for name, value in state.items()}
        save_file(weights, work / "adapter_model.safetensors", metadata={"format": "pt"})


def merge(model: Any) -> Any:
    """The plain LLaVA that computes what the trained model computes."""
    model = model.eval()
    return model.merge_and_unload(safe_merge=True) if hasattr(model, "merge_and_unload") else model


def save_merged(folder: Path, model: Any, processor: Any) -> None:
    """A Hugging Face checkpoint of the merged model, with its processor; safetensors, and no path of this machine."""
    merged = merge(model)
    for config in (merged.config, merged.config.text_config, merged.config.vision_config):
        config._name_or_path = ""
    for key in ("is_local", "local_files_only", "name_or_path"):
        processor.tokenizer.init_kwargs.pop(key, None)
    state = merged.state_dict()
    if merged.config.vision_config.model_type in WRAPPED:
        tower = "model.vision_tower."
        state = {name.replace(tower, f"{tower}vision_model.", 1): value for name, value in state.items()}
    with atomic_folder(folder) as work:
        merged.save_pretrained(work, state_dict=state)
        processor.save_pretrained(work)
