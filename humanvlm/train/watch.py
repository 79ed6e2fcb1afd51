"""What is seen while it trains: figures live in MLflow, spikes, a loader that is too slow, validation loss, replies.

Each is a callback of Hugging Face's Trainer. They read the log of a step (humanvlm.train.trainer.StageTrainer: loss,
grad_norm, learning_rate, tokens, labels, step_seconds, data_seconds) and never change what is learnt.
"""

import json
import logging
import resource
import statistics
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import TrainerCallback

from humanvlm.config.training import Training
from humanvlm.data.atomic_io import atomic_file, write_json
from humanvlm.pipeline.contract import StageRun
from humanvlm.pipeline.live import Live
from humanvlm.train.batches import Pixels, Steps
from humanvlm.train.encode import Encoder
from humanvlm.train.held_out import HeldOut, held_out
from humanvlm.train.parts import plain
from humanvlm.train.pictures import Pictures

log = logging.getLogger("humanvlm")
WINDOW = 50  # steps that a loss is compared with
LEAST = 10  # steps before one is
ABOVE = 1.5  # times the second highest of them
SPIKE = 8.0  # median absolute deviations above the median
WARNINGS = 5  # spikes that are logged; all are in the report
STARVED = 0.2  # share of the time that is spent waiting for data
REMEDY = "keep the artifacts on a local disk, store smaller pictures, or give the machine more CPU cores"


class Progress(TrainerCallback):  # type: ignore[misc]
    """A log line at every tenth of the steps. ``name`` is what it starts with."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.start = time.monotonic()
        self.first = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.start, self.first = time.monotonic(), state.global_step
        if self.first and state.is_world_process_zero:
            log.info("%s: resuming after step %d of %d", self.name, self.first, state.max_steps)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        step, total = state.global_step, state.max_steps
        if "loss" in logs and state.is_world_process_zero and step * 10 // total > (step - 1) * 10 // total:
            seconds = time.monotonic() - self.start
            left = seconds / max(step - self.first, 1) * (total - step)
            log.info(
                "%s: step %d/%d, loss %.4f, %.0f s, %.0f s left", self.name, step, total, logs["loss"], seconds, left
            )


@dataclass(frozen=True)
class Spike:
    """A step whose loss is far above those before it. samples: where what it learnt from was read."""

    step: int
    loss: float
    median: float
    samples: tuple[str, ...]


def is_spike(loss: float, before: Sequence[float]) -> bool:
    """Whether a loss is more than ``SPIKE`` median absolute deviations above the median of those before it, and well
    above all of them but one: where a step is of one sample, those of a rarer kind are higher each time."""
    if len(before) < LEAST:
        return False
    median = statistics.median(before)
    spread = statistics.median(abs(value - median) for value in before)
    return loss > median + SPIKE * max(spread, 0.01 * abs(median)) and loss > ABOVE * sorted(before)[-2]


class Figures(TrainerCallback):  # type: ignore[misc]
    """Sends every step's figures to MLflow, and diagnoses them.

    operations: floating-point operations of a token (humanvlm.train.costs); peak: those a second of all processes'
    matrix products, measured. Model FLOP utilisation is tokens a second x operations / peak.
    """

    def __init__(self, name: str, live: Live, steps: Steps, operations: float, peak: float) -> None:
        self.name, self.live, self.steps = name, live, steps
        self.operations, self.peak = operations, peak
        self.losses: deque[float] = deque(maxlen=WINDOW)
        self.waits: deque[tuple[float, float]] = deque(maxlen=WINDOW)
        self.spikes: list[Spike] = []
        self.starved = False

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        for entry in state.log_history[-WINDOW:]:
            if "loss" in entry:
                self._follow(entry["step"], entry["loss"])

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if "loss" not in logs or not state.is_world_process_zero:
            return
        step, seconds = state.global_step, max(logs["step_seconds"], 1e-9)
        rate = logs["tokens"] / seconds
        figures = {
            **{key: value for key, value in logs.items() if key.startswith(("loss", "grad_norm", "learning_rate"))},
            "tokens_per_second": rate,
            "data_share": logs["data_seconds"] / seconds,
            "gflop_per_second": rate * self.operations / 1e9,
            "mfu": rate * self.operations / self.peak,
            "memory_gb": memory_gb(),
        }
        self.live.log(figures, step)
        self._spike(step, logs["loss"])
        self._starved(logs["data_seconds"], seconds)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.live.close()

    def _spike(self, step: int, loss: float) -> None:
        if is_spike(loss, self.losses):
            numbers = [int(number) for number in self.steps.plan.batch(step - 1)]
            places = tuple(f"{p.path}:{p.row}" for n in numbers for p in self.steps.samples.pictures(n))
            spike = Spike(step, loss, statistics.median(self.losses), places)
            self.spikes.append(spike)
            if len(self.spikes) <= WARNINGS:
                shown = ", ".join(places[:4]) or f"samples {numbers[:4]}"
                log.warning(
                    "%s: step %d: the loss jumps to %.4g, from about %.4g; it learnt from %s%s",
                    *(self.name, step, loss, spike.median, shown, ", …" if len(places) > 4 else ""),
                )
        self._follow(step, loss)

    def _follow(self, step: int, loss: float) -> None:
        if step == self.steps.plan.opening:  # what comes now is of other sources
            self.losses.clear()
        else:
            self.losses.append(loss)

    def _starved(self, waited: float, seconds: float) -> None:
        self.waits.append((waited, seconds))
        share = sum(wait for wait, _ in self.waits) / sum(whole for _, whole in self.waits)
        if len(self.waits) >= LEAST and share > STARVED and not self.starved:
            self.starved = True
            log.warning("%s: %.0f%% of the time waits for pictures; %s", self.name, 100 * share, REMEDY)


def memory_gb() -> float:
    """Peak memory of this process so far: the GPU's where there is one."""
    if torch.cuda.is_available():
        return float(torch.cuda.max_memory_allocated()) / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


class Validation(TrainerCallback):  # type: ignore[misc]
    """The loss on held-out captions, nats a label token, every ``every`` steps and after the last.

    All processes take part. It goes to the trainer's log as ``validation_loss``, which checkpoints keep. improved: is
    called, on all processes, after the lowest so far.
    """

    def __init__(
        self, name: str, live: Live, steps: Steps, every: int, improved: Callable[[int], None] | None = None
    ) -> None:
        self.name, self.live, self.every, self.improved = name, live, every, improved
        self.step = steps[0]

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        if state.global_step % self.every and state.global_step < state.max_steps:
            return
        before = [entry["validation_loss"] for entry in state.log_history if "validation_loss" in entry]
        loss = validation_loss(model, self.step, args.device)
        state.log_history.append({"step": state.global_step, "validation_loss": loss})
        if state.is_world_process_zero:
            self.live.log({"validation_loss": loss}, state.global_step)
            log.info("%s: step %d: validation loss %.4f", self.name, state.global_step, loss)
        if self.improved is not None and loss < min(before, default=float("inf")):
            self.improved(state.global_step)


def validation_loss(model: Any, step: Any, device: torch.device) -> float:
    """Of the model as it is, dropout off, over all processes; ``step`` is this process's share."""
    model.eval()
    total = torch.zeros((), dtype=torch.float64, device=device)
    with torch.no_grad():
        for pack in step.packs:
            total += model(pack.to(device)).double()
    if torch.distributed.is_initialized():
        torch.distributed.all_reduce(total)
    return float(total) / int(step.labels)


@dataclass
class Replies(TrainerCallback):  # type: ignore[misc]
    """What the model says of a few held-out pictures, every ``every`` steps and after the last, as a page.

    The replies so far are kept in ``work``, so that a resumed run goes on with the page. All processes generate the
    same: with ZeRO 3 each holds a part of the weights.
    """

    name: str
    live: Live
    rows: HeldOut
    images: Sequence[Any]
    processor: Any
    every: int
    work: Path
    page: Path
    max_new_tokens: int = 40
    said: dict[int, list[str]] = field(default_factory=dict)

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self._kept.exists():
            known = json.loads(self._kept.read_text(encoding="utf-8"))
            self.said = {int(step): replies for step, replies in known.items() if int(step) <= state.global_step}

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        if state.global_step % self.every and state.global_step < state.max_steps:
            return
        from humanvlm.inference.generate import generate
        from humanvlm.train.pages import write_replies

        prompts = [row.turns[0][0] for row in self.rows.rows]
        limits = {"max_new_tokens": self.max_new_tokens, "batch_size": len(prompts)}
        self.said[state.global_step] = generate(
            plain(model.model.eval()), self.processor, self.images, prompts, **limits
        )
        if state.is_world_process_zero:
            write_json(self._kept, {str(step): replies for step, replies in self.said.items()})
            write_replies(self.page, self.name, self.rows.rows, self.images, self.said)
            self.live.file(self.page)

    @property
    def _kept(self) -> Path:
        return self.work / "replies.json"


@dataclass(frozen=True)
class Watch:
    """The callbacks of a run, and what they have found when it is over."""

    figures: Figures
    callbacks: Sequence[Any]

    @property
    def info(self) -> dict[str, Any]:
        """For the report: spikes of the loss, and whether the loader was too slow."""
        return {"spikes": [asdict(spike) for spike in self.figures.spikes], "loader_starved": self.figures.starved}


def watch(
    run: StageRun, processor: Any, steps: Steps, operations: float, peak: float, improved: Callable[[int], None]
) -> Watch:
    """What watches a run of ``steps``. operations, peak: see ``Figures``; improved: see ``Validation``."""
    config: Training = run.config
    name, live = run.stage.name, Live(run.work if steps.rank == 0 else None)
    figures = Figures(name, live, steps, operations, peak)
    count = max(config.validation_samples, config.sample_pictures)
    rows = held_out(run.inputs["human_caption"], run.config.caption, Encoder(processor), count, config.max_length)
    if count and not rows.rows:
        log.info("%s: no row of human_caption is held out: no validation loss, no replies to look at", name)
        return Watch(figures, [figures])
    callbacks: list[Any] = []
    if some := rows.first(config.validation_samples):
        pixels = Pixels.of(processor.image_processor)
        share = Steps(some, some.plan, steps.rank, steps.world, steps.pack_tokens, pixels)
        best = improved if config.keep_best else None
        callbacks.append(Validation(name, live, share, config.validation_steps, best))
    if shown := rows.first(config.sample_pictures):
        images = [Pictures().read(row.pictures[0]) for row in shown.rows]
        page = run.out / "replies.html"
        callbacks.append(Replies(name, live, shown, images, processor, config.sample_steps, run.work, page))
    return Watch(figures, [*callbacks, figures])


@dataclass(frozen=True)
class Best:
    """The trained values of the lowest validation loss so far, in a safetensors file."""

    path: Path

    def keep(self, step: int, learnt: Mapping[str, torch.Tensor]) -> None:
        """Put these in the place of others; nothing on the processes that have none."""
        if learnt:
            with atomic_file(self.path) as work:
                save_file({name: value.contiguous() for name, value in learnt.items()}, work, {"step": str(step)})

    def load(self) -> tuple[int, dict[str, torch.Tensor]] | None:
        """The step they are of, and the values; None when nothing was kept."""
        if not self.path.exists():
            return None
        with safe_open(self.path, "pt") as file:
            return int(file.metadata()["step"]), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
