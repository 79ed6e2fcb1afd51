"""Models by their names."""

from pathlib import Path
from typing import Any

import pytest

from humanvlm.config.endpoint import Endpoint
from humanvlm.errors import UserError
from humanvlm.inference.base import Model
from humanvlm.inference.endpoint import Server
from humanvlm.inference.local import Local
from humanvlm.inference.models import open_model

SERVER = Endpoint(url="http://h/v1", model="m")


def opened(name: str, checkpoint: Path | None, section: str = "benchmark_scores", **more: Any) -> Model:
    return open_model(name, SERVER, section, checkpoint=checkpoint, **more)


def test_a_model_is_picked_by_name(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert opened("checkpoint", checkpoint, batch_size=3) == Local(checkpoint, "float32", 3)
    assert opened(f"checkpoint:{checkpoint}", None, "human_caption") == Local(checkpoint)
    assert isinstance(opened("endpoint", checkpoint), Server)
    for wrong in ("", "checkpiont", "hub:", "hub", "endpoint:x"):
        with pytest.raises(UserError, match=r"benchmark_scores\.model: .* is no model; known: checkpoint, .*, hub:"):
            opened(wrong, checkpoint)
    with pytest.raises(UserError, match=r"human_caption\.model: 'checkpoint' is no model; known: checkpoint:FOLDER"):
        opened("checkpoint", None, "human_caption")
    with pytest.raises(UserError, match="no checkpoint"):
        _ = opened(f"hub:{tmp_path}", checkpoint).identity
    monkeypatch.setenv("HUMANVLM_HUB", "")  # the user decided
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="hub model 'nobody/nothing': not in the local cache") as error:
        opened("hub:nobody/nothing", checkpoint)
    assert "\n" not in str(error.value)


def test_only_our_own_model_needs_a_checkpoint_of_ours(checkpoint: Path, tmp_path: Path) -> None:
    assert "config.json" in opened(f"hub:{checkpoint / 'model'}", tmp_path / "absent").identity["files"]
    assert opened("endpoint", tmp_path / "absent").identity["kind"] == "endpoint"
    with pytest.raises(UserError, match="run `humanvlm stage2_checkpoint`"):
        _ = opened("checkpoint", tmp_path / "absent").identity
