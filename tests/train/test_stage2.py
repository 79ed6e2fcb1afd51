"""What stage 2 refuses before anything is computed."""

from pathlib import Path

import pytest

from humanvlm.config.loading import Params
from humanvlm.data.atomic_io import write_json
from humanvlm.errors import UserError
from humanvlm.pipeline.contract import StageRun
from humanvlm.pipeline.stages import STAGES
from humanvlm.train.stage2 import make


def test_the_authors_728_is_refused_before_stage_1_is_looked_at(tiny_models: dict[str, str], tmp_path: Path) -> None:
    params = Params.model_validate({"model": {**tiny_models, "drop_first_patch": True}})
    inputs = {"stage1_checkpoint": tmp_path / "absent"}
    with pytest.raises(UserError, match=r"^stage2_checkpoint: .*728 of 729.* set model\.drop_first_patch to false"):
        make(StageRun(STAGES["stage2_checkpoint"], params, inputs, tmp_path / "out"))
    assert list(tmp_path.iterdir()) == []


def test_words_go_on_from_those_of_stage_1(tiny_models: dict[str, str], tmp_path: Path) -> None:
    params = Params.model_validate({"model": tiny_models, "stage2_checkpoint": {"word_steps": 10}})
    config = {"model": params.model.model_dump(mode="json"), "stage1_checkpoint": {"word_steps": 0}}
    write_json(tmp_path / "stage1" / "report.json", {"config": config})
    with pytest.raises(UserError, match=r"word_steps adds to the words of stage 1, but .*stage1 was trained without"):
        make(
            StageRun(STAGES["stage2_checkpoint"], params, {"stage1_checkpoint": tmp_path / "stage1"}, tmp_path / "out")
        )
