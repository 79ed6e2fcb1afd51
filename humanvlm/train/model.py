"""The model that a stage trains, which of its parameters learn and how fast.

Stage 1 trains the projector of a frozen LLaVA. Stage 2 starts from that, and trains what its parameters choose of the
language model and the tower too.
"""

from typing import Any

import torch
from safetensors.torch import load_file

from humanvlm.config.stage2_checkpoint import Stage2
from humanvlm.config.training import Training
from humanvlm.model.build import build_llava, projector_file
from humanvlm.pipeline.contract import StageRun
from humanvlm.train.parts import part_of
from humanvlm.train.parts import plain as plain


def trainable_model(run: StageRun) -> tuple[Any, Any]:
    """Model and processor of a stage; the parameters that require gradients are those it trains."""
    if run.stage.name == "stage1_checkpoint":
        model, processor = build_llava(run.params.model, seed=run.config.seed)
        return projector_only(model), processor
    model, processor = build_llava(run.params.model)
    model.model.multi_modal_projector.load_state_dict(load_file(projector_file(run.inputs["stage1_checkpoint"])))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(run.config.seed)
        return tuned(model, run.config), processor


def projector_only(model: Any) -> Any:
    """The model, frozen but for its projector."""
    model.requires_grad_(False)
    model.model.multi_modal_projector.requires_grad_(True)
    return model


def tuned(model: Any, config: Stage2) -> Any:
    """The model of stage 2: its projector learns whole; language model and tower as the parameters say.

    A peft model when something gets low-rank updates, else the same LLaVA.
    """
    model.requires_grad_(False)
    if names := targets(model, config):
        from peft import LoraConfig, get_peft_model

        lora = LoraConfig(
            r=config.lora_r, lora_alpha=config.lora_alpha, lora_dropout=config.lora_dropout, target_modules=names
        )
        model = get_peft_model(model, lora)
    llava = plain(model)
    llava.model.multi_modal_projector.requires_grad_(True)
    if config.language_model == "full":
        llava.model.language_model.requires_grad_(True)
        llava.lm_head.requires_grad_(True)
    return model


def targets(model: Any, config: Stage2) -> list[str]:
    """What gets low-rank updates: linear layers of a part, of a convolutional tower its pointwise convolutions."""
    parts = {"model.language_model.": config.language_model, "model.vision_tower.": config.vision_tower}
    prefixes = tuple(prefix for prefix, how in parts.items() if how == "lora")
    found = []
    for name, module in model.named_modules():
        if not prefixes or not name.startswith(prefixes):
            continue
        if name.startswith("model.language_model.") and config.lora_layers == "attention" and ".self_attn." not in name:
            continue
        pointwise = isinstance(module, torch.nn.Conv2d) and module.kernel_size == (1, 1) and module.groups == 1
        if pointwise or isinstance(module, torch.nn.Linear):
            found.append(name)
    return found


def parameter_groups(model: Any, config: Training) -> list[dict[str, Any]]:
    """AdamW's groups: each part with its learning rate; vectors (biases, norms) do not decay."""
    groups: dict[tuple[str, bool], list[torch.nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups.setdefault((part_of(name), parameter.ndim > 1), []).append(parameter)
    own = getattr(config, "projector_learning_rate", None)
    return [
        {
            "part": part,
            "params": parameters,
            "lr": own if own and part == "projector" else config.learning_rate,
            "weight_decay": config.weight_decay if decays else 0.0,
        }
        for (part, decays), parameters in groups.items()
    ]
