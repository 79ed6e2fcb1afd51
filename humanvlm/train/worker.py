"""The trainer process: ``python -m humanvlm.train.worker JOB``, alone or as one rank of several."""

import csv
import gc
import io
import json
import logging
import os
import signal
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from humanvlm.config.training import Training
from humanvlm.data.atomic_io import write_json, write_text
from humanvlm.errors import UserError
from humanvlm.pipeline.contract import StageRun, read_report
from humanvlm.shown import log_to_stderr
from humanvlm.train.job import die_with_parent, error_path, read_edits, read_job, result_path, stop_path

log = logging.getLogger("humanvlm")
WORDS = "words.json"


def main(job: Path) -> int:
    """Train as the job says. A UserError goes into ``error.json`` beside the job and gives status 2."""
    die_with_parent()
    log_to_stderr()
    for noisy in ("DeepSpeed", "transformers", "accelerate", "matplotlib", "PIL"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
    run = read_job(job)
    try:
        train(run)
    except UserError as error:
        if os.environ["RANK"] == "0":
            write_json(error_path(run), {"error": str(error)})
        return 2
    return 0


@dataclass(frozen=True)
class Done:
    """What training leaves: the trained values by name, the log's entries (of steps, and of validation), and what to
    report."""

    learnt: Mapping[str, Any]
    history: Sequence[Mapping[str, float]]
    processor: Any
    info: Mapping[str, Any]
    metrics: Mapping[str, float]


def train(run: StageRun) -> None:
    """Train (or continue), save. Rank 0 writes the artifact and ``result.json``.

    Raises UserError when it was asked to stop (SIGTERM, or the stop file), once a checkpoint is written.
    """
    import torch

    if not torch.cuda.is_available():
        os.environ["DS_ACCELERATOR"] = "cpu"
    from transformers.integrations.deepspeed import unset_hf_deepspeed_config

    from humanvlm.inspect.model_card import model_card
    from humanvlm.pipeline.tracking import revision_tags
    from humanvlm.train.export import save_trained
    from humanvlm.train.prepare import prepared

    material = prepared(run)
    done = fit(run, material)
    if torch.distributed.is_initialized():  # or its threads may outlive the interpreter, which aborts at its end
        torch.distributed.destroy_process_group()
    if os.environ["RANK"] != "0":
        return
    gc.collect()
    unset_hf_deepspeed_config()  # with ZeRO 3, models would be loaded in parts
    save_trained(run, finished(run, done.learnt), done.processor)
    write_curve(run.out, done.history, run.stage.name)
    metrics, info = (
        {**_metrics(done.history), **done.metrics},
        {**material.info, **done.info, "revision": revision_tags()},
    )
    write_summary(run, done.history, metrics, info)
    pages = [name for name in ("report.html", "replies.html") if (run.out / name).exists()]
    result = {
        "counts": asdict(material.counts),
        "metrics": metrics,
        "plots": ["loss.png", *pages],
        "info": info,
    }
    write_json(result_path(run), result)
    if (run.out / "model").is_dir():
        write_text(run.out / "model" / "README.md", model_card(_report(run, result)))


def _report(run: StageRun, result: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the stage's report will say of its training."""
    counts = result["counts"]
    return {
        "profile": run.params.profile,
        "rows": {"in": counts["rows_in"], "kept": counts["kept"], "dropped": counts["dropped"]},
        "config": {section: getattr(run.params, section).model_dump(mode="json") for section in run.stage.sections},
        "metrics": result["metrics"],
        "info": result["info"],
    }


def fit(run: StageRun, material: Any) -> Done:
    """Build the model and train it by the plan, from the last checkpoint on. Raises UserError as ``train`` does."""
    import torch

    from humanvlm.train.batches import Pixels, Steps
    from humanvlm.train.costs import Sizes, opening, operations, speed
    from humanvlm.train.features import kept_features, worth_keeping
    from humanvlm.train.learner import Learner
    from humanvlm.train.model import trainable_model
    from humanvlm.train.parts import plain, trained_by_part
    from humanvlm.train.trainer import StageTrainer, arguments, bf16
    from humanvlm.train.watch import Best, Progress, memory_gb, watch

    config: Training = run.config
    rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    plan = material.plan
    resume = continued(run, plan)
    first = resume.step if resume else 0
    model, processor = trainable_model(run)
    parts = trained_by_part(model)
    half = bf16(run.params.model.dtype)
    options = arguments(config, plan.steps, run.work, half)
    kept = worth_keeping(material.store, plain(model))
    look = (
        kept_features(material.store, plain(model), processor.image_processor, rank, world, _together)
        if kept
        else Pixels.of(processor.image_processor)
    )
    words = read_words(run) if resume else _begin(run, model, processor, material.store, look)
    if half:
        model.to(torch.bfloat16)  # DeepSpeed would leave the buffers of batch normalisation in float32, and fail
    if config.gradient_checkpointing:
        plain(model).model.language_model.gradient_checkpointing_enable({"use_reentrant": False})
    sizes = Sizes.of(model)
    peak = world * speed(options.device, torch.bfloat16 if half else torch.float32)
    if rank == 0:
        about = opening(
            config, sizes, parts, plan, material.store, first=first, half=half, world=world, kept=kept, peak=peak
        )
        log.info("%s: %s", run.stage.name, about)
    best = Best(run.work / "best.safetensors")
    batches = Steps(material.store, plan, rank, world, config.pack_tokens, look, config.loss_weighting)
    cost = operations(sizes, parts, plan, material.store, kept=kept)
    seen = watch(run, processor, batches, cost, peak, lambda step: best.keep(step, trainer.learnt()))
    trainer = StageTrainer(
        config,
        options,
        Learner(model),
        batches,
        resume,
        callbacks=[Progress(run.stage.name), *seen.callbacks],
        stop_file=stop_path(run),
    )
    signal.signal(signal.SIGTERM, lambda *_: setattr(trainer, "stop", True))
    start = time.monotonic()
    trainer.fit()
    seconds = time.monotonic() - start
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    state = trainer.state
    if state.global_step < plan.steps:
        raise UserError(
            f"{run.stage.name}: stopped after step {state.global_step} of {plan.steps}; its checkpoint is kept: the "
            "same command continues"
        )
    history = [entry for entry in state.log_history if "loss" in entry or "validation_loss" in entry]
    tokens = sum(entry["tokens"] for entry in history if entry["step"] > first and "loss" in entry)
    info = {
        "trainable_parameters": sum(parts.values()),
        "trained_by_part": parts,
        "processes": world,
        "engine": type(trainer.model_wrapped).__name__,
        "dtype": "bfloat16" if half else "float32",
        "resumed_after_step": first,
        "edits": read_edits(run),
        "words": {word: round(gain, 4) for word, gain in words.items()},
        "tower": "features kept" if kept else "run at every step",
        "peak_memory_gb": round(memory_gb(), 2),
        **seen.info,
    }
    learnt = trainer.learnt()
    if rank == 0 and config.keep_best and (lowest := best.load()):
        info["best_step"], learnt = lowest
        log.info("%s: the weights after step %d had the lowest validation loss", run.stage.name, info["best_step"])
    figures = {"train_seconds": seconds, "tokens_per_second": tokens / seconds}
    return Done(learnt, history, processor, info, figures)


def _begin(run: StageRun, model: Any, processor: Any, store: Any, look: Any) -> Mapping[str, float]:
    """Let the projector begin with words where the stage asks for it, and in stage 2 go on from those of stage 1. What
    each new word saves, best first; kept for runs that resume, whose checkpoint has the projector only."""
    from humanvlm.train.features import tower_features
    from humanvlm.train.model import plain
    from humanvlm.train.words import begin_with_words

    steps, llava = run.config.word_steps, plain(model)
    if not steps:
        return {}
    aligned = run.inputs.get("stage1_checkpoint")
    known = read_report(aligned)["info"].get("words", {}) if aligned else {}
    if aligned and not known:
        log.warning("%s: stage 1 found no words, and its projector stays as it is", run.stage.name)
        return {}

    def cells(pictures: Sequence[Any]) -> Any:
        seen = look(pictures)
        return seen["features"].float() if "features" in seen else tower_features(llava, seen["pixel_values"])

    words = begin_with_words(llava, processor.tokenizer, store, cells, steps, run.config.seed, known)
    if os.environ["RANK"] == "0":
        best = ", ".join(list(words)[:8])
        how = "goes on" if known else "begins"
        log.info(
            "%s: the projector %s with %d words (%s)", run.stage.name, how, len(words), best or "no picture tells more"
        )
        write_json(run.work / WORDS, words)
    return words


def read_words(run: StageRun) -> Mapping[str, float]:
    """What ``_begin`` found before the run was interrupted."""
    path = run.work / WORDS
    found: dict[str, float] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found


def _together() -> None:
    """Returns when all processes of the run have called it."""
    import torch

    if os.environ["WORLD_SIZE"] != "1":
        torch.distributed.barrier()


def continued(run: StageRun, plan: Any) -> Any:
    """The checkpoint to go on from, None at the beginning.

    Raises UserError when it has learnt from other samples than the plan begins with. A plan of more steps begins with
    the shorter one, so that raising max_steps goes on; the learning rate then follows the longer run's schedule.
    """
    from humanvlm.train.checkpoints import newest

    found = newest(run.work)
    if found is None:
        return None
    if found.step >= plan.steps or found.plan != plan.digest_to(found.step):
        raise UserError(
            f"{found.folder}: {found.step} steps of another plan of samples than that of these parameters and inputs; "
            "put them back to continue, or start afresh with --force"
        )
    if found.steps != plan.steps:
        log.info("%s: planned for %d steps, goes on to %d", run.stage.name, found.steps, plan.steps)
    return found


def finished(run: StageRun, learnt: Mapping[str, Any]) -> Any:
    """The model of the stage anew, in float32, with what was learnt: whatever dtype and sharding it was trained in."""
    import torch

    from humanvlm.train.model import trainable_model

    model, _ = trainable_model(run)
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for name, value in learnt.items():
            parameters[name].copy_(value)
    return model


def _metrics(history: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """First and last loss are means over a tenth of the run: single batches are noisy."""
    losses = [entry["loss"] for entry in history if "loss" in entry]
    checks = [entry["validation_loss"] for entry in history if "validation_loss" in entry]
    tenth = max(1, len(losses) // 10)
    return {
        **({"validation_loss_last": checks[-1], "validation_loss_lowest": min(checks)} if checks else {}),
        "steps": float(max(entry["step"] for entry in history)),
        "loss_first": sum(losses[:tenth]) / tenth,
        "loss_last": sum(losses[-tenth:]) / tenth,
    }


def write_curve(out: Path, history: Sequence[Mapping[str, float]], title: str) -> None:
    """``loss.csv`` (step, loss in nats a token, learning_rate, grad_norm, tokens, seconds), ``validation.csv`` where
    that was looked at, and ``loss.png``."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    columns = ("step", "loss", "learning_rate", "grad_norm", "tokens", "step_seconds", "data_seconds")
    checks = [entry for entry in history if "validation_loss" in entry]
    history = [entry for entry in history if "loss" in entry]
    _write_csv(out / "loss.csv", columns, history)
    if checks:
        _write_csv(out / "validation.csv", ("step", "validation_loss"), checks)
    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    axes.plot([entry["step"] for entry in history], [entry["loss"] for entry in history], linewidth=1, label="training")
    if checks:
        places, losses = zip(*((entry["step"], entry["validation_loss"]) for entry in checks), strict=True)
        axes.plot(places, losses, marker="o", markersize=3, linewidth=1, label="validation")
        axes.legend(frameon=False)
    axes.set(xlabel="step", ylabel="loss (nats a token)", title=title)
    figure.savefig(out / "loss.png", dpi=110)
    pyplot.close(figure)


def _write_csv(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, float]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows([row[column] for column in columns] for row in rows)
    write_text(path, text.getvalue())


def write_summary(
    run: StageRun, history: Sequence[Mapping[str, float]], metrics: Mapping[str, float], info: Mapping[str, Any]
) -> None:
    """``report.html``: curves, figures, what it learnt from and how."""
    from humanvlm.train.pages import write_report
    from humanvlm.train.watch import REMEDY

    notes = [
        f"Step {spike['step']}: the loss jumped to {spike['loss']:.4g}, from about {spike['median']:.4g}."
        for spike in info["spikes"]
    ]
    if info["loader_starved"]:
        notes.append(f"More than a fifth of the time waited for pictures: {REMEDY}.")
    if "best_step" in info:
        notes.append(f"The weights are those after step {info['best_step']}, of the lowest validation loss.")
    tables = {
        "Result": metrics,
        "Learns (parameters)": info["trained_by_part"],
        "Learnt from (samples)": info["samples"],
        "Computed": {key: info[key] for key in ("engine", "processes", "dtype", "peak_memory_gb")},
        "Recipe": run.config.model_dump(mode="json"),
        "Model": run.params.model.model_dump(mode="json"),
    }
    replies = (run.out / "replies.html").exists()
    write_report(run.out / "report.html", run.stage.name, history, tables, notes, replies, run.config.loss_weighting)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
