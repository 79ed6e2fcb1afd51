"""What a finished run achieved and where to look: the scores, the row funnel, and the commands that open the UIs."""

from collections.abc import Mapping
from pathlib import Path

from humanvlm.pipeline.contract import StageError, read_report
from humanvlm.pipeline.stages import STAGES


def summarize(artifacts: Path) -> str:
    """The funnel of rows, the scores with their baselines, and where captions, plots and UIs are, as text."""
    lines = ["", "rows                    in     kept  dropped"]
    scores: dict[str, float] = {}
    verdicts: list[str] = []
    for name in STAGES:
        try:
            report = read_report(artifacts / name)
        except StageError:
            lines.append(f"{name:20} not run yet: humanvlm {name}")
            continue
        rows = report["rows"]
        reasons = ", ".join(f"{reason} {count}" for reason, count in rows["dropped"].items())
        lines.append(f"{name:20} {rows['in']:5d}    {rows['kept']:5d}  {reasons or '-'}")
        if name == "benchmark_scores":
            scores, verdicts = report["metrics"], report["info"].get("verdicts", [])
    if scores:
        lines += ["", *_scores(scores)]
    lines += [
        "",
        f"captions and plots   {artifacts}/benchmark_scores/report.html",
        f"any artifact         humanvlm show {artifacts}/human_caption",
        "Dagster              make dagster",
        "MLflow               make mlflow",
    ]
    return "\n".join([*lines, *(["", *verdicts] if verdicts else [])])


def _scores(scores: Mapping[str, float]) -> list[str]:
    """A line a metric: the model's value, and those of the baselines that were scored by it."""
    kinds = ("mean_image", "most_common")
    of = {kind: {name.removesuffix(f".{kind}") for name in scores if name.endswith(f".{kind}")} for kind in kinds}
    extra = {f"{name}.{way}{kind}" for kind in kinds for name in of[kind] for way in ("", "above_")}
    lines = [f"{'score':36} {'model':>8}  mean picture  commonest caption"]
    for name in sorted(scores.keys() - extra):
        cells = [f"{scores[f'{name}.{kind}']:.4f}" if name in of[kind] else "" for kind in kinds]
        lines.append(f"{name:36} {scores[name]:8.4f}  {cells[0]:>12}  {cells[1]:>17}".rstrip())
    return lines
