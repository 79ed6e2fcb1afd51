"""Stage 1: the projector learns to say pictures in the language model's words; everything else is frozen."""

from collections.abc import Sequence
from typing import Any

from humanvlm.data.atomic_io import atomic_file
from humanvlm.pipeline.contract import Outcome, StageRun
from humanvlm.train.launch import train
from humanvlm.train.recipe import Recipe, Source
from humanvlm.train.samples import caption_samples


def run(run: StageRun) -> Outcome:
    """Train the projector on the captions of ``human_caption``. Rows are training samples."""
    return train(run)


def _sources(run: StageRun) -> Sequence[Source]:
    caption = run.config.caption
    return [Source(caption, 1.0, caption_samples(run.inputs["human_caption"], caption))]


def _model(run: StageRun) -> tuple[Any, Any]:
    from humanvlm.model.build import build_llava

    model, processor = build_llava(run.params.model, seed=run.config.seed)
    model.requires_grad_(False)
    model.model.multi_modal_projector.requires_grad_(True)
    return model, processor


def _save(run: StageRun, model: Any, _: Any) -> None:
    from safetensors.torch import save_file

    state = {name: value.float().contiguous() for name, value in model.model.multi_modal_projector.state_dict().items()}
    with atomic_file(run.out / "projector.safetensors") as work:
        save_file(state, work, metadata={"format": "pt"})
    with atomic_file(run.out / "config.json") as work:
        model.config.to_json_file(work, use_diff=False)


RECIPE = Recipe(_model, _sources, _save)
