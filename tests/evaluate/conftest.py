"""A tiny checkpoint and benchmark, and a store of replies that is each test's own."""

from dataclasses import asdict
from pathlib import Path

import pytest

from humanvlm.config.loading import Model
from humanvlm.data.shards import write_json
from humanvlm.pipeline.runner import artifact_files

from .small_run import write_inputs


@pytest.fixture(autouse=True)
def predictions(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where replies are kept; empty."""
    folder = tmp_path_factory.mktemp("predictions")
    monkeypatch.setenv("HUMANVLM_PREDICTIONS", str(folder))
    return folder


@pytest.fixture(scope="session")
def checkpoint(tiny_models: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact ``stage2_checkpoint`` of a few thousand weights."""
    from humanvlm.model.build import build_llava

    folder = tmp_path_factory.mktemp("stage2_checkpoint")
    for part in build_llava(Model(**tiny_models, system_prompt="")):
        part.save_pretrained(folder / "model")
    write_json(folder / "report.json", {"outputs": [asdict(file) for file in artifact_files(folder)]})
    return folder


@pytest.fixture(scope="session")
def inputs(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What ``benchmark_scores`` reads."""
    return {"stage2_checkpoint": checkpoint, **write_inputs(tmp_path_factory.mktemp("inputs"))}
