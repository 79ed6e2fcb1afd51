"""What a model must beat: itself when it sees nothing, and the commonest training caption, which needs no model.

A model that is asked about the mean picture of training answers from the question alone. What it then gets right is no
sign that it looks at pictures (the blind baseline of Goyal et al. 2017, arXiv 1612.00837).
"""

import base64
import io
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from humanvlm.evaluate.predict import mean_picture, predict
from humanvlm.evaluate.records import ScoredTask
from humanvlm.evaluate.stats.statistics import Difference, paired
from humanvlm.evaluate.tasks.base import Sample
from humanvlm.evaluate.tasks.held_out import most_common_caption, training_pictures
from humanvlm.evaluate.tasks.pictures import EncodedPicture
from humanvlm.inference.base import Model, Reply
from humanvlm.inference.cache import Predictions

log = logging.getLogger("humanvlm")
MEAN_PICTURES = 256
BASELINES = {"mean_image": "mean picture", "most_common": "commonest caption"}
ABOVE = "above_"  # METRIC.above_BASELINE: how far the model is above it
Texts = Sequence[str | Reply]


@dataclass(frozen=True)
class Baselines:
    """replies: by task and baseline, one a sample. captions: what each baseline says of every picture."""

    replies: Mapping[str, Mapping[str, Texts]]
    captions: Mapping[str, str]


def ask_baselines(
    answered: Mapping[str, Sequence[Sample]],
    caption_tasks: Sequence[str],
    human_caption: Path,
    model: Model,
    store: Predictions,
    max_new_tokens: int,
    max_failed: float,
) -> Baselines:
    """Ask the model every question again about the mean picture of training; each distinct question is asked once.

    A task of which such a question got no reply has no blind baseline: that is logged. Raises UserError as ``predict``.
    """
    blind = mean_sample_picture(human_caption)
    asked = [replace(sample, picture=blind) for samples in answered.values() for sample in samples] if blind else []
    replies = predict(asked, model, store, max_new_tokens, max_failed).replies if asked else {}
    common = most_common_caption(human_caption) if caption_tasks else None
    found: dict[str, dict[str, Texts]] = {}
    for task, samples in answered.items():
        found[task] = {}
        if all(sample.key in replies for sample in samples):
            found[task]["mean_image"] = [replies[sample.key] for sample in samples]
        else:
            log.warning("benchmark_scores: %s has no blind baseline: a question got no reply", task)
        if common is not None and task in caption_tasks:
            found[task]["most_common"] = [common] * len(samples)
    captions = {"most_common": common} if common is not None else {}
    for task in caption_tasks:
        for said in found[task].get("mean_image", ())[:1]:
            captions.setdefault("mean_image", said if isinstance(said, str) else said.text)
    return Baselines(found, captions)


def mean_sample_picture(human_caption: Path) -> EncodedPicture | None:
    """The mean of the first pictures of the training split, as a PNG; None when it has none."""
    pictures = list(training_pictures(human_caption, MEAN_PICTURES))
    if not pictures:
        return None
    file = io.BytesIO()
    mean_picture(pictures).save(file, "PNG")
    return EncodedPicture(base64.b64encode(file.getvalue()).decode())


def above(model: ScoredTask, baseline: ScoredTask, rounds: int, seed: int) -> list[Difference]:
    """How far the model is above a baseline on the same samples, metric by metric, with paired 95% intervals; nothing
    of fewer than two pictures, or without rounds."""
    if not rounds or len({record.image for record in model.records}) < 2:
        return []
    places = [f"{place:09d}" for place in range(len(model.records))]  # ids of a user's file may come twice
    return paired(replace(baseline.summed, ids=places), replace(model.summed, ids=places), rounds, seed)


def verdict(
    task: str,
    metric: str,
    label: str,
    scores: Mapping[str, float],
    intervals: Mapping[str, tuple[float, float]],
) -> str:
    """A line in words: the score that says most, and which baselines it beats, their interval being above 0.

    metric: its name in ``scores``; label: its name for people.
    """
    said = []
    for baseline, called in BASELINES.items():
        name = f"{metric}.{ABOVE}{baseline}"
        if name in scores:
            beats = intervals[name][0] > 0
            how = f"by {_figures(name, scores, intervals)}" if beats else f"({_figures(name, scores, intervals)})"
            said.append(f"{'beats' if beats else 'does NOT beat'} the {called} {how}")
    if metric not in scores:
        return f"{task}: {label} is undefined on these samples"
    return f"{task}: {label} {_figures(metric, scores, intervals)}, {' and '.join(said) or 'no baseline to compare'}"


def _figures(name: str, scores: Mapping[str, float], intervals: Mapping[str, tuple[float, float]]) -> str:
    if name not in intervals:
        return f"{scores[name]:.2f}"
    low, high = intervals[name]
    return f"{scores[name]:.2f} [{low:.2f}, {high:.2f}]"
