"""Evaluations as ``benchmark_scores`` writes them, of replies that a test decides on."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from humanvlm.data.atomic_io import write_json
from humanvlm.evaluate.saved_runs import with_contributions
from humanvlm.pipeline.contract import artifact_files

ABOVE = {"vqa.accuracy.above_mean_image": (0.2, 0.1, 0.3)}


def evaluation(
    folder: Path,
    right: Sequence[float],
    parts: Sequence[str] = (),
    *,
    others: Mapping[str, Sequence[float]] | None = None,
    above: Mapping[str, tuple[float, float, float]] = ABOVE,
    code: str = "c",
    question: str = "What is it?",
) -> Path:
    """Task ``vqa`` with an accuracy a sample, each of a picture of its own; ``others`` are further tasks of its kind.

    above: scores with their intervals, such as those above the baselines.
    """
    tasks = {"vqa": right, **(others or {})}
    scores = {f"{task}.accuracy": float(np.mean(values)) for task, values in tasks.items()}
    for task, values in tasks.items():
        records = [
            {
                "id": f"{task}-{place}",
                "task": task,
                "image": f"{place}.jpg",
                "prompt": question,
                "references": ["yes"],
                "reply": f"{value}",
                "score": value,
                "part": parts[place] if parts and task == "vqa" else "",
                "slices": {},
            }
            for place, value in enumerate(values)
        ]
        vectors = np.column_stack([values, np.ones(len(values))])
        lines = [json.dumps(record) + "\n" for record in with_contributions(records, vectors)]
        (folder / "samples").mkdir(parents=True, exist_ok=True)
        (folder / "samples" / f"{task}.jsonl").write_text("".join(lines))
    intervals = {name: [low, high] for name, (_, low, high) in above.items()}
    write_json(folder / "details.json", {"intervals": intervals, "kinds": dict.fromkeys(tasks, "vqa")})
    write_json(folder / "scores.json", scores | {name: value for name, (value, _, _) in above.items()})
    finish(folder, {"code": code, "config": {"benchmark_scores": {}}, "info": {"model": "checkpoint"}})
    return folder


def finish(folder: Path, report: Mapping[str, Any]) -> None:
    """Write the report last, as a stage does."""
    write_json(folder / "report.json", {"outputs": [asdict(file) for file in artifact_files(folder)], **report})


def answers(share: float, count: int = 200, seed: int = 0) -> list[float]:
    """Right (1) and wrong (0) answers, the share of right ones as near as can be; where they are is by the seed."""
    values = np.zeros(count)
    values[np.random.default_rng(seed).permutation(count)[: round(share * count)]] = 1.0
    return [float(value) for value in values]


def wrapper(folder: Path) -> Path:
    """A served model's code that loads nothing."""
    path = folder / "wrapper.py"
    path.write_text(
        "from mlflow.models import set_model\nfrom mlflow.pyfunc import PythonModel\n\n\nclass M(PythonModel):\n"
        "    def predict(self, context, model_input, params=None):\n        return model_input\n\n\nset_model(M())\n"
    )
    return path
