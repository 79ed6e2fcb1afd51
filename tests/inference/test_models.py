"""Models under test by their names."""

from pathlib import Path

import pytest

from humanvlm.config.benchmark_scores import BenchmarkScores
from humanvlm.errors import UserError
from humanvlm.inference.endpoint import Server
from humanvlm.inference.local import Local
from humanvlm.inference.models import open_model


def test_a_model_is_picked_by_name(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert open_model(BenchmarkScores(batch_size=3), checkpoint) == Local(checkpoint, "float32", 3)
    named = BenchmarkScores(model="endpoint", endpoint={"url": "http://h/v1", "model": "m"})
    assert isinstance(open_model(named, checkpoint), Server)
    for wrong in ("", "checkpiont", "hub:", "hub", "endpoint:x"):
        with pytest.raises(UserError, match=r"benchmark_scores\.model: .* is no model; known: checkpoint, hub:"):
            open_model(BenchmarkScores(model=wrong), checkpoint)
    with pytest.raises(UserError, match="no checkpoint"):
        _ = open_model(BenchmarkScores(model=f"hub:{tmp_path}"), checkpoint).identity
    monkeypatch.setenv("HUMANVLM_HUB", "")  # the user decided
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="hub model 'nobody/nothing': not in the local cache") as error:
        open_model(BenchmarkScores(model="hub:nobody/nothing"), checkpoint)
    assert "\n" not in str(error.value)


def test_only_our_own_model_needs_a_checkpoint_of_ours(checkpoint: Path, tmp_path: Path) -> None:
    other = BenchmarkScores(model=f"hub:{checkpoint / 'model'}")
    assert "config.json" in open_model(other, tmp_path / "absent").identity["files"]
    endpoint = BenchmarkScores(model="endpoint", endpoint={"url": "http://h/v1", "model": "m"})
    assert open_model(endpoint, tmp_path / "absent").identity["kind"] == "endpoint"
    with pytest.raises(UserError, match="run `humanvlm stage2_checkpoint`"):
        _ = open_model(BenchmarkScores(), tmp_path / "absent").identity
