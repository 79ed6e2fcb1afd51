"""registered_model against a real registry in SQLite, and the registered model answering."""

import base64
import json
import shutil
import subprocess
import sys
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from humanvlm.config.loading import Params
from humanvlm.config.model import Model
from humanvlm.data.atomic_io import write_json
from humanvlm.errors import UserError
from humanvlm.pipeline.contract import artifact_files
from humanvlm.pipeline.runner import run_stage

from . import made
from .made import answers, evaluation


@pytest.fixture(scope="module")
def checkpoint(tiny_models: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    from humanvlm.model.build import build_llava

    folder = tmp_path_factory.mktemp("stage2_checkpoint")
    for part in build_llava(Model(**tiny_models, system_prompt="")):
        part.save_pretrained(folder / "model")
    finish(folder)
    return folder


TRAINED = {
    "profile": "cpu",
    "config": {section: Params().model_dump(mode="json")[section] for section in ("model", "stage2_checkpoint")},
    "rows": {"in": 1, "kept": 1, "dropped": {}},
    "metrics": {"loss_last": 1.0},
    "info": {},
}


def finish(folder: Path) -> None:
    write_json(folder / "report.json", TRAINED | {"outputs": [asdict(file) for file in artifact_files(folder)]})


def test_scores_of_another_model_are_refused(
    checkpoint: Path, tmp_path: Path, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    folder = evaluation(tmp_path / "s", answers(0.5))
    made.finish(folder, {"info": {"model": "endpoint"}})
    with pytest.raises(UserError, match="the scores of endpoint, not of the checkpoint"):
        register(checkpoint, folder, tmp_path / "out", repo)


def test_a_model_that_loses_a_patch_is_not_registered(
    checkpoint: Path, tmp_path: Path, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    other = tmp_path / "stage2_checkpoint"
    shutil.copytree(checkpoint, other)
    path = other / "model" / "processor_config.json"
    write_json(path, json.loads(path.read_text()) | {"vision_feature_select_strategy": "default"})
    finish(other)
    with pytest.raises(UserError, match=r"728 of 729.*set model\.drop_first_patch to false"):
        register(other, evaluation(tmp_path / "s", answers(0.5)), tmp_path / "out", repo)


def register(checkpoint: Path, benchmark: Path, out: Path, repo: Path, *overrides: str) -> dict[str, Any]:
    inputs = {"stage2_checkpoint": checkpoint, "benchmark_scores": benchmark}
    settings = ("registered_model.metric=vqa.accuracy", *overrides)
    run_stage("registered_model", repo / "humanvlm" / "profiles" / "cpu.yaml", settings, inputs, out, force=True)
    value: dict[str, Any] = json.loads((out / "registration.json").read_text())
    return value


def retrained(checkpoint: Path, folder: Path) -> Path:
    """Another model: the same with one line more in a file that is loaded."""
    shutil.copytree(checkpoint, folder)
    with (folder / "model" / "chat_template.jinja").open("a") as file:
        file.write(f"{{# {folder.name} #}}")
    finish(folder)
    return folder


def test_without_tracking_there_is_no_registry(
    checkpoint: Path, tmp_path: Path, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "none")
    with pytest.raises(UserError, match="needs an MLflow registry"):
        register(checkpoint, evaluation(tmp_path / "s", answers(0.5)), tmp_path / "out", repo)


@pytest.mark.slow
def test_champions_and_challengers(
    checkpoint: Path, tmp_path: Path, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "out"
    base = answers(0.5)
    low, high = ([value if place > 40 else fixed for place, value in enumerate(base)] for fixed in (0.0, 1.0))
    first_scores = evaluation(tmp_path / "s1", base)
    wrong = "registered_model.metric=captions.cidre"
    with pytest.raises(UserError, match=r"'captions\.cidre' is not in .*; it has vqa\.accuracy"):
        register(checkpoint, first_scores, out, repo, wrong)

    first = register(checkpoint, first_scores, out, repo)
    assert (first["version"], first["decision"], first["aliases"]) == ("1", "promoted", ["challenger", "champion"])
    again = register(checkpoint, first_scores, out, repo)
    assert (again["version"], again["decision"], again["run_id"]) == ("1", "promoted", first["run_id"])
    other_scores = register(checkpoint, evaluation(tmp_path / "s2", low), out, repo)
    assert (other_scores["version"], other_scores["decision"]) == ("1", "promoted")
    register(checkpoint, first_scores, out, repo)
    second, third = (retrained(checkpoint, tmp_path / name) for name in ("second", "third"))
    worse = register(second, evaluation(tmp_path / "s3", low), out, repo)
    assert (worse["version"], worse["decision"], worse["aliases"]) == ("2", "not_promoted", ["challenger"])
    assert "a gain of -0." in worse["reasons"][0]
    better = register(third, evaluation(tmp_path / "s4", high), out, repo)
    assert (better["version"], better["decision"], better["aliases"]) == ("3", "promoted", ["challenger", "champion"])
    assert better["champion"] == "1"

    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db", f"sqlite:///{tmp_path}/mlflow.db")
    champion = client.get_model_version_by_alias("humanvlm", "champion")
    assert (str(champion.version), champion.tags["score.vqa.accuracy"]) == ("3", f"{better['value']:.6g}")
    assert (champion.tags["replaced"], champion.tags["decision"]) == ("1", "promoted")
    assert len(client.search_model_versions("name = 'humanvlm'")) == 3
    card = (out / "README.md").read_text()
    assert "| vqa | accuracy | 0.6" in card
    assert Path(client.download_artifacts(better["run_id"], "README.md")).read_text() == card
    assert "| vqa | accuracy | 0.6" in champion.description
    log = [json.loads(line) for line in Path(".state/registry/humanvlm.jsonl").read_text().splitlines()]
    assert [(one["version"], one["champion"], one["promoted"]) for one in log] == [
        ("1", None, True),
        ("2", "1", False),
        ("3", "1", True),
    ]
    run_id = client.get_registered_model("humanvlm").tags["log"]
    assert Path(client.download_artifacts(run_id, "decisions.jsonl")).read_text().count("\n") == 3

    answers_as_registered(tmp_path, repo)


def answers_as_registered(tmp_path: Path, repo: Path) -> None:
    """In another process, from the root of the checkout, where the folder ``mlflow`` must not shadow the library."""
    buffer = BytesIO()
    Image.new("RGB", (40, 30), "red").save(buffer, "PNG")
    rows = {"image": [base64.b64encode(buffer.getvalue()).decode()], "prompt": ["Hi"]}
    code = f"""
import mlflow, pandas
model = mlflow.pyfunc.load_model("models:/humanvlm@champion")
reply = model.predict(pandas.DataFrame({rows!r}), params={{"max_new_tokens": 3}})
assert list(reply.columns) == ["text", "image_size", "boxes", "keypoints"] and isinstance(reply.text[0], str), reply
try:
    model.predict(pandas.DataFrame({{"image": ["AAAA"], "prompt": ["Hi"]}}))
except mlflow.MlflowException as error:
    assert error.get_http_status_code() == 400 and "row 0" in str(error), error
else:
    raise AssertionError("accepted what is no picture")
print("answered")
"""
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=repo,
        env={"MLFLOW_TRACKING_URI": uri, "PATH": "", "HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "answered" in done.stdout


def test_the_server_folder_is_no_package(repo: Path) -> None:
    assert (repo / "humanvlm" / "registry" / "serving.py").exists()
    assert not (repo / "mlflow" / "__init__.py").exists()
