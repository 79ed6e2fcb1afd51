"""Where ``.state`` is."""

from pathlib import Path

import pytest

from humanvlm.pipeline import tracking
from humanvlm.pipeline.state import state_folder


@pytest.mark.parametrize("copy", [".dvc/tmp/exps/standard/tmpab12", ".dvc/tmp/exps/queue/tmpab12/sub"])
def test_an_experiment_of_dvc_uses_the_state_of_its_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, copy: str
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.chdir(tmp_path)
    assert (state_folder(), tracking.tracking_uri()) == (Path(".state"), "sqlite:///.state/mlflow.db")
    (tmp_path / copy).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / copy)
    assert state_folder() == tmp_path / ".state"
    assert tracking.tracking_uri() == f"sqlite:///{tmp_path}/.state/mlflow.db"
