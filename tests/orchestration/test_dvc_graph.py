"""The graph that Dagster shows is that of dvc.yaml."""

from pathlib import Path

import pytest

from humanvlm.errors import UserError
from humanvlm.pipeline.stages import STAGES
from orchestration.dvc_graph import load_graph

GRAPH = load_graph(Path(__file__).parents[2])


def test_same_stages_in_the_same_order() -> None:
    assert list(GRAPH.stages) == list(STAGES)


@pytest.mark.parametrize("name", STAGES)
def test_stage_agrees(name: str) -> None:
    node, stage = GRAPH.stages[name], STAGES[name]
    takedowns = ["tombstones.csv"] if stage.honours_tombstones else []
    assert node.cmd == f"humanvlm {name}"
    assert set(node.inputs.values()) == set(stage.read)
    assert list(node.code) == takedowns + [f"humanvlm/{path}" for path in stage.code or ()]
    assert node.sections == stage.sections
    assert (node.out, node.description, node.compute) == (stage.out, stage.help, stage.compute)


def test_a_folder_without_dvc_yaml_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no dvc\.yaml"):
        load_graph(tmp_path)


def test_a_stage_with_two_outputs_is_named(tmp_path: Path) -> None:
    (tmp_path / "dvc.yaml").write_text("stages: {odd: {cmd: x, outs: [a, b]}}\n")
    with pytest.raises(UserError, match="'odd' needs one cmd and one output"):
        load_graph(tmp_path)
