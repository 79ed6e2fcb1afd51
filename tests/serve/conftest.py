"""One server of a tiny model for the tests that leave it as it was."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from .running import Running, running


@pytest.fixture(scope="session")
def folder(checkpoint: Path) -> Path:
    """The checkpoint of a tiny model."""
    return checkpoint / "model"


@pytest.fixture(scope="session")
def tiny_server(folder: Path) -> Iterator[Running]:
    with running(folder) as found:
        yield found
