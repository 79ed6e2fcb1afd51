"""The code location: `dagster dev -m orchestration.definitions`, in a checkout of the project."""

from pathlib import Path

import dagster as dg

from humanvlm.pipeline.stages import STAGES
from orchestration.assets import source_asset, stage_asset
from orchestration.champion import champion_asset, champion_check
from orchestration.checks import expectation_check, report_checks
from orchestration.dvc_graph import load_graph
from orchestration.schedules import (
    CRAWLED,
    everything,
    monthly_recheck,
    monthly_reevaluation,
    recheck_consent,
    reevaluate,
    weekly_reevaluation,
)
from orchestration.sensors import champion_sensors, lock_sensor

# Step processes are forked from one that has loaded all this: a step starts in tenths of a second, not in seconds.
FORKED = dg.multiprocess_executor.configured(
    {"start_method": {"forkserver": {"preload_modules": ["dagster", "dagster_pipes", "orchestration.definitions"]}}}
)


def build_definitions(root: Path) -> dg.Definitions:
    """Everything Dagster knows of the DVC project at ``root``. Raises GraphError when there is none."""
    graph = load_graph(root)
    nodes = graph.stages.values()
    registers = "registered_model" in graph.stages
    crawls = CRAWLED in graph.stages
    return dg.Definitions(
        assets=[
            *(source_asset(graph, name) for name in graph.sources),
            *(stage_asset(graph, node) for node in nodes),
            *([champion_asset(graph)] if registers else []),
        ],
        asset_checks=[
            *(report_checks(graph, node) for node in nodes),
            *(expectation_check(graph, node) for node in nodes if node.name in STAGES and STAGES[node.name].texts),
            *([champion_check(graph)] if registers else []),
        ],
        jobs=[everything, *([reevaluate] if registers else []), *([recheck_consent] if crawls else [])],
        schedules=[
            *([weekly_reevaluation(graph), monthly_reevaluation] if registers else []),
            *([monthly_recheck] if crawls else []),
        ],
        sensors=[lock_sensor(graph), *(champion_sensors(graph) if registers else [])],
        executor=FORKED,
    )


def project_root() -> Path:
    """The folder Dagster was started in when it holds a dvc.yaml, else the checkout this file is in."""
    return Path.cwd() if Path("dvc.yaml").exists() else Path(__file__).parents[1]


defs = build_definitions(project_root())
