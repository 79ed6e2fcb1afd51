"""Hugging Face's Trainer on a DeepSpeed engine (ZeRO, Rajbhandari et al. 2020), with checkpoints that are checked.

Three things differ from the stock Trainer. Checkpoints hold only what is trained. A checkpoint counts once its
``complete.json`` is there, so a kill while saving leaves the one before. After a resume the trained weights must have
the digest they were saved with: LLaVA's keys change on their way to disk, and the stock code then resumes with nothing
loaded and only warns.
"""

import hashlib
import logging
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from humanvlm.config.training import Training
from humanvlm.data.atomic_io import sync_tree, write_json
from humanvlm.errors import UserError

log = logging.getLogger("humanvlm")
COMPLETE = "complete.json"


def arguments(config: Training, steps: int, work: Path, world: int, bf16: bool) -> TrainingArguments:
    """Trainer arguments for a run of that many steps. Raises UserError when the batch does not divide."""
    share, left = divmod(config.batch_size, world)
    micro = min(config.micro_batch_size, share)
    if left or not share or share % micro:
        raise UserError(
            f"batch_size {config.batch_size} is not {world} process(es) x a multiple of micro_batch_size "
            f"{config.micro_batch_size}; change one of them, or HUMANVLM_PROCESSES"
        )
    gpu = torch.cuda.is_available()
    if not gpu:
        _without_compiled_communication()
    return TrainingArguments(
        output_dir=str(work),
        use_cpu=not gpu,
        ddp_backend="nccl" if gpu else "gloo",
        deepspeed=deepspeed_config(config, bf16),
        bf16=bf16,
        max_steps=steps,
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=share // micro,
        activation_checkpointing=config.gradient_checkpointing,
        learning_rate=config.learning_rate,
        adam_beta1=config.betas[0],
        adam_beta2=config.betas[1],
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm,
        warmup_steps=round(config.warmup_ratio * steps),
        lr_scheduler_type="cosine",
        seed=config.seed,
        train_sampling_strategy="sequential",  # the data set is the schedule
        dataloader_num_workers=4 if gpu else 0,
        dataloader_pin_memory=gpu,
        remove_unused_columns=False,
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_steps=config.save_steps,
        save_strategy="steps",
        report_to="none",
        disable_tqdm=not sys.stderr.isatty(),
    )


def bf16(dtype: str) -> bool:
    """Whether to compute in bfloat16; ``auto``: where the processor or GPU multiplies it natively."""
    if dtype != "auto":
        return dtype == "bfloat16"
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def _without_compiled_communication() -> None:
    """Gloo instead of DeepSpeed's shared-memory operator, which it would compile at start: a minute, and a compiler."""
    import deepspeed.ops

    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False


def deepspeed_config(config: Training, bf16: bool) -> dict[str, Any]:
    """DeepSpeed's own configuration. ``torch_adam``: its CPU Adam would need a compiler."""
    return {
        "train_micro_batch_size_per_gpu": "auto",
        "gradient_accumulation_steps": "auto",
        "gradient_clipping": "auto",
        "bf16": {"enabled": bf16},
        "zero_optimization": {"stage": config.zero_stage, "overlap_comm": torch.cuda.is_available()},
        "optimizer": {
            "type": "AdamW",
            "params": {"lr": "auto", "betas": "auto", "eps": "auto", "weight_decay": "auto", "torch_adam": True},
        },
        "zero_allow_untested_optimizer": True,
        "steps_per_print": sys.maxsize,
    }


class StageTrainer(Trainer):  # type: ignore[misc]
    """See the module. ``name`` is what progress lines start with."""

    def __init__(self, name: str, **options: Any) -> None:
        super().__init__(**options)
        self.remove_callback(PrinterCallback)
        self.add_callback(Progress(name))

    def _prepare_for_training(self, max_steps: int, train_dataloader: Any, resume_from_checkpoint: str | None) -> Any:
        prepared = super()._prepare_for_training(max_steps, train_dataloader, None)
        engine, world = type(self.model_wrapped).__name__, torch.distributed.get_world_size()
        if engine != "DeepSpeedEngine" or world != int(os.environ["WORLD_SIZE"]) or world != self.args.world_size:
            raise RuntimeError(
                f"the model trains in a {engine} in a world of {world}, not in DeepSpeed's engine in one of "
                f"{os.environ['WORLD_SIZE']}"
            )
        if resume_from_checkpoint is not None:
            self._load(Path(resume_from_checkpoint))
        return prepared

    def _load(self, folder: Path) -> None:
        path, _ = self.model_wrapped.load_checkpoint(str(folder), load_module_strict=False)
        if path is None or digest(self.model) != read_complete(folder)["digest"]:
            raise UserError(f"{folder}: the trained weights did not come back as they were saved; run with --force")

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
        if self.args.should_save:
            shutil.rmtree(folder, ignore_errors=True)
        torch.distributed.barrier()
        self.model_wrapped.save_checkpoint(str(folder), exclude_frozen_parameters=True)
        self._save_rng_state(str(folder))
        torch.distributed.barrier()
        if self.args.should_save:
            self.state.save_to_json(str(folder / "trainer_state.json"))
            sync_tree(folder)
            state = {"step": self.state.global_step, "world": self.args.world_size, "digest": digest(self.model)}
            write_json(folder / COMPLETE, state)
            for other in folder.parent.glob("checkpoint-*"):
                if other != folder:
                    shutil.rmtree(other)


class Progress(TrainerCallback):  # type: ignore[misc]
    """A log line at every tenth of the steps; no checkpoint after the last one, for the result is written next."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.start = time.monotonic()
        self.first = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.start, self.first = time.monotonic(), state.global_step
        if self.first and state.is_world_process_zero:
            log.info("%s: resuming after step %d of %d", self.name, self.first, state.max_steps)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        if state.global_step >= state.max_steps:
            control.should_save = False
        return control

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        step, total = state.global_step, state.max_steps
        if "loss" in logs and state.is_world_process_zero and step * 10 // total > (step - 1) * 10 // total:
            seconds = time.monotonic() - self.start
            left = seconds / max(step - self.first, 1) * (total - step)
            log.info(
                "%s: step %d/%d, loss %.4f, %.0f s, %.0f s left", self.name, step, total, logs["loss"], seconds, left
            )


def read_complete(folder: Path) -> dict[str, Any]:
    """What a checkpoint says about itself."""
    import json

    state: dict[str, Any] = json.loads((folder / COMPLETE).read_text())
    return state


def last_checkpoint(work: Path, world: int) -> Path | None:
    """The newest complete checkpoint. Raises UserError when another number of processes wrote it."""
    complete = [path.parent for path in work.glob(f"checkpoint-*/{COMPLETE}")]
    if not complete:
        return None
    newest = max(complete, key=lambda folder: int(folder.name.rpartition("-")[2]))
    if (wrote := read_complete(newest)["world"]) != world:
        raise UserError(
            f"{newest}: written by {wrote} process(es), now {world}; set HUMANVLM_PROCESSES={wrote}, "
            "or start afresh with --force"
        )
    return newest


def digest(model: torch.nn.Module) -> str:
    """sha256 over the names and values of the trained parameters."""
    total = hashlib.sha256()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            total.update(name.encode())
            total.update(parameter.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return total.hexdigest()
