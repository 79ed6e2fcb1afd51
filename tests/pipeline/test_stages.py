"""The table of stages: whole, in order, and the only one."""

from pathlib import Path

import pytest

from humanvlm.config.loading import Params
from humanvlm.pipeline.stages import STAGES

PACKAGE = Path(__file__).parents[2] / "humanvlm"


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_reads_what_stages_before_it_made(name: str) -> None:
    before = {stage.out for stage in list(STAGES.values())[: list(STAGES).index(name)]}
    assert {path for path in STAGES[name].inputs.values() if path != "data"} <= before


@pytest.mark.parametrize("name", STAGES)
def test_sections_and_module_exist(name: str) -> None:
    stage = STAGES[name]
    assert name in stage.sections
    assert set(stage.sections) <= set(Params.model_fields)
    assert (PACKAGE.parent / f"{stage.module.replace('.', '/')}.py").is_file()
