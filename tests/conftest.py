"""Shared fixtures: tracking off, no network, and the photographs beside the checkout when they are there."""

import os
import sys
from pathlib import Path

import pytest

os.environ.setdefault("MLFLOW_TRACKING_URI", "none")

REPO = Path(__file__).parents[1]


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
    sys.path.insert(0, str(Path(__file__).parent))
    import tiny

    folder = tmp_path_factory.mktemp("tiny")
    return {
        "language_model": tiny.save_language_model(folder / "llm"),
        "vision_tower": tiny.save_vision_tower(folder / "tower"),
    }
