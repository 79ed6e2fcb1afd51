"""What people look at: plots of the scores, and one self-contained page with pictures, references and replies."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from humanvlm.evaluate.grounding import parse_box
from humanvlm.evaluate.scoring import Record
from humanvlm.evaluate.tasks import Sample, read_picture
from humanvlm.shards import replace_durably

SHOWN = 6  # best, worst and random samples of each task
SIDE = 320
TRUTH, FOUND = "#2ca02c", "#e4572e"
SYSTEMS = {
    "": ("model", "#1f77b4"),
    "most_common": ("commonest caption", "#bbbbbb"),
    "mean_image": ("mean picture", "#888888"),
}
NAMES = {f"bleu_{n}": f"BLEU-{n}" for n in range(1, 5)} | {
    "rouge_l": "ROUGE-L",
    "cider": "CIDEr",
    "mean_iou": "mean IoU",
    "acc50": "Acc@0.5",
    "acc50_authors": "Acc@0.5, authors' script",
    "balanced_accuracy": "balanced accuracy",
}
TITLES = {
    "captions": ("Captions", "Each picture described in one sentence; sample scores are CIDEr, 0 to 10."),
    "holdout": (
        "Held-out crawl",
        "Pictures of the crawl that were never trained on; sample scores are CIDEr, 0 to 10.",
    ),
    "vqa": ("Questions", "Open questions, scored as VQAv2: the share of annotators who said the same, 3 being enough."),
    "rec": ("Where is …?", "Boxes for referring expressions; sample scores are intersection over union."),
    "attributes": ("Attributes", "Yes/no questions about what a person appears to wear or do."),
}


@dataclass(frozen=True)
class TaskResult:
    """All there is to say of one task.

    Score names are ``metric`` or ``metric.baseline``. contributions: a row a record, whose sum makes the scores.
    """

    task: str
    samples: Sequence[Sample]
    records: Sequence[Record]
    scores: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    parts: Mapping[str, Mapping[str, float]]
    contributions: NDArray[np.float64]


def plot_scores(results: Sequence[TaskResult], path: Path) -> Path:
    """Bars of every metric, one panel a task, with intervals and the baselines beside the model."""
    figure = _figure(9, 0.6 + 2.3 * len(results))
    for number, result in enumerate(results, 1):
        axes = figure.add_subplot(len(results), 1, number)
        names = [name for name in result.scores if "." not in name]
        systems = [system for system in SYSTEMS if f"{names[0]}{system and '.' + system}" in result.scores]
        width = 0.8 / len(systems)
        for place, system in enumerate(systems):
            label, colour = SYSTEMS[system]
            keys = [f"{name}.{system}" if system else name for name in names]
            values = [result.scores[key] for key in keys]
            spans = [result.intervals.get(key, (result.scores[key],) * 2) for key in keys]
            errors = [
                [max(0.0, value - low) for value, (low, _) in zip(values, spans, strict=True)],
                [max(0.0, high - value) for value, (_, high) in zip(values, spans, strict=True)],
            ]
            left = [index - 0.4 + width * (place + 0.5) for index in range(len(names))]
            bars = axes.bar(left, values, width * 0.92, yerr=errors, color=colour, label=label, error_kw={"lw": 1})
            axes.bar_label(bars, [f"{value:.2f}" for value in values], padding=2, fontsize=7)
        axes.set_xticks(range(len(names)), [NAMES.get(name, name) for name in names], fontsize=8)
        axes.set_title(f"{TITLES[result.task][0]} ({len(result.records)} samples)", fontsize=9, loc="left")
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(axis="y", labelsize=7)
        axes.set_ylim(
            0, 1.18 * max([0.05, *(result.intervals.get(key, (0, value))[1] for key, value in result.scores.items())])
        )
        if len(systems) > 1:
            axes.legend(fontsize=7, frameon=False, loc="upper right", bbox_to_anchor=(0.8, 1.15), ncols=3)
    return _save(figure, path)


def plot_parts(results: Sequence[TaskResult], path: Path) -> Path:
    """Mean score of each part of a task, such as each attribute."""
    bars = [(f"{result.task}: {name}", part) for result in results for name, part in result.parts.items()]
    figure = _figure(8, 0.8 + 0.3 * len(bars))
    axes = figure.add_subplot()
    drawn = axes.barh(range(len(bars)), [part["score"] for _, part in bars], color=SYSTEMS[""][1])
    axes.bar_label(
        drawn, [f"{part['score']:.2f}  (n={part['samples']:.0f})" for _, part in bars], padding=3, fontsize=7
    )
    axes.set_yticks(range(len(bars)), [name for name, _ in bars], fontsize=8)
    axes.set_xlim(0, 1.15)
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title("Mean score by part", fontsize=9, loc="left")
    return _save(figure, path)


def write_page(
    results: Sequence[TaskResult],
    path: Path,
    absent: Mapping[str, str],
    baselines: Mapping[str, str],
    dropped: Mapping[str, int],
) -> Path:
    """One HTML file with everything in it: scores, samples with their pictures, parse failures. Text is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("humanvlm.evaluate", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    text = environment.get_template("report.html.j2").render(
        tasks=[_view(result) for result in results],
        systems={system: label for system, (label, _) in SYSTEMS.items() if system in ("", *baselines)},
        baselines=baselines,
        absent=absent,
        dropped=dropped,
        total=sum(len(result.records) for result in results),
    )
    work = path.with_name(f".{path.name}.work")
    work.write_text(text, encoding="utf-8")
    replace_durably(work, path)
    return path


def _view(result: TaskResult) -> dict[str, Any]:
    title, what = TITLES[result.task]
    names = [name for name in result.scores if "." not in name]
    ranked = sorted(range(len(result.records)), key=lambda index: -result.records[index].score)
    ends = min(SHOWN, max(1, len(ranked) // 3))
    middle = ranked[ends : len(ranked) - ends]
    random = sorted(Random(0).sample(middle, min(SHOWN, len(middle))))
    failed = [index for index, record in enumerate(result.records) if record.prediction in (None, "")]
    worst = ranked[::-1][: min(ends, len(ranked) - ends)]
    groups = {"Best": ranked[:ends], "Worst": worst, "Others, at random": random}
    return {
        "task": result.task,
        "title": title,
        "what": what,
        "count": len(result.records),
        "rows": [_row(result, name) for name in names],
        "parts": result.parts,
        "groups": {name: [_card(result, index) for index in chosen] for name, chosen in groups.items() if chosen},
        "failed": [result.records[index] for index in failed[:20]],
        "failures": len(failed),
    }


def _row(result: TaskResult, name: str) -> dict[str, Any]:
    keys = {system: f"{name}.{system}" if system else name for system in SYSTEMS}
    cells = {
        system: {"value": result.scores[key], "interval": result.intervals.get(key)}
        for system, key in keys.items()
        if key in result.scores
    }
    ends = [result.intervals.get(key, (0.0, result.scores.get(key, 0.0)))[1] for key in keys.values()]
    return {"name": NAMES.get(name, name), "cells": cells, "top": max(1.0, *ends)}


def _card(result: TaskResult, index: int) -> dict[str, Any]:
    return {"record": result.records[index], "picture": _picture(result.samples[index], result.records[index])}


def _picture(sample: Sample, record: Record) -> str:
    """A small JPEG as a data URI; for boxes, the true one in green and the one found in red."""
    image = read_picture(sample.picture)
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    if "box" in sample.truth:
        truth = sample.truth
        _draw(
            image,
            [value / side for value, side in zip(truth["box"], (truth["width"], truth["height"]) * 2, strict=True)],
            TRUTH,
        )
        if box := parse_box(record.reply, 1.0, 1.0):
            _draw(image, box, FOUND)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=76)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _draw(image: Image.Image, box: Sequence[float], colour: str) -> None:
    corners = [value * side for value, side in zip(box, image.size * 2, strict=True)]
    ImageDraw.Draw(image).rectangle(corners, outline=colour, width=3)


def _figure(width: float, height: float) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Any, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120, metadata={"Software": None})
    return path
