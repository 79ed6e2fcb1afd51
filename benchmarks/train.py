"""What training learns a second, beside a plain Hugging Face script with the same model, pictures and optimiser.

The plain script is what one writes first: transformers' Trainer, one question and its reply a sequence, padded to the
longest of the batch, logits at every position, the vision tower run on every picture. Ours: the turns about a
picture as one sequence, so that its tokens are paid once, packed without padding, logits at labels only.

Three runs, each of ``--steps`` optimiser steps after one that is not counted, on one process and as many threads as
OMP_NUM_THREADS: ``plain``; ``packed``, the very sequences of ``plain`` in its order, whose losses must be equal; and
``turns``, as the stages train. Fair: the same weights, AdamW, learning rate, float32, LoRA on the language model. The
machine's own matrix product is measured beside them. Prints a table, and the same figures as JSON in the last line.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import Trainer, TrainerCallback, TrainingArguments

from humanvlm.config.model import Model
from humanvlm.config.stage2_checkpoint import Stage2
from humanvlm.model.build import build_llava
from humanvlm.train.batches import Pixels, Steps
from humanvlm.train.costs import Sizes, speed
from humanvlm.train.encode import Encoded, Encoder
from humanvlm.train.learner import Learner
from humanvlm.train.model import tuned
from humanvlm.train.plan import Plan
from humanvlm.train.samples import Picture, Sample
from humanvlm.train.trainer import StageTrainer, arguments

ENGINE = {
    **{"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "1"},
    **{"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0", "DS_ACCELERATOR": "cpu", "DEEPSPEED_LOG_LEVEL": "error"},
}
QUESTIONS = (
    ("What is the person wearing?", "a red coat and a hat"),
    ("Is the person smiling?", "yes"),
    ("Where is the person?", "on the left, in front of a brick wall"),
    ("Describe the picture in one sentence.", "A man in a red coat and a hat stands in front of a brick wall."),
    ("How many people are there?", "one"),
    ("What color is the coat?", "red"),
)


class Texts:
    """Encoded conversations as a token store gives them, each about one picture."""

    def __init__(self, encoded: Sequence[tuple[Picture, Encoded]]) -> None:
        self._encoded = encoded
        self.lengths = np.array([len(one.tokens) for _, one in encoded])
        self.labels = np.array([one.labels for _, one in encoded])

    def tokens(self, i: int) -> Any:
        return self._encoded[i][1].tokens

    def spans(self, i: int) -> Any:
        return self._encoded[i][1].spans

    def parts(self, i: int) -> tuple[int, ...]:
        return tuple(self._encoded[i][1].parts)

    def pictures(self, i: int) -> Any:
        return (self._encoded[i][0],)


class Clock(TrainerCallback):  # type: ignore[misc]
    """When each step ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.ends.append(time.perf_counter())

    @property
    def seconds(self) -> float:
        return self.ends[-1] - self.ends[0]


class Padded:
    """The plain script's collator."""

    def __init__(self, texts: Texts, look: Pixels, pad: int) -> None:
        self.texts, self.look, self.pad = texts, look, pad

    def __call__(self, numbers: Sequence[int]) -> dict[str, torch.Tensor]:
        longest = int(max(self.texts.lengths[number] for number in numbers))
        tokens = torch.full((len(numbers), longest), self.pad)
        labels, mask = torch.full_like(tokens, -100), torch.zeros_like(tokens)
        for row, number in enumerate(numbers):
            text = torch.from_numpy(self.texts.tokens(number).astype(np.int64))
            tokens[row, : len(text)], mask[row, : len(text)] = text, 1
            for start, stop in self.texts.spans(number).tolist():
                labels[row, start:stop] = text[start:stop]
        pixels = self.look([picture for number in numbers for picture in self.texts.pictures(number)])
        return {"input_ids": tokens, "labels": labels, "attention_mask": mask, **pixels}


def fresh(models: Model) -> tuple[Any, Any, Stage2]:
    config = Stage2(
        language_model="lora", vision_tower="frozen", lora_dropout=0.0, learning_rate=1e-4, warmup_ratio=0.0
    )
    torch.manual_seed(0)
    model, processor = build_llava(models)
    return tuned(model, config), processor, config


def run_plain(
    models: Model, texts: Texts, order: Sequence[int], batch: int, steps: int, work: str
) -> tuple[Any, Clock]:
    model, processor, config = fresh(models)
    clock = Clock()
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=work, use_cpu=True, max_steps=steps, per_device_train_batch_size=batch,
            learning_rate=config.learning_rate, logging_steps=1, save_strategy="no", report_to="none",
            train_sampling_strategy="sequential", remove_unused_columns=False, disable_tqdm=True, ddp_backend="gloo",
        ),
        train_dataset=list(order),
        data_collator=Padded(texts, Pixels(processor.image_processor), processor.tokenizer.pad_token_id),
        callbacks=[clock],
    )  # fmt: skip
    trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry], clock


def run_ours(models: Model, texts: Texts, order: Sequence[int], batch: int, steps: int, work: str) -> tuple[Any, Clock]:
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state()
    os.environ["ACCELERATE_USE_DEEPSPEED"] = "true"
    model, processor, config = fresh(models)
    clock = Clock()
    made = arguments(config, steps, Path(work), False)
    made.lr_scheduler_type = "linear"  # the plain script's
    plan = Plan(np.array(order), batch, "")
    trainer = StageTrainer(
        config.model_copy(update={"save_steps": 10**9}),
        made,
        Learner(model),
        Steps(texts, plan, 0, 1, config.pack_tokens, Pixels(processor.image_processor)),
        callbacks=[clock],
    )
    trainer.fit()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry], clock


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--language-model", default="smollm2-135m-instruct")
    parser.add_argument("--vision-tower", default="mobilenet-v2-imagenet")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--steps", type=int, default=4, help="counted ones")
    given = parser.parse_args()
    os.environ |= ENGINE
    models = Model(
        language_model=given.language_model, vision_tower=given.vision_tower, system_prompt="", dtype="float32"
    )
    steps = given.steps + 1
    with tempfile.TemporaryDirectory() as work:
        base, processor, _ = fresh(models)
        sizes = Sizes.of(base)
        encoder = Encoder(processor)
        random = np.random.default_rng(0)
        single, grouped = [], []
        for number in range(given.batch_size * steps):
            path = Path(work) / f"{number}.jpg"
            Image.fromarray(random.integers(0, 255, (256, 256, 3), dtype=np.uint8)).save(path)
            picture = Picture(str(path), -1)
            turns = tuple(QUESTIONS[at] for at in random.permutation(len(QUESTIONS)).tolist())
            single += [(picture, encoder.encode(Sample((picture,), (turn,), None, ""))) for turn in turns]
            grouped.append((picture, encoder.encode(Sample((picture,), turns, None, ""))))
        one, many = Texts(single), Texts(grouped)
        places = random.permutation(len(single))[: given.batch_size * steps].tolist()
        del base
        rows = {}
        for name, run, texts, order in (
            ("plain", run_plain, one, places),
            ("packed", run_ours, one, places),
            ("turns", run_ours, many, list(range(given.batch_size * steps))),
        ):
            losses, clock = run(models, texts, order, given.batch_size, steps, work)
            counted = order[given.batch_size :]
            labels, tokens = int(texts.labels[counted].sum()), int(texts.lengths[counted].sum())
            patches = sizes.picture * len(counted)
            done = sizes.operations(tokens, labels, patches, length=tokens / len(counted), tower_learns=False)
            rows[name] = {
                "seconds_a_step": clock.seconds / given.steps,
                "labels_a_second": labels / clock.seconds,
                "tokens_a_second": tokens / clock.seconds,
                "gflops_a_second": done / clock.seconds / 1e9,
                "losses": losses,
            }
    product = speed(torch.device("cpu"), torch.float32) / 1e9
    print(f"{'':8} {'s/step':>8} {'labels/s':>9} {'tokens/s':>9} {'GFLOP/s':>8}  first and last loss")
    for name, row in rows.items():
        print(
            f"{name:8} {row['seconds_a_step']:8.2f} {row['labels_a_second']:9.1f} {row['tokens_a_second']:9.1f} "
            f"{row['gflops_a_second']:8.1f}  {row['losses'][0]:.5f} {row['losses'][-1]:.5f}"
        )
    gain = rows["turns"]["labels_a_second"] / rows["plain"]["labels_a_second"]
    apart = max(abs(a - b) / b for a, b in zip(rows["packed"]["losses"], rows["plain"]["losses"], strict=True))
    print(f"label tokens a second, turns against plain: {gain:.2f} x; loss of packed and plain apart by {apart:.1e}")
    print(f"matrix product: {product:.0f} GFLOP/s; turns reach {rows['turns']['gflops_a_second'] / product:.0%} of it")
    print(json.dumps({"runs": rows, "gain": gain, "losses_apart": apart, "matrix_product_gflops": product}))


if __name__ == "__main__":
    main()
