"""Dagster's assets agree with DVC: what they run, what they leave alone, and what they call stale."""

import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver  # the judge that the UI asks
from dagster._core.loader import LoadingContextForTest

from orchestration.checks import REPORT_CHECKS, judge
from orchestration.definitions import build_definitions
from orchestration.dvc_graph import code_version, load_graph, read_lock

from .conftest import Project

REPO = Path(__file__).parents[2]
STAGES = ["first", "second", "third"]


def materialize(
    root: Path, instance: dg.DagsterInstance, *names: str, raises: bool = True, force: bool = False
) -> dg.ExecuteInProcessResult:
    """Materialize stages (default: all) with their checks, as `dagster asset materialize` does."""
    selection = dg.AssetSelection.assets(*names) if names else dg.AssetSelection.all()
    defs = dg.Definitions.merge(
        build_definitions(root), dg.Definitions(jobs=[dg.define_asset_job("toy", selection)])
    ).resolve_job_def("toy")
    tags = {"humanvlm/force": "true"} if force else {}
    return defs.execute_in_process(instance=instance, raise_on_error=raises, tags=tags)


def versions(instance: dg.DagsterInstance) -> dict[str, str]:
    """Data versions as Dagster knows them."""
    events = {name: instance.get_latest_materialization_event(dg.AssetKey(name)) for name in STAGES}
    return {
        name: (event.asset_materialization.tags or {})["dagster/data_version"]
        for name, event in events.items()
        if event and event.asset_materialization
    }


def stale(root: Path, instance: dg.DagsterInstance) -> dict[str, list[str]]:
    """Stale assets and why, as the UI would say."""
    graph = build_definitions(root).resolve_asset_graph()
    resolver = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
    causes = {name: resolver.get_stale_causes(dg.AssetKey(name)) for name in STAGES}
    return {name: [cause.reason for cause in found] for name, found in causes.items() if found}


def failure(result: dg.ExecuteInProcessResult, step: str) -> str:
    event = next(e for e in result.all_events if e.is_step_failure and e.step_key == step)
    data: Any = event.event_specific_data
    return str(data.user_failure_data.description if data.user_failure_data else data.error)


@pytest.mark.slow
def test_materializing_runs_each_stage_once_and_leaves_dvc_clean(
    project: Project, instance: dg.DagsterInstance
) -> None:
    assert materialize(project.root, instance).success
    assert project.ran() == STAGES
    assert project.run("dvc", "status").strip() == "Data and pipelines are up to date."
    locks = read_lock(load_graph(project.root))
    assert versions(instance) == {name: lock.data_version for name, lock in locks.items()}
    assert not stale(project.root, instance)

    assert materialize(project.root, instance).success
    assert project.ran() == STAGES

    project.set_params(second="{keep: 1}")
    assert (
        stale(project.root, instance).keys() == json.loads(project.run("dvc", "status", "--json")).keys() == {"second"}
    )
    assert materialize(project.root, instance).success
    assert project.ran() == [*STAGES, "second", "third"]
    assert not stale(project.root, instance)

    assert materialize(project.root, instance, "third", force=True).success
    assert project.ran()[-1] == "third"
    assert len(project.ran()) == 6


@pytest.mark.slow
def test_what_dvc_repro_made_is_taken_over(
    project: Project, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestration.sensors.SETTLED_S", 0.0)
    project.run("dvc", "repro", "-q")
    assert project.ran() == STAGES
    sensor = build_definitions(project.root).resolve_sensor_def("dvc_lock")

    def tick(cursor: str | None) -> tuple[list[str], str | None]:
        context = dg.build_sensor_context(instance=instance, cursor=cursor)
        data = sensor.evaluate_tick(context)
        for event in data.asset_events:
            instance.report_runless_asset_event(event)
        return [event.asset_key.to_user_string() for event in data.asset_events], data.cursor

    reported, cursor = tick(None)
    assert reported == ["data", *STAGES]
    assert tick(cursor)[0] == []
    assert not stale(project.root, instance)
    assert versions(instance) == {n: lock.data_version for n, lock in read_lock(load_graph(project.root)).items()}

    assert materialize(project.root, instance).success
    assert project.ran() == STAGES

    project.set_params(third="{keep: 1}")
    project.run("dvc", "repro", "-q")
    assert tick(cursor)[0] == ["third"]

    (project.root / "data/rows.txt").write_text("f g\n")
    project.run("dvc", "add", "-q", "data")
    assert tick(cursor)[0] == ["data"]
    assert stale(project.root, instance) == {"first": ["has a new dependency data version"]}


def test_a_failing_stage_fails_with_its_own_line(project: Project, instance: dg.DagsterInstance) -> None:
    project.set_params(first="{keep: 3, fail: true}")
    result = materialize(project.root, instance, raises=False)
    assert failure(result, "first") == "first: first: row 3 of data/rows.txt is odd; mend it"
    assert project.ran() == []

    project.set_params(second="{keep: 3, fail: true}")
    result = materialize(project.root, instance, raises=False)
    assert failure(result, "second") == "second: second: row 3 of data/rows.txt is odd; mend it"
    assert project.ran() == ["first"]


def test_params_edited_under_a_running_pipes_stage_fail_it(project: Project, instance: dg.DagsterInstance) -> None:
    project.set_params(second="{keep: 2, sleep: 60}")

    def edit() -> None:
        while not (project.root / ".state/sleeping").exists():
            time.sleep(0.05)
        project.set_params(second="{keep: 1}")
        (project.root / ".state/wake").touch()

    threading.Thread(target=edit, daemon=True).start()
    result = materialize(project.root, instance, "first", "second", raises=False)
    assert "changed while it ran" in failure(result, "second")
    assert "second" not in read_lock(load_graph(project.root))


def test_a_neighbour_that_dvc_is_running_is_waited_for(
    project: Project, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.run("dvc", "repro", "-q")
    project.set_params(first="{keep: 3, sleep: 60}", third="{keep: 1}")
    other = threading.Thread(target=project.run, args=("dvc", "repro", "-q", "-s", "first"))
    other.start()
    while not (project.root / ".state/sleeping").exists():
        time.sleep(0.05)

    def pause(*_: float) -> float:
        (project.root / ".state/wake").touch()
        return 0.5

    monkeypatch.setattr("orchestration.compute.random.uniform", pause)
    assert materialize(project.root, instance, "third").success
    assert (project.root / ".state/wake").exists()
    other.join()
    assert project.ran() == [*STAGES, "first", "third"]


def test_nothing_left_blocks_what_is_downstream(project: Project, instance: dg.DagsterInstance) -> None:
    project.set_params(second="{keep: 0}")
    result = materialize(project.root, instance, raises=False)
    assert not result.success
    failed = [check.check_name for check in result.get_asset_check_evaluations() if not check.passed]
    assert failed == ["rows_kept"]
    assert project.ran() == ["first", "second"]


def test_checks_notice_truncated_files_and_unbalanced_counts(project: Project, instance: dg.DagsterInstance) -> None:
    materialize(project.root, instance, "first")
    folder = project.root / "artifacts/first"
    assert {name: judge(name, folder)[0] for name in REPORT_CHECKS} == dict.fromkeys(REPORT_CHECKS, True)
    (folder / "rows.txt").write_text("a")
    passed, metadata = judge("files_whole", folder)
    assert not passed
    assert "rows.txt: truncated (1 of 5 bytes)" in metadata["problem"]
    report = json.loads((folder / "report.json").read_text())
    report["rows"]["kept"] += 1
    (folder / "report.json").write_text(json.dumps(report))
    assert not judge("counts_balance", folder)[0]
    (folder / "report.json").unlink()
    passed, metadata = judge("rows_kept", folder)
    assert not passed
    assert "no report.json" in metadata["problem"]


def test_code_versions_are_those_of_the_lock(project: Project) -> None:
    project.run("dvc", "repro", "-q")
    graph = load_graph(project.root)
    locks = read_lock(graph)
    assert {n: code_version(graph, node) for n, node in graph.stages.items()} == {
        n: lock.code_version for n, lock in locks.items()
    }
    (project.root / "room/deep/b.py").write_text("B = 3\n")
    changed = [n for n, node in graph.stages.items() if code_version(graph, node) != locks[n].code_version]
    assert changed == ["first"]


def test_loading_the_definitions_imports_nothing_heavy() -> None:
    heavy = ("dvc", "mlflow", "torch", "great_expectations", "transformers", "pandas")
    code = (
        "import sys, orchestration.definitions as d; "
        f"print([m for m in {heavy!r} if m in sys.modules], len(d.defs.resolve_all_asset_specs()))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True, check=False)
    assert done.stdout.split("]")[0] == "[", done.stdout + done.stderr
    assert int(done.stdout.split()[-1]) >= 8


def test_the_projects_own_definitions() -> None:
    defs = build_definitions(REPO)
    graph = defs.resolve_asset_graph()
    stages = set(load_graph(REPO).stages)
    assert {key.to_user_string() for key in graph.materializable_asset_keys} == stages | {"champion_scores"}
    pools = {pool for key in graph.materializable_asset_keys for pool in graph.get(key).pools or ()}
    assert pools == {"dvc"}
    schedule = defs.resolve_schedule_def("monthly_recheck")
    assert (schedule.cron_schedule, schedule.job_name) == ("0 4 1 * *", "recheck_consent")
    job = defs.resolve_job_def("recheck_consent")
    assert job.run_tags["humanvlm/recheck-consent"] == "true"
    assert {key.to_user_string() for key in job.asset_layer.executable_asset_keys} == {"raw_scrape"}
    schedule = defs.resolve_schedule_def("weekly_reevaluation")
    assert (schedule.cron_schedule, schedule.job_name) == ("0 3 * * 1", "reevaluate")
    jobs = {name: defs.resolve_job_def(name).asset_layer.executable_asset_keys for name in ("reevaluate", "everything")}
    assert {key.to_user_string() for key in jobs["reevaluate"]} == {"champion_scores"}
    assert {key.to_user_string() for key in jobs["everything"]} == stages
