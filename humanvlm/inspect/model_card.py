"""The model card of a checkpoint, as Hugging Face has them (Mitchell et al. 2018, arXiv 1810.03993): one function makes
that of stage 2, which is not scored yet, and that of a registered model."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from humanvlm.shown import cell, one_line
from humanvlm.weights.catalog import ModelEntry, model_entries

SPDX = {"Apache-2.0": "apache-2.0", "MIT": "mit", "BSD-2-Clause": "bsd-2-clause", "CC0-1.0": "cc0-1.0"}
UNKNOWN = "see its own page"
LONGEST = 1000  # characters of a cell
LIMITS = """\
It describes pictures of people and scenes and answers questions about them. It is a model for research, and says things
that are not in the picture: have what matters checked.

* It is not for recognising who somebody is, and not for decisions about people.
* Age, gender, expression and the like are apparent attributes: what a picture looks like, not facts about a person.
* What its data have too little of it sees less well. The report of its scores compares groups where they are known.
"""


@dataclass(frozen=True)
class Scores:
    """What ``benchmark_scores`` found. values: TASK.METRIC, or TASK.METRIC.BASELINE; intervals: of 95%, by the same
    names; samples: by task; verdicts: a sentence a task on whether it beats its baselines."""

    values: Mapping[str, float]
    intervals: Mapping[str, Sequence[float]] = field(default_factory=dict)
    samples: Mapping[str, int] = field(default_factory=dict)
    verdicts: Sequence[str] = ()

    @classmethod
    def of(cls, values: Mapping[str, float], details: Mapping[str, Any], info: Mapping[str, Any]) -> "Scores":
        """From scores.json, details.json and the ``info`` of report.json."""
        verdicts = tuple(info.get("verdicts", ()))
        return cls(values, details.get("intervals", {}), details.get("samples", {}), verdicts)


@dataclass(frozen=True)
class Exported:
    """What the card of an export says beside. library: that reads its files; use: how to run them, by default as
    transformers does; datasets: ids on the hub of what it learnt from; adapter: where the low-rank updates are;
    sections: further ones, by title, after the evaluation."""

    library: str = "transformers"
    use: str = ""
    datasets: Sequence[str] = ()
    adapter: str = "../adapter"
    sections: Mapping[str, str] = field(default_factory=dict)


def model_card(report: Mapping[str, Any], scores: Scores | None = None, exported: Exported | None = None) -> str:
    """The card as Markdown, its metadata first.

    report: of stage 2, as in its report.json: ``profile``, ``config``, ``rows``, ``metrics``, ``info``.
    """
    exported = exported or Exported()
    model, recipe = report["config"]["model"], report["config"]["stage2_checkpoint"]
    model = {**model, **{part: _shown(model[part]) for part in ("vision_tower", "language_model")}}
    recipe = {**recipe, "instructions": ", ".join(recipe.get("instructions", ())) or "none"}
    parts = {"vision tower": model["vision_tower"], "language model": model["language_model"]}
    licences = {part: _licence(name) for part, name in parts.items()}
    front = {
        "license": SPDX[licences["language model"]] if _one_licence(licences.values()) else "other",
        **({} if _one_licence(licences.values()) else {"license_name": "those-of-its-parts"}),
        **({"base_model": bases} if (bases := [base for name in parts.values() if (base := _base(name))]) else {}),
        **({"datasets": list(exported.datasets)} if exported.datasets else {}),
        "pipeline_tag": "image-text-to-text",
        "library_name": exported.library,
        "tags": ["llava", "humanvlm", "vision-language"],
    }
    sections = {
        "How to use it": exported.use or _use(model, recipe, exported.adapter),
        "What it is for, and what not": LIMITS,
        "Evaluation": score_table(scores)
        if scores
        else "Not scored yet: `humanvlm benchmark_scores`, and the registered model's card, have the figures.\n",
        **exported.sections,
        "What it learnt from": _learnt_from(report),
        "How it learnt": _how(report, recipe),
        "Licences": _table(("part", "model", "licence of its weights"), ((p, parts[p], licences[p]) for p in parts)),
    }
    opening = (
        f"A LLaVA (Liu et al. 2023, arXiv 2310.03744) of `{parts['vision tower']}`, a two-layer projector and "
        f"`{parts['language model']}`, trained by HumanVLM (Dai et al. 2024, arXiv 2411.03034) in two stages."
    )
    body = "\n".join(f"## {title}\n\n{text}" for title, text in sections.items())
    header = yaml.safe_dump(front, sort_keys=False)
    return f"---\n{header}---\n\n# HumanVLM, profile {report['profile']}\n\n{opening}\n\n{body}"


def score_table(scores: Scores) -> str:
    """Every score with its interval and what the baselines reach, then the verdicts."""
    own = [name for name in scores.values if name.count(".") == 1]
    if scores.intervals:  # shares of replies that were cut or refused have none: told where there are any
        own = [name for name in own if name in scores.intervals or scores.values[name]]
    baselines = sorted({name.split(".")[2] for name in scores.values if name.count(".") == 2})
    baselines = [name for name in baselines if not name.startswith("above_")]

    def figure(name: str) -> str:
        if name not in scores.values:
            return ""
        low_high = scores.intervals.get(name)
        return f"{scores.values[name]:.3f}" + (f" ({low_high[0]:.3f} to {low_high[1]:.3f})" if low_high else "")

    rows = []
    for name in own:
        task, metric = name.split(".")
        others = (figure(f"{name}.{baseline}") for baseline in baselines)
        rows.append((task, metric, figure(name), *others, scores.samples.get(task, "")))
    titles = ("task", "metric", "score (95% interval)", *(name.replace("_", " ") for name in baselines), "samples")
    return (
        _table(titles, rows)
        + "".join(f"\n* {one_line(verdict)}" for verdict in scores.verdicts)
        + "\n" * bool(scores.verdicts)
    )


def _use(model: Mapping[str, Any], recipe: Mapping[str, Any], adapter: str) -> str:
    packaged = (entry := _entry(model["vision_tower"])) is not None and entry.wheel is not None
    first = "import humanvlm.model.tower  # registers its vision tower\n" if packaged else ""
    needs = "Needs the package humanvlm, which has the code of its vision tower, and" if packaged else "Needs"
    text = f"""\
{needs} transformers 5 or later. MODEL is this folder, or the model's id.

```python
{first}from transformers import pipeline

ask = pipeline("image-text-to-text", model="MODEL")
parts = [{{"type": "image", "image": "picture.jpg"}}, {{"type": "text", "text": "Describe the picture."}}]
print(ask(text=[{{"role": "user", "content": parts}}], max_new_tokens=64, return_full_text=False)[0]["generated_text"])
```

```python
{first}from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

processor = AutoProcessor.from_pretrained("MODEL")
model = AutoModelForImageTextToText.from_pretrained("MODEL")
parts = [{{"type": "image", "image": Image.open("picture.jpg")}}, {{"type": "text", "text": "Describe the picture."}}]
turns = [{{"role": "user", "content": parts}}]
inputs = processor.apply_chat_template(
    turns, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
)
reply = model.generate(**inputs, max_new_tokens=64)[0, inputs["input_ids"].shape[1] :]
print(processor.decode(reply, skip_special_tokens=True))
```
"""
    if recipe["language_model"] == "full" or "lora" not in (recipe["language_model"], recipe["vision_tower"]):
        return text
    known = ", ".join(f"{key}={value!r}" for key, value in model.items())
    return f"""{text}
The low-rank updates alone, with the projector, are in `{adapter}`:

```python
from humanvlm.config.model import Model
from humanvlm.model.build import build_llava
from peft import PeftModel

base, processor = build_llava(Model({known}))
model = PeftModel.from_pretrained(base, "{adapter}")
```
"""


def _learnt_from(report: Mapping[str, Any]) -> str:
    rows = report["rows"]
    dropped = ", ".join(f"{count} {reason}" for reason, count in rows["dropped"].items()) or "none"
    samples = report["info"].get("samples", {})
    counts = f"{rows['kept']} of {rows['in']} rows, left out: {dropped}. Stage 1 learnt from captions alone."
    return f"{counts}\n\n{_table(('samples of stage 2', 'count'), samples.items())}"


def _how(report: Mapping[str, Any], recipe: Mapping[str, Any]) -> str:
    info = report["info"]
    figures = {
        **{f"parameters that learnt: {part}": f"{count:,}" for part, count in info.get("trained_by_part", {}).items()},
        **{key: info[key] for key in ("processes", "dtype", "engine") if key in info},
        **report["metrics"],
        **info.get("revision", {}),
    }
    return f"{_table(('figure', 'value'), figures.items())}\n{_table(('recipe of stage 2', 'value'), recipe.items())}"


def _shown(name: str) -> str:
    """A model's name; of a folder the last part, for a card goes where this machine's paths need not be known."""
    return Path(name).name if name.startswith((".", "/", "~")) or name.partition("@")[0].count("/") > 1 else name


def _entry(name: str) -> ModelEntry | None:
    """The entry of models.yaml: by its name, or by the hub id that it loads from."""
    hub = name.partition("@")[0]
    return next((entry for key, entry in model_entries().items() if name == key or hub == entry.hub), None)


def _licence(name: str) -> str:
    entry = _entry(name)
    return entry.licence.weights if entry else UNKNOWN


def _one_licence(licences: Any) -> bool:
    """Whether one licence that has an identifier is that of all."""
    found = set(licences)
    return len(found) == 1 and found <= SPDX.keys()


def _base(name: str) -> str | None:
    """The hub id of a part, where it has one."""
    entry = _entry(name)
    if entry is not None:
        return entry.hub or entry.extras.get("published")
    repository = name.partition("@")[0]
    return repository if repository.count("/") == 1 else None


def _table(titles: Sequence[str], rows: Any) -> str:
    def lines() -> Iterator[str]:
        yield f"| {' | '.join(titles)} |"
        yield f"| {' | '.join('---' for _ in titles)} |"
        for row in rows:
            yield f"| {' | '.join(_cell(value) for value in row)} |"

    return "\n".join(lines()) + "\n"


def _cell(value: Any) -> str:
    return cell(f"{value:.4g}" if isinstance(value, float) else value, LONGEST)
