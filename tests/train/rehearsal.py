"""Trains a tiny random LLaVA as the stages do, several times in one process: ``rehearsal.py FOLDER RUNS MODELS``.

RUNS, a JSON list, says what each run is like: see ``Run``. Each leaves ``NAME.json`` (losses, gradient norms) and
``NAME.pt`` (what was trained) in FOLDER.
"""

import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

os.environ |= {"ACCELERATE_USE_DEEPSPEED": "true", "DS_ACCELERATOR": "cpu", "DEEPSPEED_LOG_LEVEL": "error"}


@dataclass(frozen=True)
class Run:
    """until: stop, with a checkpoint, after that many steps. work: of another run, to go on from."""

    name: str
    work: str = ""
    until: int = 0
    steps: int = 6
    stage: int = 2  # of the recipe
    dropout: float = 0.0
    zero_stage: int = 2
    offload: str = "none"
    pack_tokens: int = 10_000
    bf16: bool = False
    learning_rate: float = 1e-3
    language_model: str = "lora"
    vision_tower: str = "lora"
    group_by_length: bool = False
    save_minutes: float = 30.0
    batch_size: int = 8
    in_parts: bool = False


class Texts:
    """Twenty-four samples as a token store gives them: of one picture, some of two, some of none; in_parts: all but
    the shortest of three parts, the first of which the others see."""

    def __init__(self, image: int, in_parts: bool) -> None:
        self._in_parts = in_parts
        random = np.random.default_rng(0)
        self._samples = []
        for number in range(24):
            pictures = (1, 1, 0, 2)[number % 4]
            tokens = [5, *[image] * (16 * pictures), *random.integers(6, 300, 4 + number).tolist()]
            spans = [[len(tokens) - 3, len(tokens)], [1 + 16 * pictures, 2 + 16 * pictures]]
            self._samples.append((tokens, spans, [(0, 10 * number + k) for k in range(pictures)]))
        self.lengths = np.array([len(tokens) for tokens, _, _ in self._samples])
        self.labels = np.full(24, 4)

    def tokens(self, i: int) -> Any:
        return np.array(self._samples[i][0])

    def spans(self, i: int) -> Any:
        return np.array(self._samples[i][1])

    def parts(self, i: int) -> tuple[int, ...]:
        rest = 4 + i  # after the pictures
        begin = len(self._samples[i][0]) - rest
        return (begin, rest - 4, 4) if i and self._in_parts else (begin + rest,)

    def pictures(self, i: int) -> Any:
        return self._samples[i][2]


def look(pictures: Any) -> dict[str, torch.Tensor]:
    """Random pictures, each its own."""
    seeds = [0] if pictures is None else [row for _, row in pictures]
    made = [torch.randn(3, 32, 32, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    return {"pixel_values": torch.stack(made)}


def rehearse(run: Run, folder: Path, models: dict[str, str]) -> None:
    from accelerate.state import AcceleratorState
    from transformers.integrations.deepspeed import unset_hf_deepspeed_config

    from humanvlm.config.model import Model
    from humanvlm.config.stage1_checkpoint import Stage1
    from humanvlm.config.stage2_checkpoint import Stage2
    from humanvlm.config.training import Training
    from humanvlm.model.build import build_llava
    from humanvlm.train.batches import Steps
    from humanvlm.train.checkpoints import newest
    from humanvlm.train.learner import Learner
    from humanvlm.train.model import projector_only, tuned
    from humanvlm.train.plan import make_plan
    from humanvlm.train.trainer import StageTrainer, arguments

    AcceleratorState._reset_state()
    unset_hf_deepspeed_config()
    common = {"batch_size": run.batch_size, "save_steps": 2, "max_steps": run.steps, "weight_decay": 0.1}
    chosen = ("pack_tokens", "zero_stage", "offload", "learning_rate", "save_minutes")
    common |= {key: getattr(run, key) for key in chosen}
    llava = build_llava(Model(**models))[0]
    torch.manual_seed(3)
    config: Training
    if run.stage == 1:
        config, model = Stage1(**common), projector_only(llava)
    else:
        how = {"language_model": run.language_model, "vision_tower": run.vision_tower}
        config = Stage2(**common, **how, lora_r=4, lora_dropout=run.dropout, projector_learning_rate=2e-3)
        model = tuned(llava, config)
    texts = Texts(llava.config.image_token_id, run.in_parts)
    plan = make_plan(
        texts.lengths, np.zeros(24, int), np.arange(24) // 6, [1.0], seed=1, batch_size=run.batch_size, steps=run.steps,
        group_by_length=run.group_by_length,
    )  # fmt: skip
    if run.bf16:
        model.to(torch.bfloat16)
    work = folder / (run.work or run.name)
    rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    trainer = StageTrainer(
        config,
        arguments(config, run.steps, work, run.bf16),
        Learner(model),
        Steps(texts, plan, rank, world, run.pack_tokens, look),
        newest(work) if work.exists() else None,
    )
    from transformers import TrainerCallback

    class Until(TrainerCallback):  # type: ignore[misc]
        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            trainer.stop = state.global_step + 1 == run.until

    trainer.add_callback(Until())
    error = ""
    from humanvlm.errors import UserError

    try:
        trainer.fit()
    except UserError as problem:
        error = str(problem)
    values = {name: trainer.whole(parameter).clone() for name, parameter in trainer.trained.items()}
    if rank == 0:
        history = [entry for entry in trainer.state.log_history if "loss" in entry]
        (folder / f"{run.name}.json").write_text(json.dumps({"history": history, "error": error, "run": asdict(run)}))
        torch.save(values, folder / f"{run.name}.pt")


if __name__ == "__main__":
    for described in json.loads(sys.argv[2]):
        rehearse(Run(**described), Path(sys.argv[1]), json.loads(sys.argv[3]))
