"""A project's MLflow file after it was moved or copied."""

import shutil
from pathlib import Path

from humanvlm.pipeline import tracking
from humanvlm.pipeline.local_store import follow_moved


def logged(folder: Path) -> str:
    """A run with an artifact in a local store; its id."""
    uri = f"sqlite:///{folder}/mlflow.db"
    client = tracking.mlflow_client(uri)
    run_id = str(client.create_run(tracking.experiment_id(client, uri)).info.run_id)
    client.log_text(run_id, "said", "said.txt")
    return run_id


def read(folder: Path, run_id: str) -> Path:
    uri = f"sqlite:///{folder}/mlflow.db"
    return Path(tracking.mlflow_client(uri).download_artifacts(run_id, "said.txt"))


def test_a_moved_store_finds_its_artifacts_and_a_copy_leaves_the_original_alone(tmp_path: Path) -> None:
    run_id = logged(tmp_path / "old")
    shutil.copytree(tmp_path / "old", tmp_path / "copy")
    next((tmp_path / "copy").rglob("said.txt")).write_text("said by the copy")
    assert read(tmp_path / "copy", run_id).read_text() == "said by the copy"
    other = logged(tmp_path / "copy")
    assert not list((tmp_path / "old").rglob(other))
    assert read(tmp_path / "old", run_id).read_text() == "said"
    (tmp_path / "old").rename(tmp_path / "new")
    assert read(tmp_path / "new", run_id).read_text() == "said"


def test_what_is_no_such_store_is_left_alone(tmp_path: Path) -> None:
    database = tmp_path / "mlflow.db"
    follow_moved(database, "humanvlm")
    assert not database.exists()
    (tmp_path / "mlartifacts").mkdir()
    database.touch()
    follow_moved(database, "humanvlm")
    assert database.read_bytes() == b""
