"""Shared fixtures: tracking off, no network, and the photographs beside the checkout when they are there."""

import os
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
