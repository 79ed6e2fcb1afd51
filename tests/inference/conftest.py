"""A store of replies that is each test's own."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def predictions(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where replies are kept; empty."""
    folder = tmp_path_factory.mktemp("predictions")
    monkeypatch.setenv("HUMANVLM_PREDICTIONS", str(folder))
    return folder
