"""Hugging Face's Trainer on a DeepSpeed engine (ZeRO, Rajbhandari et al. 2020), a step of the plan at a time.

Four things differ from the stock Trainer. One item of the data set is one optimiser step: its packs are computed one
after the other and weigh by the label tokens of the whole step, so that neither accumulation nor the number of
processes changes the loss. Random numbers follow from seed, step and rank. Checkpoints hold whole tensors
(humanvlm.train.checkpoints) and are compared with what came back of them: LLaVA's keys change on their way to disk, and
the stock code then resumes with nothing loaded and only warns. A loss or gradient that is not finite ends the run.
"""

import itertools
import logging
import math
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from humanvlm.config.training import Training
from humanvlm.errors import UserError
from humanvlm.train import checkpoints
from humanvlm.train.batches import Step, Steps
from humanvlm.train.checkpoints import Checkpoint
from humanvlm.train.job import checkpoint_step
from humanvlm.train.model import parameter_groups
from humanvlm.train.parts import part_of

log = logging.getLogger("humanvlm")


def arguments(config: Training, steps: int, work: Path, bf16: bool) -> TrainingArguments:
    """Trainer arguments for a run of that many steps."""
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
        per_device_train_batch_size=1,  # step of the plan
        gradient_accumulation_steps=1,
        learning_rate=config.learning_rate,
        max_grad_norm=config.max_grad_norm,
        warmup_steps=warmup_steps(config, steps),
        lr_scheduler_type="warmup_stable_decay",
        lr_scheduler_kwargs={"num_decay_steps": decay_steps(config, steps)},
        seed=config.seed,
        ignore_data_skip=True,  # the data set starts at the step
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


def warmup_steps(config: Training, steps: int) -> int:
    """Of that many steps, those in which the learning rate rises."""
    return round(config.warmup_ratio * steps)


def decay_steps(config: Training, steps: int) -> int:
    """Of that many steps, those at the end in which the learning rate falls."""
    return min(round(config.decay_ratio * steps), steps - warmup_steps(config, steps))


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
    """DeepSpeed's own configuration. The optimiser is PyTorch's: DeepSpeed's own on a CPU would need a compiler.

    In bfloat16 stage 0 becomes 1: without ZeRO nobody would keep the float32 copies of what is trained.
    """
    stage = max(config.zero_stage, int(bf16 or config.offload != "none"))
    zero: dict[str, Any] = {"stage": stage, "overlap_comm": torch.cuda.is_available()}
    if config.offload != "none":
        zero["offload_optimizer"] = {"device": "cpu", "pin_memory": torch.cuda.is_available()}
    if config.offload == "parameters":
        zero |= {"stage": 3, "offload_param": {"device": "cpu", "pin_memory": torch.cuda.is_available()}}
    return {
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,
        "gradient_clipping": config.max_grad_norm,
        "bf16": {"enabled": bf16},
        "zero_optimization": zero,
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "steps_per_print": sys.maxsize,
    }


class StageTrainer(Trainer):  # type: ignore[misc]
    """See the module. ``resume``: a verified checkpoint to go on from.

    Each step's log has loss (nats a label token, weighed as loss_weighting says), grad_norm, learning_rate, tokens (of
    the step, over all processes), step_seconds, data_seconds (of these, waiting for the loader); where several parts
    learn, learning_rate_PART, and without ZeRO grad_norm_PART. ``stop`` set from
    outside, or ``stop_file`` appearing, ends the run after a step with a checkpoint, on all processes at once.
    """

    def __init__(
        self,
        config: Training,
        args: TrainingArguments,
        model: torch.nn.Module,
        steps: Steps,
        resume: Checkpoint | None = None,
        callbacks: Sequence[TrainerCallback] = (),
        stop_file: Path | None = None,
    ) -> None:
        self.config = config
        self.resume = resume
        self.stop = False
        self.stop_file = stop_file
        self.adam: Any = None
        self._figures: dict[str, float] = {}
        self._saved = time.monotonic()
        super().__init__(model=model, args=args, train_dataset=steps, callbacks=[_Flow(self), *callbacks])
        self.remove_callback(PrinterCallback)

    @property
    def trained(self) -> Mapping[str, torch.nn.Parameter]:
        """What learns, by its name in the model."""
        named = self.model.model.named_parameters()
        return {name: parameter for name, parameter in named if parameter.requires_grad}

    def fit(self) -> None:
        """Train from the first step, or the checkpoint's, to the last, or until stopped."""
        self.train(resume_from_checkpoint=str(self.resume.folder) if self.resume else None)

    def whole(self, parameter: torch.nn.Parameter, kind: str = "value") -> torch.Tensor:
        """A trained parameter's float32 value, or AdamW's ``exp_avg`` or ``exp_avg_sq``, whole. A collective call."""
        from deepspeed.utils import safe_get_full_fp32_param, safe_get_full_optimizer_state

        if self._zero == 0:
            found = parameter.detach() if kind == "value" else self.adam.state[parameter][kind]
        elif kind == "value":
            found = safe_get_full_fp32_param(parameter)
        else:
            found = safe_get_full_optimizer_state(parameter, kind)
        shape = getattr(parameter, "ds_shape", parameter.shape)
        tensor: torch.Tensor = found.view(-1)[: shape.numel()].view(shape)
        return tensor

    def learnt(self) -> dict[str, torch.Tensor]:
        """What was trained, whole, float32, on the CPU, by name. All processes call it; the first alone gets values."""
        found = {}
        for name, parameter in self.trained.items():
            value = self.whole(parameter)
            if self.args.process_index == 0:
                found[name] = value.detach().to("cpu", torch.float32).clone()
        return found

    @property
    def _zero(self) -> int:
        return int(self.model_wrapped.zero_optimization_stage())

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        if self.adam is None:
            first, second = self.config.betas
            groups = parameter_groups(self.model.model, self.config)
            self.adam = torch.optim.AdamW(groups, betas=(first, second), fused=self.config.offload == "none")
            self.optimizer = self.adam
        adam: torch.optim.Optimizer = self.adam
        return adam

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Items are steps of this process: nothing to shuffle, to batch or to share out."""
        workers = self.args.dataloader_num_workers
        return DataLoader(
            self.train_dataset,
            batch_size=1,
            sampler=_From(self.resume.step if self.resume else 0, self.args.max_steps),
            collate_fn=_only,
            num_workers=workers,
            pin_memory=self.args.dataloader_pin_memory,
            prefetch_factor=4 if workers else None,
        )

    def _prepare_for_training(self, max_steps: int, train_dataloader: Any, resume_from_checkpoint: str | None) -> Any:
        if self.resume is not None:
            with torch.no_grad():
                for name, tensors in self.resume.tensors():
                    self.trained[name].copy_(tensors["value"])
        prepared = super()._prepare_for_training(max_steps, train_dataloader, None)
        engine, world = type(self.model_wrapped).__name__, torch.distributed.get_world_size()
        if engine != "DeepSpeedEngine" or world != int(os.environ["WORLD_SIZE"]) or world != self.args.world_size:
            raise RuntimeError(
                f"the model trains in a {engine} in a world of {world}, not in DeepSpeed's engine in one of "
                f"{os.environ['WORLD_SIZE']}"
            )
        if self.resume is not None:
            self._restore(self.resume)
        return prepared

    def _restore(self, saved: Checkpoint) -> None:
        """Values, moments and learning rate as they were after ``saved.step`` steps."""
        for group in self.adam.param_groups:
            group["lr"] = 0.0
        self._pass([self.train_dataset.blank()], 0.0)  # changes nothing, but makes AdamW's state
        self.model_wrapped.step()
        self._link()
        trained = self.trained
        names = set()
        for name, tensors in saved.tensors():
            names.add(name)
            for kind, value in tensors.items():
                self._set(trained[name], kind, value)
                if not torch.equal(self.whole(trained[name], kind).cpu(), value):
                    raise UserError(f"{saved.folder}: {kind} of {name} did not come back as it was saved")
        if names != set(trained):
            raise UserError(f"{saved.folder}: holds other parameters than are trained; start afresh with --force")
        for state in self.adam.state.values():
            state["step"].fill_(saved.step)
        schedule = self.lr_scheduler
        schedule.last_epoch = saved.step
        for group, base, factor in zip(self.adam.param_groups, schedule.base_lrs, schedule.lr_lambdas, strict=True):
            group["lr"] = base * factor(saved.step)
        schedule._last_lr = [group["lr"] for group in self.adam.param_groups]

    def _link(self) -> None:
        """DeepSpeed links its parameters to AdamW's state once the first group has made its first step, and thereby
        misses that of the other groups."""
        if self._zero in (1, 2):
            zero = self.model_wrapped.optimizer
            zero._hp_optimizer_states_linked = False
            zero._lazy_init_hp_params_optimizer_state()

    def _set(self, parameter: Any, kind: str, value: torch.Tensor) -> None:
        from deepspeed import utils

        value = value.to(self.args.device)
        if self._zero == 0:
            (parameter.data if kind == "value" else self.adam.state[parameter][kind]).copy_(value)
        elif self._zero < 3 and kind == "value":
            utils.safe_set_full_fp32_param(parameter, value)
        elif self._zero < 3:
            utils.safe_set_full_optimizer_state(parameter, value, kind)
        else:  # each process its part; DeepSpeed's own setter of whole tensors fails where they do not divide
            size = parameter.ds_tensor.numel()
            padded = torch.zeros(size * self.args.world_size, dtype=value.dtype, device=value.device)
            padded[: value.numel()] = value.flatten()
            part = padded[size * self.args.process_index :][:size]
            if kind == "value":
                utils.safe_set_local_fp32_param(parameter, part)
            else:
                utils.safe_set_local_optimizer_state(parameter, part, kind)

    def get_batch_samples(self, epoch_iterator: Iterator[Step], num_batches: int, device: Any) -> Any:
        start = time.monotonic()
        found = list(itertools.islice(epoch_iterator, num_batches))
        self._figures = {"data_seconds": time.monotonic() - start}
        return found, None

    def training_step(self, model: Any, inputs: Step, num_items_in_batch: Any = None) -> torch.Tensor:
        """One optimiser step. Returns its loss: the mean over its label tokens, over all processes.

        Raises UserError, on all processes, when that or the gradient is not finite; nothing is changed then.
        """
        start = time.monotonic()
        model.train()
        step, rank = self.state.global_step, self.args.process_index
        torch.manual_seed(int(np.random.SeedSequence((self.config.seed, step, rank)).generate_state(1)[0]))
        loss = self._pass(inputs.packs, 1 / inputs.weight)
        due = time.monotonic() - self._saved > self.config.save_minutes * 60
        stop = self.stop or bool(self.stop_file and self.stop_file.exists())
        told = torch.tensor([loss.item(), stop, due and rank == 0], dtype=torch.float64, device=self.args.device)
        torch.distributed.all_reduce(told)
        total, stops, saves = told.tolist()
        self._finite(total, "loss", step)
        norms = self._norms()
        model.step()
        norm = math.hypot(*norms.values()) if norms else float(model.get_global_grad_norm())
        self._finite(norm, "gradient", step)
        self.control.should_training_stop |= stops > 0
        self.control.should_save |= stops + saves > 0
        self._figures |= {
            "grad_norm": norm,
            **_by_part("grad_norm", norms),
            "tokens": inputs.tokens,
            "labels": inputs.labels,
            "step_seconds": time.monotonic() - start + self._figures["data_seconds"],
        }
        return torch.tensor(total, device=self.args.device)

    def _pass(self, packs: Sequence[Any], weight: float) -> torch.Tensor:
        """Forward and backward of packs: gradients of their sum of losses times ``weight``, which is returned.

        The engine takes the mean over processes, where the sum is meant: hence times their number.
        """
        engine, total = self.model_wrapped, torch.zeros((), dtype=torch.float64)
        for number, pack in enumerate(packs, 1):
            engine.set_gradient_accumulation_boundary(number == len(packs))
            loss = engine(pack.to(self.args.device))
            engine.backward(loss * (weight * self.args.world_size), scale_wrt_gas=False)
            total += loss.item() * weight
        return total

    def _norms(self) -> dict[str, float]:
        """The gradient's norm, by part; nothing with ZeRO, where the engine tells the whole's."""
        gradients: dict[str, list[torch.Tensor]] = {}
        for name, parameter in self.trained.items():
            if self._zero == 0 and parameter.grad is not None:
                gradients.setdefault(part_of(name), []).append(parameter.grad)
        return {part: float(torch.nn.utils.get_total_norm(found)) for part, found in gradients.items()}

    def _finite(self, value: float, what: str, step: int) -> None:
        # DeepSpeed leaves a step out whose gradient is not finite, and tells its norm as infinite or -1.
        if not math.isfinite(value) or value < 0:
            last = checkpoint_step(Path(self.args.output_dir))
            kept = f"the checkpoint after step {last} stays" if last else "there is no checkpoint yet"
            raise UserError(
                f"step {step + 1}: the {what} is not finite ({value:g}); nothing of it was kept, {kept}. Lower "
                "learning_rate, raise warmup_ratio, or set model.dtype=float32"
            )

    def _clip_grad_norm(self, model: Any) -> float:
        return self._figures["grad_norm"]  # the engine has clipped

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        rates = {group["part"]: group["lr"] for group in self.adam.param_groups}
        told = self._figures | _by_part("learning_rate", rates) if "loss" in logs else {}
        super().log(logs | told, start_time)

    def floating_point_ops(self, inputs: Step) -> int:
        """Not counted here; the Trainer would look for model inputs by name."""
        return 0

    def _load_rng_state(self, checkpoint: str | None) -> None:
        """Nothing: random numbers are drawn anew at every step."""

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        step, plan = self.state.global_step, self.train_dataset.plan
        self._link()
        checkpoints.write(
            Path(self.args.output_dir),
            self.trained,
            self.whole,
            self.state,
            plan.digest_to(step),
            plan.steps,
            leader=self.args.should_save,
        )
        torch.distributed.barrier()
        self._saved = time.monotonic()


class _From(Sampler[int]):
    """Steps from ``first`` on; as long as the whole run, of which the Trainer then sees one epoch."""

    def __init__(self, first: int, total: int) -> None:
        self.first, self.total = first, total

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.first, self.total))

    def __len__(self) -> int:
        return self.total


def _by_part(key: str, values: Mapping[str, float]) -> dict[str, float]:
    """``key_PART`` of each part, where there are several."""
    return {f"{key}_{part}": value for part, value in values.items()} if len(values) > 1 else {}


def _only(items: Sequence[Step]) -> Step:
    (item,) = items
    return item


class _Flow(TrainerCallback):  # type: ignore[misc]
    """No checkpoint after the last step, for the result is written next. Counts the minutes between checkpoints."""

    def __init__(self, trainer: StageTrainer) -> None:
        self.trainer = trainer

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.trainer._saved = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        if state.global_step >= state.max_steps:
            control.should_save = False
        return control
