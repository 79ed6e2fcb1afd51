"""`humanvlm promote` and `rollback`, two at once, and a lost alias, on a registry in SQLite."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from humanvlm.errors import UserError
from humanvlm.pipeline import tracking
from humanvlm.registry import commands
from humanvlm.registry.decisions import entries
from humanvlm.registry.evaluation import read_evaluation
from humanvlm.registry.lock import promotion_lock
from humanvlm.registry.settle import restore_champion
from humanvlm.registry.versions import CHALLENGER, CHAMPION, Registry, weights_of_folder

from .made import answers, evaluation, wrapper

BASE = answers(0.5)
SET = ("registered_model.metric=vqa.accuracy",)


def add(registry: Registry, folder: Path, right: list[float]) -> Any:
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "weights").write_text(folder.name)
    tags = {"sha256": weights_of_folder(folder / "model")}
    version = registry.register(folder / "model", wrapper(folder), tags, "card", "about")
    registry.client.set_registered_model_alias(registry.name, CHALLENGER, version.version)
    return registry.record(version, read_evaluation(evaluation(folder / "scores", right)))


def test_by_hand_back_again_and_with_the_alias_gone(
    tmp_path: Path, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    params = repo / "humanvlm" / "profiles" / "cpu.yaml"
    registry = Registry(tracking.mlflow_client(uri), uri, "humanvlm")

    def champion() -> str:
        return str(registry.client.get_model_version_by_alias("humanvlm", CHAMPION).version)

    with pytest.raises(UserError, match="no version has the alias 'challenger'; run `humanvlm registered_model`"):
        commands.promote(None, params, SET)
    add(registry, tmp_path / "one", BASE)
    assert "would be promoted" in commands.promote(None, params, SET, dry_run=True)
    assert registry.champion() is None
    assert "version 1 promoted: there is no champion" in commands.promote(None, params, SET)
    with pytest.raises(UserError, match="version 1: it replaced none"):
        commands.rollback(params, SET, "why")

    add(registry, tmp_path / "two", [0.0 if place < 60 else value for place, value in enumerate(BASE)])
    assert "version 2 not promoted over version 1" in commands.promote(None, params, SET)
    assert "promoted over version 1: forced: a demo" in commands.promote("2", params, SET, force_reason="a demo")
    assert champion() == "2"
    assert commands.promote("2", params, SET) == commands.promote("2", params, SET, dry_run=True)
    assert commands.promote("2", params, SET) == "version 2 is the champion already"
    registry.client.delete_registered_model_alias("humanvlm", CHAMPION)
    assert "a gain of" in commands.promote("1", params, SET, dry_run=True)  # over version 2, by the log
    assert registry.champion() is None
    restore_champion(registry)
    assert champion() == "2"
    assert "version 1 promoted over version 2: rolled back from version 2: bad" in commands.rollback(params, SET, "bad")
    assert champion() == "1"
    assert "it was rolled back (bad)" in commands.promote("2", params, SET)
    assert [(one["version"], one["promoted"]) for one in entries(registry)] == [
        ("1", True),
        ("2", False),
        ("2", True),
        ("1", True),
        ("2", False),
    ]
    one_at_a_time(registry)


def one_at_a_time(registry: Registry) -> None:
    """Of processes that hold the lock, one is inside at any time; a lock that is not freed is named."""
    inside, most = [0], [0]

    def enter(_: int) -> None:
        with promotion_lock(registry.client, registry.name):
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            registry.client.search_registered_models()
            inside[0] -= 1

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(enter, range(6)))
    assert most == [1]
    tags = {"token": "other", "holder": "elsewhere:1"}
    registry.client.create_registered_model("humanvlm-promotion-lock", tags)
    with (
        pytest.raises(UserError, match=r"a promotion by elsewhere:1 .* delete the registered model 'humanvlm-prom"),
        promotion_lock(registry.client, registry.name, wait_s=0.1),
    ):
        raise AssertionError("held by another")
