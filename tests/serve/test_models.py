"""Which checkpoint a name on the command line stands for."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from humanvlm.errors import UserError
from humanvlm.pipeline import tracking
from humanvlm.registry import versions
from humanvlm.serve.limits import Limits
from humanvlm.serve.models import Source, find, loader, named


def test_a_folder_is_a_stages_artifact_or_a_checkpoint(checkpoint: Path, tmp_path: Path) -> None:
    assert find(str(checkpoint)) == Source(checkpoint.name, checkpoint / "model")
    assert find(str(checkpoint / "model")) == Source(checkpoint.name, checkpoint / "model")
    mine = tmp_path / "mine"
    shutil.copytree(checkpoint / "model", mine)
    assert find(str(mine)) == Source("mine", mine)
    assert find(f"hub:{mine}") == Source("mine", mine, own=False)


def test_what_is_no_checkpoint_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no checkpoint .* `humanvlm serve-files`"):
        find(str(tmp_path))
    with pytest.raises(UserError, match=r"absent: no checkpoint \(config.json\) there; name a folder"):
        find("absent")


def test_two_of_a_name_are_told_apart(checkpoint: Path) -> None:
    assert list(named((str(checkpoint), str(checkpoint)))) == [checkpoint.name, f"{checkpoint.name}-2"]


def test_what_does_not_load_is_told(checkpoint: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(checkpoint / "model", broken)
    (broken / "model.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match="broken: damaged weights"):
        loader(find(str(broken)), Limits())()


def test_the_context_is_what_both_can(checkpoint: Path) -> None:
    assert loader(find(str(checkpoint)), Limits())().context == 512  # of the tiny model
    assert loader(find(str(checkpoint)), Limits(context_tokens=100))().context == 100


class Registry:
    """A registry that knows version 3, alias challenger, and no champion."""

    def __init__(self, client: Any, uri: str, name: str) -> None:
        self.client = SimpleNamespace(get_model_version_by_alias=self.by_alias)

    def champion(self) -> Any:
        return None

    def numbered(self, number: str) -> Any:
        return SimpleNamespace(version="3") if number == "3" else None

    def by_alias(self, name: str, alias: str) -> Any:
        from mlflow.exceptions import MlflowException
        from mlflow.protos.databricks_pb2 import INTERNAL_ERROR, RESOURCE_DOES_NOT_EXIST

        if alias == "challenger":
            return self.numbered("3")
        raise MlflowException("x", RESOURCE_DOES_NOT_EXIST if alias == "absent" else INTERNAL_ERROR)

    def weights(self, version: Any, into: Path) -> Path:
        return into / f"of {version.version}"


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setattr(tracking, "mlflow_client", lambda uri: None)
    monkeypatch.setattr(versions, "Registry", Registry)


@pytest.mark.usefixtures("registry")
def test_versions_of_the_registry_are_found() -> None:
    for reference in ("models:/mine@challenger", "models:/mine/3"):
        assert find(reference) == Source("mine", Path(".state/serve/mine-3/of 3"))


@pytest.mark.usefixtures("registry")
@pytest.mark.parametrize(
    ("reference", "told"),
    [
        ("models:/mine@champion", "no such version at http://127.0.0.1:9"),
        ("models:/mine@absent", "no such version"),
        ("models:/mine/4", "no such version"),
        ("models:/mine", "name it models:/NAME@ALIAS"),
        ("models:/mine@broken", "127.0.0.1:9"),  # a failure is none of these
    ],
)
def test_a_version_that_is_not_there_is_told(reference: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        find(reference)


def test_without_tracking_there_is_no_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "none")
    with pytest.raises(UserError, match="MLFLOW_TRACKING_URI is none"):
        find("models:/mine@champion")
