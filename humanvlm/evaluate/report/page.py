"""What people look at: plots of the scores, and one self-contained page with pictures, references and replies."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from humanvlm.data.atomic_io import write_text
from humanvlm.evaluate.baselines import ABOVE, BASELINES, verdict
from humanvlm.evaluate.records import STATES, ScoredTask
from humanvlm.evaluate.report.cards import draw_card
from humanvlm.evaluate.report.leaderboard import Standing
from humanvlm.evaluate.stats.slices import Slice
from humanvlm.evaluate.tasks.base import Sample
from humanvlm.evaluate.tasks.registry import TASKS
from humanvlm.inspect.html import render

SHOWN = 6  # best, worst and random samples of each task
BINS = 20
SYSTEMS = {
    "": ("model", "#1f77b4"),
    "most_common": (BASELINES["most_common"], "#bbbbbb"),
    "mean_image": (BASELINES["mean_image"], "#888888"),
}
NAMES = {f"bleu_{n}": f"BLEU-{n}" for n in range(1, 5)} | {
    "rouge_l": "ROUGE-L",
    "cider": "CIDEr",
    "meteor": "METEOR",
    "meteor_exact_stem": "METEOR, exact and stem only",
    "f1": "F1",
    "yes_ratio": "share of yes",
    "acc75": "Acc@0.75",
    "pck_0.05": "PCK@0.05",
    "pck_0.1": "PCK@0.1",
    "pck_0.2": "PCK@0.2",
    "mean_iou": "mean IoU",
    "acc50": "Acc@0.5",
    "acc50_authors": "Acc@0.5, authors' script",
    "balanced_accuracy": "balanced accuracy",
    "amber": "AMBER",
    "chair": "CHAIR",
    "cover": "Cover",
    "hal": "Hal",
    "cog": "Cog",
    "chair_i": "CHAIRi",
    "chair_s": "CHAIRs",
    "faithful": "1-CHAIRi",
    "tfq_accuracy": "true/false accuracy",
    "scq_accuracy": "single choice accuracy",
    "mcq_f1_micro": "multiple choice micro F1",
    "mcq_f1_macro": "multiple choice macro F1",
    "oeq_rouge_l": "open ROUGE-L",
    "oeq_bleu_1": "open BLEU-1",
}
ENDED = {
    "cut": "cut at the token limit",
    "filtered": "stopped by a content filter",
    "refused": "refused",
    "unfinished_thought": "thoughts that never ended",
}
HOLDOUT = ("Held-out crawl", "Pictures of the crawl that were never trained on; sample scores are CIDEr, 0 to 10.")


@dataclass(frozen=True)
class TaskResult:
    """All there is to say of one task. Score names are ``metric``, ``metric.baseline`` or ``metric.above_baseline``."""

    task: str
    kind: str
    samples: Sequence[Sample]
    scored: ScoredTask
    scores: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    parts: Mapping[str, Mapping[str, float]]
    slices: Sequence[Slice] = ()

    @property
    def title(self) -> str:
        """``Where is …? (refcoco)`` where the task is not called as its kind."""
        title = HOLDOUT[0] if self.task == "holdout" else TASKS[self.kind].title
        return title if self.task in (self.kind, "holdout") else f"{title} ({self.task})"

    @property
    def verdict(self) -> str:
        """In words: the score that says most, and whether it beats its baselines."""
        metric = TASKS[self.kind].headline
        return verdict(self.task, metric, NAMES.get(metric, metric), self.scores, self.intervals)


def plot_scores(results: Sequence[TaskResult], path: Path) -> Path:
    """Bars of every metric, one panel a task, with intervals and the baselines beside the model."""
    figure = _figure(9, 0.6 + 2.3 * len(results))
    for number, result in enumerate(results, 1):
        axes = figure.add_subplot(len(results), 1, number)
        names = _metric_names(result)
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
        labels = [NAMES.get(name, name).replace(" ", "\n") for name in names]
        axes.set_xticks(range(len(names)), labels, fontsize=8)
        axes.set_title(f"{result.title} ({len(result.scored.records)} samples)", fontsize=9, loc="left")
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
    standings: Sequence[Standing],
    run: str,
    used: str,
) -> Path:
    """One HTML file with everything in it: leaderboard, scores, samples with their pictures, slices, replies that could
    not be read. Text is escaped. run: hash of what made the replies. used: what they took, in words."""
    columns = [(result.task, result.title, NAMES.get(name, name)) for result in results for name in [_main(result)]]
    text = render(
        "humanvlm.evaluate.report",
        "report.html.j2",
        tasks=[_view(result) for result in results],
        systems={system: label for system, (label, _) in SYSTEMS.items()},
        baselines=baselines,
        absent=absent,
        dropped=dropped,
        standings=standings,
        others=any(not cell.same for standing in standings for cell in standing.cells.values()),
        columns=columns,
        run=run,
        used=used,
        total=sum(len(result.scored.records) for result in results),
    )
    write_text(path, text)
    return path


def _main(result: TaskResult) -> str:
    """The metric that says most."""
    return TASKS[result.kind].headline


def _metric_names(result: TaskResult) -> list[str]:
    """Metrics of the model, without its baselines and how replies ended; the one that says most comes first."""
    others = {*BASELINES, *(f"{ABOVE}{name}" for name in BASELINES)}
    names = [name for name in result.scores if name.rpartition(".")[2] not in others and name not in STATES]
    return sorted(names, key=lambda name: name != _main(result))


def _view(result: TaskResult) -> dict[str, Any]:
    records = result.scored.records
    ranked = sorted(range(len(records)), key=lambda index: -records[index].score)
    ends = min(SHOWN, max(1, len(ranked) // 3))
    best = _of_distinct_pictures(result, ranked, ends)
    worst = _of_distinct_pictures(result, [index for index in reversed(ranked) if index not in best], ends)
    middle = [index for index in ranked if index not in (*best, *worst)]
    random = sorted(Random(0).sample(middle, min(SHOWN, len(middle))))
    failed = [index for index, record in enumerate(records) if record.prediction in (None, "")]
    groups = {"Best": best, "Worst": worst, "Others, at random": random}
    latencies = sorted(record.latency_s for record in records if record.latency_s)
    return {
        "task": result.task,
        "kind": result.kind,
        "title": result.title,
        "verdict": result.verdict,
        "what": HOLDOUT[1] if result.task == "holdout" else TASKS[result.kind].about,
        "count": len(records),
        "pictures": len({record.image for record in records}),
        "rows": [_row(result, name) for name in _metric_names(result)],
        "histogram": _histogram([record.score for record in records]),
        "parts": result.parts,
        "confusion": _confusion(result) if TASKS[result.kind].yes_no else [],
        "slices": result.slices,
        "drawn": result.kind in ("rec", "keypoints"),
        "groups": {name: [_card(result, index) for index in chosen] for name, chosen in groups.items() if chosen},
        "ended": {
            ENDED[state]: count for state in STATES if (count := sum(state in record.state for record in records))
        },
        "failed": [records[index] for index in failed[:20]],
        "failures": len(failed),
        "latency": latencies[len(latencies) // 2] if latencies else None,
    }


def _of_distinct_pictures(result: TaskResult, order: Sequence[int], count: int) -> list[int]:
    """The first ``count`` samples in this order, each picture once as long as there are others."""
    seen: Counter[str] = Counter()
    turns: list[tuple[int, int, int]] = []
    for index in order:
        image = result.scored.records[index].image
        turns.append((seen[image], len(turns), index))
        seen[image] += 1
    return [index for _, _, index in sorted(turns)[:count]]


def _histogram(scores: Sequence[float]) -> list[dict[str, float]]:
    """Shares of the samples by score: bins of the range 0 to 1, or to the largest score where that is more."""
    top = max(1.0, *scores)
    counts, edges = np.histogram(scores, BINS, (0.0, top))
    most = max(int(counts.max()), 1)
    return [
        {"low": float(low), "high": float(high), "count": int(count), "height": 100 * int(count) / most}
        for count, low, high in zip(counts, edges, edges[1:], strict=False)
    ]


def _confusion(result: TaskResult) -> list[dict[str, Any]]:
    """Answers by truth, of each part and of all; the worst balanced accuracy first."""
    rows = []
    parts = sorted({record.part for record in result.scored.records if record.part})
    for part in parts if len(parts) > 1 else [""]:
        cells = {f"{truth}_{said}": 0 for truth in ("yes", "no") for said in ("yes", "no", "unread")}
        for record in result.scored.records:
            if not part or record.part == part:
                cells[f"{record.references[0]}_{record.prediction or 'unread'}"] += 1
        truths = {truth: sum(cells[f"{truth}_{said}"] for said in ("yes", "no", "unread")) for truth in ("yes", "no")}
        recalls = [cells[f"{truth}_{truth}"] / count for truth, count in truths.items() if count]
        rows.append({"part": part or "all", "cells": cells, "truths": truths, "balanced": sum(recalls) / len(recalls)})
    return sorted(rows, key=lambda row: (row["balanced"], row["part"]))


def _row(result: TaskResult, name: str) -> dict[str, Any]:
    keys = {system: f"{name}.{system}" if system else name for system in SYSTEMS}
    cells = {
        system: {
            "value": result.scores[key],
            "interval": result.intervals.get(key),
            "above": result.scores.get(f"{name}.{ABOVE}{system}"),
            "above_interval": result.intervals.get(f"{name}.{ABOVE}{system}"),
        }
        for system, key in keys.items()
        if key in result.scores
    }
    ends = [result.intervals.get(key, (0.0, result.scores.get(key, 0.0)))[1] for key in keys.values()]
    return {"name": NAMES.get(name, name), "cells": cells, "top": max(1.0, *ends)}


def _card(result: TaskResult, index: int) -> dict[str, Any]:
    record = result.scored.records[index]
    return {"record": record, "picture": draw_card(result.kind, result.samples[index], record.prediction)}


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
