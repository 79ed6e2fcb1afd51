"""The model that a stage trains, which of its parameters learn, and what is saved of it.

Stage 1 trains the projector of a frozen LLaVA and saves it. Stage 2 starts from that, trains low-rank updates of all
else too, and saves the whole, merged.
"""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from humanvlm.config.stage2_checkpoint import Stage2
from humanvlm.data.atomic_io import atomic_file, atomic_folder
from humanvlm.model.build import build_llava, projector_file
from humanvlm.pipeline.contract import StageRun


def trainable_model(run: StageRun) -> tuple[Any, Any]:
    """Model and processor of a stage; the parameters that require gradients are those it trains."""
    if run.stage.name == "stage1_checkpoint":
        model, processor = build_llava(run.params.model, seed=run.config.seed)
        return projector_only(model), processor
    model, processor = build_llava(run.params.model)
    model.model.multi_modal_projector.load_state_dict(load_file(projector_file(run.inputs["stage1_checkpoint"])))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(run.config.seed)
        return with_lora(model, run.config), processor


def save_trained(run: StageRun, model: Any, processor: Any) -> None:
    """Write what the stage's artifact holds of a trained model: the projector, or a plain LLaVA checkpoint."""
    if run.stage.name == "stage1_checkpoint":
        save_projector(run.out, model)
    else:
        save_merged(run.out / "model", model, processor)


def projector_only(model: Any) -> Any:
    """The model, frozen but for its projector."""
    model.requires_grad_(False)
    model.model.multi_modal_projector.requires_grad_(True)
    return model


def with_lora(model: Any, config: Stage2) -> Any:
    """A peft model that trains low-rank updates of the linear layers, and the projector whole; the rest is frozen."""
    from peft import LoraConfig, get_peft_model

    lora = LoraConfig(
        r=config.lora_r, lora_alpha=config.lora_alpha, lora_dropout=config.lora_dropout, target_modules=targets(model)
    )
    tuned = get_peft_model(model, lora)
    tuned.base_model.model.model.multi_modal_projector.requires_grad_(True)
    return tuned


def targets(model: Any) -> list[str]:
    """Linear layers of the language model and the tower; of a convolutional tower, its pointwise convolutions."""
    found = []
    for name, module in model.named_modules():
        if not name.startswith(("model.language_model.", "model.vision_tower.")):
            continue
        pointwise = isinstance(module, torch.nn.Conv2d) and module.kernel_size == (1, 1) and module.groups == 1
        if pointwise or isinstance(module, torch.nn.Linear):
            found.append(name)
    return found


def merge(model: Any) -> Any:
    """The plain LLaVA that computes what the peft model computes."""
    return model.eval().merge_and_unload(safe_merge=True)


def save_projector(out: Path, model: Any) -> None:
    """``projector.safetensors`` in float32, and the ``config.json`` of the model it belongs to."""
    state = {name: value.float().contiguous() for name, value in model.model.multi_modal_projector.state_dict().items()}
    with atomic_file(out / "projector.safetensors") as work:
        save_file(state, work, metadata={"format": "pt"})
    with atomic_file(out / "config.json") as work:
        model.config.to_json_file(work, use_diff=False)


def save_merged(folder: Path, model: Any, processor: Any) -> None:
    """A Hugging Face checkpoint of the merged model, with its processor."""
    merged = merge(model.float())  # bfloat16 would round the smaller updates away
    with atomic_folder(folder) as work:
        merged.save_pretrained(work)
        processor.save_pretrained(work)
