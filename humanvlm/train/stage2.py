"""Stage 2: instruction tuning with LoRA (Hu et al. 2021, arXiv 2106.09685), merged into a plain LLaVA checkpoint."""

from collections.abc import Sequence
from typing import Any

from humanvlm.config.stage2_checkpoint import Stage2
from humanvlm.data.atomic_io import atomic_folder
from humanvlm.errors import UserError
from humanvlm.pipeline.contract import Outcome, StageRun, read_report
from humanvlm.train.launch import train
from humanvlm.train.recipe import Recipe, Source
from humanvlm.train.samples import caption_samples, hq_samples, instruction_samples


def run(run: StageRun) -> Outcome:
    """Tune language model, tower and projector on captions and instructions. Rows are training samples.

    Raises UserError when stage 1 joined other models than the parameters name.
    """
    joined = read_report(run.inputs["stage1_checkpoint"])["config"]["model"]
    wanted = run.params.model.model_dump(mode="json")
    for key, value in wanted.items():
        if joined.get(key) != value:
            raise UserError(
                f"model.{key} is {value!r}, but {run.inputs['stage1_checkpoint']} was trained with "
                f"{joined.get(key)!r}; run `humanvlm stage1_checkpoint` again"
            )
    return train(run)


def _sources(run: StageRun) -> Sequence[Source]:
    config: Stage2 = run.config
    captions, share = run.inputs["human_caption"], 1 - config.instruction_share
    return [
        Source("captions", share * config.caption_share, caption_samples(captions, config.caption)),
        Source("hq", share * (1 - config.caption_share), hq_samples(run.inputs["human_caption_hq"])),
        Source("instructions", config.instruction_share, instruction_samples(run.inputs["data"], captions)),
    ]


def _model(run: StageRun) -> tuple[Any, Any]:
    import torch
    from safetensors.torch import load_file

    from humanvlm.model.build import build_llava, projector_file

    model, processor = build_llava(run.params.model)
    model.model.multi_modal_projector.load_state_dict(load_file(projector_file(run.inputs["stage1_checkpoint"])))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(run.config.seed)
        return with_lora(model, run.config), processor


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
    import torch

    found = []
    for name, module in model.named_modules():
        if not name.startswith(("model.language_model.", "model.vision_tower.")):
            continue
        pointwise = isinstance(module, torch.nn.Conv2d) and module.kernel_size == (1, 1) and module.groups == 1
        if pointwise or isinstance(module, torch.nn.Linear):
            found.append(name)
    return found


def _save(run: StageRun, model: Any, processor: Any) -> None:
    merged = merge(model.float())  # bfloat16 would round the smaller updates away
    with atomic_folder(run.out / "model") as work:
        merged.save_pretrained(work)
        processor.save_pretrained(work)


def merge(model: Any) -> Any:
    """The plain LLaVA that computes what the peft model computes."""
    return model.eval().merge_and_unload(safe_merge=True)


RECIPE = Recipe(_model, _sources, _save)
