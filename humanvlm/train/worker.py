"""The trainer process: ``python -m humanvlm.train.worker JOB``, alone or as one rank under torchrun."""

import csv
import io
import logging
import os
import resource
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from humanvlm.config.training import Training
from humanvlm.data.atomic_io import write_json, write_text
from humanvlm.errors import UserError
from humanvlm.pipeline.contract import StageRun
from humanvlm.train.job import die_with_parent, error_path, read_job, result_path

log = logging.getLogger("humanvlm")


def main(job: Path) -> int:
    """Train as the job says. A UserError goes into ``error.json`` beside the job and gives status 2."""
    die_with_parent()
    logging.basicConfig(level="INFO", format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    for noisy in ("DeepSpeed", "transformers", "accelerate", "matplotlib", "PIL"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
    run = read_job(job)
    try:
        train(run)
    except UserError as error:
        write_json(error_path(run), {"error": str(error)})
        return 2
    return 0


def train(run: StageRun) -> None:
    """Prepare, train (or continue), save. Rank 0 writes the artifact and ``result.json``."""
    import torch

    if not torch.cuda.is_available():
        os.environ["DS_ACCELERATOR"] = "cpu"
    from humanvlm.train.batches import Collator, Run
    from humanvlm.train.model import save_trained, trainable_model
    from humanvlm.train.pictures import Pictures
    from humanvlm.train.prepare import prepared
    from humanvlm.train.trainer import StageTrainer, arguments, bf16, last_checkpoint

    config: Training = run.config
    world = int(os.environ["WORLD_SIZE"])
    resume = last_checkpoint(run.work, world)
    material = prepared(run)
    store, plan = material.store, material.plan
    model, processor = trainable_model(run)
    if in_bf16 := bf16(run.params.model.dtype):
        model.to(torch.bfloat16)  # DeepSpeed would leave the buffers of batch normalisation in float32, and fail
    trainable = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    trainer = StageTrainer(
        run.stage.name,
        model=model,
        args=arguments(config, plan.steps, run.work, world, in_bf16),
        train_dataset=Run(store, plan, processor.image_processor, Pictures()),
        data_collator=Collator(processor.tokenizer.pad_token_id),
    )
    start = time.monotonic()
    trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    seconds = time.monotonic() - start
    if not trainer.is_world_process_zero():
        return
    first = int(resume.name.rpartition("-")[2]) if resume else 0
    tokens = int(store.lengths[plan.order[first * config.batch_size :]].sum())
    history = [entry for entry in trainer.state.log_history if "loss" in entry]
    save_trained(run, trainer.model, processor)
    write_curve(run.out, history, run.stage.name)
    write_json(
        result_path(run),
        {
            "counts": asdict(material.counts),
            "metrics": _metrics(history) | {"train_seconds": seconds, "tokens_per_second": tokens / seconds},
            "plots": ["loss.png"],
            "info": {
                **material.info,
                "trainable_parameters": trainable,
                "processes": world,
                "engine": type(trainer.model_wrapped).__name__,
                "dtype": "bfloat16" if trainer.args.bf16 else "float32",
                "resumed_after_step": first,
                "peak_memory_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
            },
        },
    )


def _metrics(history: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """First and last loss are means over a tenth of the run: single batches are noisy."""
    losses = [entry["loss"] for entry in history]
    tenth = max(1, len(losses) // 10)
    return {
        "steps": float(history[-1]["step"]),
        "loss_first": sum(losses[:tenth]) / tenth,
        "loss_last": sum(losses[-tenth:]) / tenth,
    }


def write_curve(out: Path, history: Sequence[Mapping[str, float]], title: str) -> None:
    """``loss.csv`` (step, loss in nats a token, learning_rate, grad_norm) and ``loss.png``."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    columns = ("step", "loss", "learning_rate", "grad_norm")
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows([entry[column] for column in columns] for entry in history)
    write_text(out / "loss.csv", text.getvalue())
    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    axes.plot([entry["step"] for entry in history], [entry["loss"] for entry in history], linewidth=1)
    axes.set(xlabel="step", ylabel="loss (nats a token)", title=title)
    figure.savefig(out / "loss.png", dpi=110)
    pyplot.close(figure)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
