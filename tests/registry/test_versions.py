"""The registry asked over HTTP, as `mlflow server` answers on SQLite and on Postgres."""

from itertools import count
from pathlib import Path
from typing import Any

import pytest

from humanvlm.config.registered_model import RegisteredModel
from humanvlm.errors import UserError
from humanvlm.pipeline import tracking
from humanvlm.registry.evaluation import Evaluation, read_evaluation
from humanvlm.registry.settle import Settled, settle
from humanvlm.registry.versions import Registry, weights_of_folder

from .conftest import Gateway, gateway
from .made import answers, evaluation, wrapper

pytestmark = pytest.mark.slow
POLICY = RegisteredModel(metric="vqa.accuracy")
NAMES = count()
BASE = answers(0.5)
BETTER = [1.0 if place < 60 else value for place, value in enumerate(BASE)]
WORSE = [0.0 if place < 60 else value for place, value in enumerate(BASE)]


@pytest.fixture
def registry(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """A registered model of its own, empty."""
    monkeypatch.chdir(tmp_path)
    return Registry(tracking.mlflow_client(server), server, f"model-{next(NAMES)}")


def checkpoint(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "weights").write_text(text)
    return folder


def add(registry: Registry, folder: Path, right: list[float], **options: Any) -> tuple[Any, Evaluation]:
    """Another version with its evaluation, not decided on."""
    model = checkpoint(folder / "model", folder.name)
    found = read_evaluation(evaluation(folder / "scores", right, **options))
    version = registry.register(model, wrapper(folder), {"sha256": weights_of_folder(model)}, "card", "about")
    return registry.record(version, found), found


def settled(registry: Registry, folder: Path, right: list[float], **options: Any) -> Settled:
    version, found = add(registry, folder, right, **options)
    return settle(registry, version, found, POLICY, folder / "work", never)


def never(weights: Path, version: str) -> Evaluation:
    raise AssertionError(f"version {version} was asked again")


def champion(registry: Registry) -> str | None:
    found = registry.champion()
    return None if found is None else str(found.version)


def test_first_better_within_noise_and_worse_in_a_slice(registry: Registry, tmp_path: Path) -> None:
    parts = ["day"] * 160 + ["night"] * 40
    assert champion(registry) is None
    assert settled(registry, tmp_path / "first", BASE, parts=parts).decision.promote
    assert champion(registry) == "1"
    assert settled(registry, tmp_path / "better", BETTER, parts=parts).decision.promote
    assert champion(registry) == "2"
    nearly = [1.0 if place in (61, 62, 63) else value for place, value in enumerate(BETTER)]
    noise = settled(registry, tmp_path / "noise", nearly, parts=parts)
    assert not noise.decision.promote
    assert noise.aliases == ("challenger",)
    uneven = [1.0] * 160 + [0.0] * 40
    slice_lost = settled(registry, tmp_path / "uneven", uneven, parts=parts)
    assert ["part=night" in reason for reason in slice_lost.decision.reasons] == [True]
    assert champion(registry) == "2"


def test_a_lookup_that_fails_is_no_vacancy(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settled(registry, tmp_path / "first", BETTER)
    version, found = add(registry, tmp_path / "worse", WORSE)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    with gateway(registry.uri) as front:
        behind = Registry(tracking.mlflow_client(front.address), front.address, registry.name)
        front.match = "registered-models/alias"
        for front.status in (403, 404, 500, 0):
            front.seen.clear()
            with (
                pytest.raises(UserError, match=rf"^MLflow at {front.address}: [^\n]+$"),
                tracking.failing_in_one_line(front.address),
            ):
                settle(behind, version, found, POLICY, tmp_path / "work", never)
            assert asked_for_the_alias(front)
    assert champion(registry) == "1"


def asked_for_the_alias(front: Gateway) -> bool:
    return any("alias=champion" in path for path in front.seen)
