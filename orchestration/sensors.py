"""What happens outside Dagster is seen: `dvc repro` changes dvc.lock, `dvc add` a .dvc file, `git checkout` both."""

import json
import time
from typing import Any

import dagster as dg

from humanvlm.errors import UserError
from orchestration.champion import question
from orchestration.dvc_graph import Graph, Locked, load_graph, read_lock, source_version
from orchestration.metadata import describe_artifact
from orchestration.schedules import reevaluate
from orchestration.versions import DATA_VERSION, observation, version_tags

ASK_EVERY_S = 300
SETTLED_S = 15.0  # a run of Dagster's own reports its materialization within seconds of its entry in dvc.lock


def lock_sensor(graph: Graph) -> dg.SensorDefinition:
    """Reports a materialization for each stage whose output in dvc.lock is not the one Dagster knows."""

    @dg.sensor(
        name="dvc_lock",
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Reports what `dvc repro` and `dvc add` did outside Dagster.",
    )
    def watch(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        current = load_graph(graph.root)
        lock = graph.root / "dvc.lock"
        if lock.exists() and time.time() - lock.stat().st_mtime < SETTLED_S:
            return dg.SkipReason("dvc.lock has just changed")
        sources = {name: source_version(current, name) for name in current.sources}
        locks = read_lock(current)
        state = json.dumps([sources, {name: version_tags(locked) for name, locked in locks.items()}], sort_keys=True)
        if state == context.cursor:
            return dg.SkipReason("dvc.lock is as it was")
        events: list[Any] = [
            observation(name, version)
            for name, version in sources.items()
            if _observed(context.instance, name) != version
        ]
        events += [
            event
            for name, locked in locks.items()
            if _materialized(context.instance, name) != locked.data_version
            and (event := _materialization(current, name, locked))
        ]
        return dg.SensorResult(asset_events=events, cursor=state)

    return watch


def champion_sensors(graph: Graph) -> list[dg.SensorDefinition]:
    """Re-evaluate when the benchmarks change, and when another version becomes champion. Off until switched on."""
    return [
        _champion_sensor(graph, "new_benchmark", "asked", "benchmarks, settings or code as they were"),
        _champion_sensor(graph, "new_champion", "champion", "the champion as it was"),
    ]


def _champion_sensor(graph: Graph, name: str, key: str, same: str) -> dg.SensorDefinition:
    """Asks for a run when the answer's ``key`` is not the cursor, and the champion was not scored since."""

    @dg.sensor(
        name=name,
        job=reevaluate,
        minimum_interval_seconds=ASK_EVERY_S,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description="Re-evaluates the champion. Off until it is switched on in the UI.",
    )
    def watch(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        answer = question(graph)
        if answer[key] == context.cursor:
            return dg.SkipReason(same)
        context.update_cursor(answer[key])
        if not answer["due"]:
            return dg.SkipReason(answer["reason"])
        key_of_run = f"{answer['champion']}-{answer['asked']}"
        return dg.RunRequest(run_key=key_of_run, tags={"humanvlm/reason": answer["reason"]})

    return watch


def _observed(instance: dg.DagsterInstance, name: str) -> str | None:
    records = instance.fetch_observations(dg.AssetKey(name), limit=1).records
    event = records[0].asset_observation if records else None
    return (event.tags or {}).get(DATA_VERSION) if event else None


def _materialized(instance: dg.DagsterInstance, name: str) -> str | None:
    entry = instance.get_latest_materialization_event(dg.AssetKey(name))
    event = entry.asset_materialization if entry else None
    return (event.tags or {}).get(DATA_VERSION) if event else None


def _materialization(graph: Graph, name: str, locked: Locked) -> dg.AssetMaterialization | None:
    """None when the artifact is not here (dvc.lock was checked out, its bytes were not pulled)."""
    try:
        metadata = describe_artifact(graph.root / graph.stages[name].out)
    except (UserError, OSError):
        return None
    return dg.AssetMaterialization(
        asset_key=name, description="Made outside Dagster", metadata=metadata, tags=version_tags(locked)
    )
