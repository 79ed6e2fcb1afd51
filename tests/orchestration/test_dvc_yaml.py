"""dvc.yaml and the library's stage table say the same."""

from pathlib import Path

import pytest

from humanvlm.errors import UserError
from humanvlm.pipeline.stages import STAGES
from orchestration.dvc_graph import load_graph

REPO = Path(__file__).parents[2]
GRAPH = load_graph(REPO)


def test_same_stages_in_the_same_order():
    assert list(GRAPH.stages) == list(STAGES)


@pytest.mark.parametrize("name", STAGES)
def test_stage_agrees(name):
    node, stage = GRAPH.stages[name], STAGES[name]
    data = {path for path in (*node.inputs.values(), *node.code) if path == "data" or path.startswith("artifacts/")}
    assert node.cmd == f"humanvlm {name}"
    assert data == set(stage.inputs.values())
    assert node.sections == stage.sections
    assert node.out == stage.out


@pytest.mark.parametrize("name", STAGES)
def test_code_dependencies_agree_and_hold_the_stage_module(name):
    code = {path for path in GRAPH.stages[name].code if path != "data"}
    room = STAGES[name].module.rsplit(".", 1)[0].replace(".", "/")
    takedowns = {"tombstones.csv"} if STAGES[name].honours_tombstones else set()
    assert code == {f"humanvlm/{path}" for path in STAGES[name].code} | takedowns
    assert room in code or name == "raw_scrape"
    assert all((REPO / path).exists() for path in code)


@pytest.mark.parametrize("name", STAGES)
def test_outputs_persist_so_that_a_killed_stage_resumes(name):
    import yaml

    (out,) = yaml.safe_load((REPO / "dvc.yaml").read_text())["stages"][name]["outs"]
    assert out == {STAGES[name].out: {"persist": True}}


def test_a_folder_without_dvc_yaml_is_named(tmp_path):
    with pytest.raises(UserError, match=r"no dvc\.yaml"):
        load_graph(tmp_path)


def test_a_stage_with_two_outputs_is_named(tmp_path):
    (tmp_path / "dvc.yaml").write_text("stages: {odd: {cmd: x, outs: [a, b]}}\n")
    with pytest.raises(UserError, match="'odd' needs one cmd and one output"):
        load_graph(tmp_path)
