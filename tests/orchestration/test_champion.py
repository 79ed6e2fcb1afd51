"""Re-evaluation as Dagster drives it: its schedule on a clock of the test's, the job, the check and the webhook.

The registry is real (SQLite) and so are the champion's files; what a champion answers is decided here.
"""

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner

from humanvlm.cli import main
from humanvlm.pipeline import tracking
from humanvlm.registry.evaluation import Evaluation, read_evaluation
from humanvlm.registry.versions import CHAMPION, Registry, weights_of_folder
from orchestration.champion import ASSET, CHECK, champion_asset, champion_check
from orchestration.dvc_graph import Graph
from orchestration.process import Finished
from orchestration.schedules import monthly_reevaluation, reevaluate, weekly_reevaluation
from orchestration.sensors import champion_sensors

from ..registry.made import answers, evaluation, wrapper

MONDAY = datetime(2026, 11, 30, 3, tzinfo=UTC)
GOOD, BAD = answers(0.8), answers(0.3)


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """What the webhook of an operator, on a private address, was told."""
    told: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HUMANVLM_WEBHOOK", f"http://127.0.0.1:{server.server_port}/hook?token=secret")
    yield told
    server.shutdown()
    server.server_close()


@pytest.fixture
def graph(tmp_path: Path, repo: Path, monkeypatch: pytest.MonkeyPatch) -> Graph:
    """A project with a benchmark of one row; commands run in this process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    (tmp_path / "data" / "benchmarks").mkdir(parents=True)
    (tmp_path / "data" / "benchmarks" / "vqa.jsonl").write_text("{}\n")
    profile = (repo / "humanvlm" / "profiles" / "cpu.yaml").read_text()
    (tmp_path / "params.yaml").write_text(profile)
    settings = (
        "registered_model.metric=vqa.accuracy",
        "benchmark_scores.tasks=[vqa]",
        "benchmark_scores.baselines=false",
    )

    def run(command: Sequence[str], cwd: Path, env: Mapping[str, str], on_line: Callable[[str], None]) -> Finished:
        options = [part for setting in settings for part in ("--set", setting)]
        done = CliRunner().invoke(main, [*command[1:], *options])
        lines = done.output.splitlines()
        for line in lines:
            on_line(line)
        return Finished(done.exit_code, tuple(lines))

    def ask(checkpoint: Path, params: Any, out: Path, inputs: Any, *, baselines: bool) -> Evaluation:
        said = GOOD if (checkpoint / "weights").read_text() == "good" else BAD
        grown = len((tmp_path / "data" / "benchmarks" / "vqa.jsonl").read_text().splitlines())
        return read_evaluation(evaluation(out.with_name(f"scored-{grown}-{said is GOOD}"), said, code=str(grown)))

    monkeypatch.setattr("orchestration.champion.stream", run)
    monkeypatch.setattr("humanvlm.registry.reevaluate.score_again", ask)
    return Graph(tmp_path, {}, {})


def make_champion(root: Path, text: str) -> str:
    uri = f"sqlite:///{root}/mlflow.db"
    registry = Registry(tracking.mlflow_client(uri), uri, "humanvlm")
    (root / text).mkdir()
    (root / text / "weights").write_text(text)
    version = registry.register(root / text, wrapper(root), {"sha256": weights_of_folder(root / text)}, "", "")
    registry.client.set_registered_model_alias("humanvlm", CHAMPION, version.version)
    return str(version.version)


def test_skipped_rescored_and_fallen(graph: Graph, instance: dg.DagsterInstance, heard: list[Any]) -> None:
    schedule, week = weekly_reevaluation(graph), [MONDAY]
    defs = dg.Definitions(
        assets=[champion_asset(graph)],
        asset_checks=[champion_check(graph)],
        jobs=[reevaluate],
        schedules=[schedule, monthly_reevaluation],
        sensors=champion_sensors(graph),
    )

    def tick() -> tuple[str, dg.ExecuteInProcessResult | None]:
        """A Monday: why it was skipped, or why it was not and what came of it."""
        week[0] += timedelta(days=7)
        context = dg.build_schedule_context(instance=instance, scheduled_execution_time=week[0])
        data = defs.resolve_schedule_def(schedule.name).evaluate_tick(context)
        if data.skip_message:
            return data.skip_message, None
        tags = (data.run_requests or [])[0].tags
        result = defs.resolve_job_def("reevaluate").execute_in_process(instance=instance, tags=tags)
        assert result.success
        return tags["humanvlm/reason"], result

    def check(result: dg.ExecuteInProcessResult | None) -> bool:
        assert result is not None
        (found,) = result.get_asset_check_evaluations()
        assert found.check_name == CHECK
        return found.passed

    first = make_champion(graph.root, "good")
    why, result = tick()
    assert (why, check(result)) == (f"version {first} was not scored again yet", True)
    assert tick() == (f"nothing changed since version {first} was scored", None)

    with (graph.root / "data" / "benchmarks" / "vqa.jsonl").open("a") as file:
        file.write("{}\n")
    why, result = tick()
    assert (why, check(result)) == (f"benchmarks, settings or code changed since version {first} was scored", True)
    assert tick()[1] is None
    assert heard == []

    second = make_champion(graph.root, "bad")
    why, result = tick()
    assert (why, check(result)) == (f"version {second} is champion, version {first} was scored last", False)
    (told,) = heard
    assert told["text"] == f"humanvlm version {second} fell"
    assert "vqa.accuracy is worse: 0.3000 against 0.8000" in told["fell"][0]
    assert "secret" not in json.dumps(told)
    assert tick()[1] is None

    linked_and_plotted(graph.root, [first, first, second])
    event = instance.get_latest_materialization_event(dg.AssetKey(ASSET))
    assert event
    assert event.asset_materialization
    assert event.asset_materialization.metadata["metric: vqa.accuracy"].value == 0.3

    new_benchmark, new_champion = (defs.resolve_sensor_def(name) for name in ("new_benchmark", "new_champion"))
    third = make_champion(graph.root, "third")
    data = new_champion.evaluate_tick(dg.build_sensor_context(instance=instance, cursor=second))
    assert ((data.run_requests or [])[0].run_key or "").startswith(f"{third}-")
    again = new_champion.evaluate_tick(dg.build_sensor_context(instance=instance, cursor=data.cursor))
    assert again.skip_message == "the champion as it was"
    assert new_benchmark.evaluate_tick(dg.build_sensor_context(instance=instance, cursor="x")).run_requests


def linked_and_plotted(root: Path, versions: Sequence[str]) -> None:
    """In MLflow: a run a re-evaluation that names its version, and a metric with a step each."""
    client = tracking.mlflow_client(f"sqlite:///{root}/mlflow.db")
    run_id = client.get_registered_model("humanvlm").tags["log"]
    history = client.get_metric_history(run_id, "vqa.accuracy")
    assert [(point.step, point.value) for point in history] == [(1, 0.8), (2, 0.8), (3, 0.3)]
    page = (root / ".state" / "champion" / "history.html").read_text()
    assert page.count("<circle") == len(versions) - 1
    assert page.count("<rect") == 1
    assert "Content-Security-Policy" in page
    for number in set(versions):
        version = client.get_model_version("humanvlm", number)
        run = client.get_run(version.tags["evaluation.run"])
        assert run.data.tags["version"] == number
        assert run.inputs.model_inputs[0].model_id == version.source.removeprefix("models:/")


def test_the_month_is_not_asked_whether_it_is_due() -> None:
    assert (monthly_reevaluation.cron_schedule, monthly_reevaluation.job_name) == ("0 4 1 * *", "reevaluate")


def test_without_a_champion_the_schedule_says_so(graph: Graph, instance: dg.DagsterInstance) -> None:
    context = dg.build_schedule_context(instance=instance, scheduled_execution_time=MONDAY)
    with pytest.raises(dg.DagsterError) as raised:
        weekly_reevaluation(graph).evaluate_tick(context)
    assert "no version has the alias 'champion'; run `humanvlm registered_model` first" in str(raised.value.__cause__)
