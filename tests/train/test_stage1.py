"""What stage 1 says before it trains."""

from pathlib import Path

import pytest

from humanvlm.config.loading import Params
from humanvlm.pipeline.contract import Counts, Outcome, StageRun
from humanvlm.pipeline.stages import STAGES
from humanvlm.train import stage1


def test_a_run_for_parity_is_warned_of_stage_2(
    tiny_models: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(stage1, "train", lambda run: Outcome(Counts()))
    for drops in (True, False):
        caplog.clear()
        params = Params.model_validate({"model": {**tiny_models, "drop_first_patch": drops}})
        assert stage1.make(StageRun(STAGES["stage1_checkpoint"], params, {}, tmp_path)) == Outcome(Counts())
        assert ("for parity alone, which stage2_checkpoint refuses" in caplog.text) is drops
