"""Which runs lose what they show, and what is named instead."""

from pathlib import Path
from typing import Any

import pytest

from humanvlm.data.tombstones import Tombstones
from humanvlm.pipeline.contract import identity_of
from humanvlm.pipeline.tracking import experiment_id, mlflow_client
from humanvlm.registry.evaluation import read_evaluation
from humanvlm.registry.versions import Registry
from humanvlm.takedown.mlflow_runs import remove_shown, store_uri

from ..registry.conftest import mlflow_server
from ..registry.made import evaluation, wrapper

NONE = Tombstones()
OUTPUTS = [{"path": "shard-00000.parquet", "sha256": "a" * 64}]
OLD = identity_of({"outputs": OUTPUTS})


def log(client: Any, experiment: str, stage: str, outputs: list[dict[str, str]], *inputs: str) -> str:
    tags = {
        "stage": stage,
        "fingerprint": f"of {stage}",
        **{f"input.{number}": one for number, one in enumerate(inputs)},
    }
    run: str = client.create_run(experiment, tags=tags).info.run_id
    client.log_dict(run, {"stage": stage, "outputs": outputs}, "report.json")
    client.log_text(run, "<html>", "pages/replies.html")
    client.log_text(run, "step,loss", "loss.csv")
    return run


def files(client: Any, run: str) -> set[str]:
    return {entry.path for folder in ("", "pages") for entry in client.list_artifacts(run, folder) if not entry.is_dir}


def test_runs_of_old_versions_and_of_what_was_made_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "none")
    assert store_uri(tmp_path) is None
    assert remove_shown(tmp_path, NONE, frozenset([OLD]), frozenset()) == ([], [])
    assert not (tmp_path / ".state").exists()  # looking makes nothing
    uri = f"sqlite:///{tmp_path}/.state/mlflow.db"
    client = mlflow_client(uri)
    experiment = experiment_id(client, uri)
    trained = [{"path": "weights", "sha256": "b" * 64}]
    other = [{"path": "shard-00000.parquet", "sha256": "c" * 64}]
    scenes = log(client, experiment, "human_scenes", OUTPUTS)
    weights = log(client, experiment, "stage1_checkpoint", trained, OLD)
    scored = [{"path": "scores.json", "sha256": "d" * 64}]
    scores = log(client, experiment, "benchmark_scores", scored, identity_of({"outputs": trained}))
    clean, unknown = (log(client, experiment, "raw_scrape", one) for one in (other, [{"path": "x", "sha256": ""}]))
    register(client, experiment, identity_of({"outputs": scored}))
    here = frozenset([identity_of({"outputs": other})])
    said, left = remove_shown(tmp_path, NONE, frozenset([OLD]), here)
    assert said == [f"MLflow at {uri}: 3 pictures and pages of 3 runs removed"]
    for run in (scenes, weights, scores):
        assert files(client, run) == {"report.json", "loss.csv"}
    for run in (clean, unknown):
        assert "pages/replies.html" in files(client, run)
    assert left == [
        f"MLflow at {uri}: pictures of versions that are not here; look at runs {unknown} (raw_scrape)",
        f"weights: trained by MLflow's runs {weights} (stage1_checkpoint)",
        "weights: version 1 of model humanvlm in MLflow",
    ]
    assert remove_shown(tmp_path, NONE, frozenset([OLD]), here) == ([], left)

    moved = tmp_path.with_name(tmp_path.name + "-copy")  # locations in a database are absolute
    moved.mkdir()
    late = log(client, experiment, "human_scenes", OUTPUTS)
    (tmp_path / ".state/mlflow.db").rename(moved / "mlflow.db")
    (moved / ".state").mkdir()
    (moved / "mlflow.db").rename(moved / ".state/mlflow.db")
    said, left = remove_shown(moved, NONE, frozenset([OLD]), here)
    assert said == []
    assert "files outside of this project; delete pictures and records of runs" in left[0]
    assert late in left[0]
    assert (tmp_path / ".state/mlartifacts" / late / "artifacts/pages/replies.html").exists()


def register(client: Any, experiment: str, scores: str) -> None:
    """A stage's run that registered a version."""
    run = client.create_run(
        experiment, tags={"stage": "registered_model", "input.benchmark_scores": scores}
    ).info.run_id
    report = {"stage": "registered_model", "outputs": [], "info": {"name": "humanvlm", "version": "1"}}
    client.log_dict(run, report, "report.json")


def test_a_server_that_does_not_answer_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    said, (left,) = remove_shown(tmp_path, NONE, frozenset([OLD]), frozenset())
    assert said == []
    assert left.startswith("MLflow at http://127.0.0.1:9: ")
    assert left.endswith("then run `humanvlm forget` again: its runs may hold pictures and texts")


@pytest.mark.slow
def test_records_of_evaluations_on_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A caption of a held-out picture is a reference in what a champion was asked."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "server").mkdir()
    with mlflow_server(tmp_path / "server", f"sqlite:///{tmp_path}/server/mlflow.db") as uri:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        registry = Registry(mlflow_client(uri), uri, "humanvlm")
        versions = []
        for name in ("held", "clean"):
            model = tmp_path / name / "model"
            model.mkdir(parents=True)
            (model / "weights").write_text(name)
            version = registry.register(model, wrapper(tmp_path / name), {"sha256": name}, "card", "about")
            scores = evaluation(tmp_path / name / "scores", [0.0, 1.0], others={name: [1.0, 1.0]})
            versions.append(registry.record(version, read_evaluation(scores)))
        scenes = log(registry.client, experiment_id(registry.client, uri), "human_scenes", OUTPUTS)
        stones = Tombstones(ids=frozenset(["held-1"]))
        said, left = remove_shown(tmp_path, stones, frozenset([OLD]), frozenset())
        assert said == [
            f"MLflow at {uri}: 1 pictures and pages of 1 runs removed",
            f"MLflow at {uri}: records of 1 evaluations removed",
        ]
        assert left == []
        assert files(registry.client, scenes) == {"report.json", "loss.csv"}
        held, clean = versions
        assert registry.recorded(held, tmp_path / "again-held") is None  # so it is asked again when it is needed
        assert registry.recorded(clean, tmp_path / "again-clean") is not None
        assert remove_shown(tmp_path, stones, frozenset([OLD]), frozenset()) == ([], [])
