"""Shared fixtures: tracking off, no network, and the photographs beside the checkout when they are there."""

import os
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import settings

os.environ.setdefault("MLFLOW_TRACKING_URI", "none")
os.environ.setdefault(
    "HF_HUB_OFFLINE", "1"
)  # libraries read it when they are imported, and else look names up for long
# Time on a busy machine says nothing about an example. The same examples each time, so that a change fails for what it
# did; HUMANVLM_EXPLORE=1 looks at others, and at more.
EXPLORES = "HUMANVLM_EXPLORE" in os.environ
settings.register_profile("humanvlm", deadline=None, derandomize=not EXPLORES, max_examples=500 if EXPLORES else 40)
settings.load_profile("humanvlm")

REPO = Path(__file__).parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Modules with slow tests first, so that none is left to one worker at the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(scope="session")
def repo() -> Path:
    """The root of the checkout."""
    return REPO


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real photographs and reference scores; tests that need them skip where they are absent."""
    folder = REPO.parent / "shared"
    if not folder.is_dir():
        pytest.skip("needs ../shared (photographs and reference scores), which is not part of the project")
    return folder


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """``language_model`` and ``vision_tower``: folders of real architectures with a few thousand random weights."""
    from . import tiny

    folder = tmp_path_factory.mktemp("tiny")
    return {
        "language_model": tiny.save_language_model(folder / "llm"),
        "vision_tower": tiny.save_vision_tower(folder / "tower"),
    }


@pytest.fixture(scope="session")
def checkpoint(tiny_models: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact ``stage2_checkpoint`` of a few thousand weights."""
    from humanvlm.config.model import Model
    from humanvlm.data.atomic_io import write_json
    from humanvlm.model.build import build_llava
    from humanvlm.pipeline.contract import artifact_files

    folder = tmp_path_factory.mktemp("stage2_checkpoint")
    for part in build_llava(Model(**tiny_models, system_prompt="")):
        part.save_pretrained(folder / "model")
    write_json(folder / "report.json", {"outputs": [asdict(file) for file in artifact_files(folder)]})
    return folder


@pytest.fixture(scope="session")
def inputs(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What ``benchmark_scores`` reads."""
    from .evaluate.small_run import write_inputs

    return {"stage2_checkpoint": checkpoint, **write_inputs(tmp_path_factory.mktemp("inputs"))}
