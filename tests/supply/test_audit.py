"""The audit: this project passes, and each kind of fault is a line that names its row."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from humanvlm.supply.audit import COMPOSE, HASHED, UNHASHED, audit, models_of_profiles, weights
from humanvlm.weights.catalog import Licence, model_entry


@pytest.fixture
def project(repo: Path, tmp_path: Path) -> Path:
    """What the audit reads of the project."""
    (tmp_path / "mlflow").mkdir()
    for name in (*HASHED, *UNHASHED, COMPOSE, "pyproject.toml"):
        shutil.copy(repo / name, tmp_path / name)
    return tmp_path


def test_the_project_has_no_fault(project: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "humanvlm.supply.audit"], cwd=project, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("audit: 0 problems; ")


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("requirements.lock", "numpy==", "numpy>=", r"requirements\.lock:\d+: numpy>=.*: not one version"),
        ("requirements.lock", "--only-binary", "weighty==1\n--only-binary", r"weighty: no sha256; run `make lock`"),
        ("requirements-torch.txt", "torch==", "torch>=", r"requirements-torch\.txt:3: torch>=.*: not one version"),
        ("requirements-torch.txt", "torch==", "weighty==1\ntorch==", r":3: weighty: no licence is known; .*s\.yaml"),
        ("pyproject.toml", '"pillow>=13.0"', '"pillow>=999"', r"pillow>=999: locked is \d.*; run `make lock`"),
        ("pyproject.toml", '"pillow>=13.0"', '"weighty"', r"weighty: locked is none; run `make lock`"),
        (COMPOSE, "postgres:17-alpine@", "postgres:17-alpine # ", r"compose\.yaml:6: postgres:17-alpine: no digest"),
        (COMPOSE, "FROM python:3.11-slim@", "FROM python:3.11-slim # ", r"python:3\.11-slim: no digest"),
    ],
)  # fmt: skip
def test_a_fault_names_its_row(project: Path, file: str, old: str, new: str, message: str) -> None:
    text = (project / file).read_text()
    assert old in text
    (project / file).write_text(text.replace(old, new, 1))
    with pytest.raises(AssertionError, match=message):
        assert "\n".join(audit(project)) == ""


def test_a_licence_that_is_not_allowed_is_named(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("humanvlm.supply.audit.licence_of", lambda name: "AGPL-3.0-only" if name == "dvc" else "MIT")
    (found,) = audit(project)
    assert "dvc: AGPL-3.0-only is not allowed" in found


def test_weights_without_a_licence_are_known_or_a_fault() -> None:
    silent, stated = model_entry("movenet-lightning"), model_entry("open-nsfw")
    assert list(weights([silent, stated])) == []
    changed = [
        silent.model_copy(update={"licence": stated.licence}),
        stated.model_copy(update={"licence": silent.licence}),
        stated.model_copy(update={"licence": Licence(code="MIT", weights=" ")}),
    ]
    first, second, third = weights(changed)
    assert "movenet-lightning: licences.yaml says otherwise" in first
    assert "open-nsfw: licences.yaml says otherwise" in second
    assert "open-nsfw: no licence of its weights" in third


def test_a_profile_names_no_model_that_can_change(tmp_path: Path) -> None:
    for name, tower in {
        "a": "org/tower",
        "b": f"org/tower@{'0' * 40}",
        "c": "mobilenet-v2-imagenet",
        "d": "org/t@main",
    }.items():
        (tmp_path / f"{name}.yaml").write_text(f"model: {{vision_tower: {tower}}}")
    first, second = models_of_profiles(tmp_path)
    assert "a.yaml: org/tower: not pinned" in first
    assert "d.yaml: org/t@main: not pinned" in second


def test_a_folder_without_locks_is_one_line(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "humanvlm.supply.audit"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "requirements.lock: No such file or directory; run this in the project's folder" in done.stderr
