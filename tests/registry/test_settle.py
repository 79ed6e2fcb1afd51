"""What may come between a version and the alias, on real servers: another benchmark, lost files, a lost alias, other
processes, another folder, a door that is locked."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from humanvlm.errors import UserError
from humanvlm.pipeline import tracking
from humanvlm.registry import commands
from humanvlm.registry.decisions import entries
from humanvlm.registry.evaluation import Evaluation, read_evaluation
from humanvlm.registry.lock import promotion_lock
from humanvlm.registry.settle import restore_champion, settle
from humanvlm.registry.versions import CHALLENGER, CHAMPION, Registry, weights_of_folder

from .conftest import gateway
from .made import evaluation
from .test_versions import BASE, BETTER, POLICY, WORSE, add, champion, registry, settled

pytestmark = pytest.mark.slow
__all__ = ["registry"]  # a fixture
BEST = [1.0 if place < 120 else value for place, value in enumerate(BASE)]


def asked_now(folder: Path, right: list[float], asked: list[tuple[str, str]]) -> Callable[[Path, str], Evaluation]:
    """Answers of a champion to the benchmark as it is now; notes whom it asked, by the bytes of its weights."""

    def ask(weights: Path, version: str) -> Evaluation:
        asked.append((version, (weights / "weights").read_text()))
        return read_evaluation(evaluation(folder / f"again-{version}", right, question="And now?"))

    return ask


def delete_files(registry: Registry, number: str) -> None:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    version = registry.numbered(number)
    assert version
    model = registry.client.get_logged_model(version.source.removeprefix("models:/"))
    get_artifact_repository(model.artifact_location, tracking_uri=registry.uri).delete_artifacts()


def settings(registry: Registry, monkeypatch: pytest.MonkeyPatch, uri: str = "") -> tuple[str, ...]:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri or registry.uri)
    return "registered_model.metric=vqa.accuracy", f"registered_model.name={registry.name}"


def test_on_another_benchmark_the_champions_own_weights_are_asked_again(registry: Registry, tmp_path: Path) -> None:
    settled(registry, tmp_path / "first", BETTER)
    version, found = add(registry, tmp_path / "second", BEST, question="And now?")
    asked: list[tuple[str, str]] = []
    # Its old scores would lose to the candidate's; on the new benchmark it is as good.
    done = settle(registry, version, found, POLICY, tmp_path / "work", asked_now(tmp_path, BEST, asked))
    assert asked == [("1", "first")]
    assert not done.decision.promote
    assert "1.0000 against" not in done.decision.reasons[0]
    assert champion(registry) == "1"
    settle(registry, version, found, POLICY, tmp_path / "work", asked_now(tmp_path, BEST, asked))
    assert len(asked) == 1  # what it said is kept with the version


def test_a_champion_whose_files_are_gone_is_not_taken_for_a_vacancy(registry: Registry, tmp_path: Path) -> None:
    settled(registry, tmp_path / "first", BETTER)
    delete_files(registry, "1")
    version, found = add(registry, tmp_path / "worse", WORSE, question="And now?")
    with pytest.raises(UserError, match=r"version 1: its files are gone; restore .*--force-reason TEXT` another$"):
        settle(registry, version, found, POLICY, tmp_path / "work", asked_now(tmp_path, BEST, []))
    assert champion(registry) == "1"
    assert registry.of_weights(weights_of_folder(tmp_path / "first" / "model")) is None  # so it is registered anew
    # On the same benchmark its scores are known: a better one needs no weights of it.
    assert settled(registry, tmp_path / "better", BEST).decision.promote


def test_rolled_back_lost_and_locked(
    registry: Registry, tmp_path: Path, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params, chosen = repo / "humanvlm" / "profiles" / "cpu.yaml", settings(registry, monkeypatch)
    settled(registry, tmp_path / "first", BASE)
    settled(registry, tmp_path / "second", BETTER)
    registry.client.delete_registered_model_alias(registry.name, CHAMPION)
    restore_champion(registry)
    assert champion(registry) == "2"
    assert "version 1 promoted over version 2" in commands.rollback(params, chosen, "it stutters")
    assert champion(registry) == "1"
    assert "it was rolled back (it stutters)" in commands.promote("2", params, chosen)
    registry.client.delete_registered_model_alias(registry.name, CHAMPION)
    settled(registry, tmp_path / "worse", WORSE)  # decides against whom the log names, not against nobody
    assert champion(registry) == "1"
    tags = {"token": "other", "holder": "elsewhere:1"}
    registry.client.create_registered_model(f"{registry.name}-promotion-lock", tags)
    with (
        pytest.raises(UserError, match=r"a promotion by elsewhere:1 .* delete the registered model"),
        promotion_lock(registry.client, registry.name, wait_s=0.1),
    ):
        raise AssertionError("held by another")


def test_two_processes_at_once(registry: Registry, tmp_path: Path, repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = settings(registry, monkeypatch)
    settled(registry, tmp_path / "first", WORSE)
    for name, right in (("second", BASE), ("third", BEST)):
        add(registry, tmp_path / name, right)

    def promote(number: str) -> "subprocess.Popen[str]":
        options = [part for one in chosen for part in ("--set", one)]
        params = repo / "humanvlm" / "profiles" / "cpu.yaml"
        command = [sys.executable, "-m", "humanvlm.cli", "promote", number, "--params", str(params), *options]
        folder = tmp_path / f"process-{number}"
        folder.mkdir()
        return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    running = [promote(number) for number in "32"]
    said = [process.communicate(timeout=300)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0], said
    # Whoever came first: the best is champion, each decision was against the champion of its time, and none is lost.
    assert champion(registry) == "3"
    log = [(one["version"], one["champion"], one["promoted"]) for one in entries(registry)]
    assert log[0] == ("1", None, True)
    assert log[1:] in (
        [("2", "1", True), ("3", "2", True)],
        [("3", "1", True), ("2", "3", False)],
    )


def test_another_folder_goes_on_with_the_same_registry(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled(registry, tmp_path / "first", BASE)
    moved = tmp_path / "moved"
    moved.mkdir()
    monkeypatch.chdir(moved)
    again = Registry(tracking.mlflow_client(registry.uri), registry.uri, registry.name)
    first = again.champion()
    assert first
    assert (again.weights(first, moved / "w") / "weights").read_text() == "first"
    assert again.recorded(first, moved / "e") is not None
    assert settled(again, tmp_path / "second", BETTER).before == "1"
    assert [one["version"] for one in entries(again)] == ["1", "2"]


def test_a_server_that_wants_a_password(
    registry: Registry, tmp_path: Path, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled(registry, tmp_path / "first", BASE)
    add(registry, tmp_path / "second", BETTER)
    registry.client.set_registered_model_alias(registry.name, CHALLENGER, "2")
    params = repo / "humanvlm" / "profiles" / "cpu.yaml"
    for name in ("USERNAME", "PASSWORD", "TOKEN"):
        monkeypatch.delenv(f"MLFLOW_TRACKING_{name}", raising=False)
    with gateway(registry.uri) as front:
        front.users = {"reader": "0pen", "owner": "s3same"}
        front.readers = {"reader"}
        address = front.address.removeprefix("http://")
        remedy = r"^MLflow at http://[^\n@]*; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        for user in ("", "owner:wrong@", "reader:0pen@"):
            for name in ("USERNAME", "PASSWORD"):
                os.environ.pop(f"MLFLOW_TRACKING_{name}", None)
            chosen = settings(registry, monkeypatch, f"http://{user}{address}")
            with pytest.raises(UserError, match=remedy) as raised:
                commands.promote(None, params, chosen)
            assert not any(secret in str(raised.value) for secret in ("0pen", "s3same", "wrong"))
            assert champion(registry) == "1"
        for name in ("USERNAME", "PASSWORD"):
            os.environ.pop(f"MLFLOW_TRACKING_{name}", None)
        chosen = settings(registry, monkeypatch, f"http://owner:s3same@{address}")
        assert "version 2 promoted over version 1" in commands.promote(None, params, chosen)
        for name in ("USERNAME", "PASSWORD"):
            os.environ.pop(f"MLFLOW_TRACKING_{name}", None)
    assert champion(registry) == "2"
    kept = [path.read_text() for path in (tmp_path / ".state").rglob("*") if path.is_file() and path.suffix != ".db"]
    told = [str(version.tags) + str(version.source) for version in registry.client.search_model_versions("")]
    assert not any("s3same" in text for text in (*kept, *told, str(entries(registry))))


def test_files_are_looked_for_in_the_registry_that_is_meant(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not in that of the environment, in a process that has not registered anything itself."""
    settled(registry, tmp_path / "first", BASE)
    code = f"""
from pathlib import Path
from humanvlm.pipeline import tracking
from humanvlm.registry.versions import Registry
registry = Registry(tracking.mlflow_client({registry.uri!r}), {registry.uri!r}, {registry.name!r})
print((registry.weights(registry.champion(), Path("w")) / "weights").read_text())
"""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = subprocess.run([sys.executable, "-c", code], cwd=elsewhere, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "first"), done.stderr[-2000:]
    assert not (elsewhere / "mlflow.db").exists()
