"""The registry's champion, scored again by `humanvlm reevaluate`: an asset outside of DVC's graph, for its subject is
what MLflow holds and not what lies in artifacts/. Its materializations are the history that Dagster plots.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from orchestration.dvc_graph import Graph
from orchestration.process import environment, stream

GROUP = "champion"
ASSET, CHECK = "champion_scores", "not_worse"
FOLDER = Path(".state/champion")


def champion_asset(graph: Graph) -> dg.AssetsDefinition:
    """Scores of the champion as metadata."""

    @dg.asset(
        name=ASSET,
        description="The champion of the registry, fetched by its alias and scored on the benchmarks as they are now.",
        group_name=GROUP,
        kinds={"mlflow"},
    )
    def score(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
        # Who starts this has asked before whether it is due, or wants it though nothing changed.
        finished = stream(["humanvlm", "reevaluate", "--force"], graph.root, environment(), context.log.info)
        if finished.code:
            raise dg.Failure(finished.tail[-1] if finished.tail else f"humanvlm reevaluate: exit code {finished.code}")
        return dg.MaterializeResult(metadata=_described(graph.root))

    return score


def champion_check(graph: Graph) -> dg.AssetChecksDefinition:
    """Fails when the champion fell beyond noise since it, or the champion before it, was scored last."""

    @dg.asset_check(name=CHECK, asset=ASSET, description="No metric and no slice fell beyond noise.")
    def check() -> dg.AssetCheckResult:
        found = _found(graph.root)
        return dg.AssetCheckResult(
            passed=found["passed"],
            description="; ".join(found["fell"]) or None,
            metadata={"compared": len(found["tests"]), "version": int(found["version"])},
        )

    return check


def question(graph: Graph) -> Mapping[str, Any]:
    """`humanvlm reevaluate --dry-run`: ``due``, ``reason``, ``champion``, ``asked``.

    Raises dagster.Failure with its one-line error.
    """
    said: list[str] = []
    finished = stream(
        ["humanvlm", "reevaluate", "--dry-run"], graph.root, environment(HUMANVLM_LOG="ERROR"), said.append
    )
    if finished.code or not said:
        raise dg.Failure(said[-1] if said else f"humanvlm reevaluate: exit code {finished.code}")
    answer: Mapping[str, Any] = json.loads(said[-1])
    return answer


def _found(root: Path) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads((root / FOLDER / "reevaluation.json").read_text(encoding="utf-8"))
    return found


def _described(root: Path) -> dict[str, Any]:
    found = _found(root)
    return {
        "version": int(found["version"]),
        "reason": found["reason"],
        "MLflow run": found["run_id"],
        "notes": "; ".join(found["notes"]),
        "history": dg.MetadataValue.path(str(root / FOLDER / "history.html")),
        **{f"metric: {name}": round(float(value), 6) for name, value in found["scores"].items()},
    }
