"""What a finished run achieved and where to look: the scores, the row funnel, and the commands that open the UIs."""

from pathlib import Path

from humanvlm.pipeline.contract import StageError, read_report
from humanvlm.pipeline.stages import STAGES


def summarize(artifacts: Path) -> str:
    """The funnel of rows, the scores with their baselines, and where captions, plots and UIs are, as text."""
    lines = ["", "rows                    in     kept  dropped"]
    scores: dict[str, float] = {}
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
            scores = report["metrics"]
    if scores:
        lines += ["", "score"] + [f"{name:44} {value:8.4f}" for name, value in sorted(scores.items())]
    lines += [
        "",
        f"captions and plots   {artifacts}/benchmark_scores/report.html",
        f"any artifact         humanvlm show {artifacts}/human_caption",
        "Dagster              make dagster",
        "MLflow               make mlflow",
    ]
    return "\n".join(lines)
