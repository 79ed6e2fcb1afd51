"""dvc.yaml is what the table of stages says, and a user's own stages stay in it."""

from pathlib import Path

import pytest
import yaml

from humanvlm.config.loading import ConfigError, Params
from humanvlm.config.profiles import completed
from humanvlm.errors import UserError
from humanvlm.pipeline.dvc_yaml import definition, rewritten, write
from humanvlm.pipeline.stages import STAGES, Stage

COMMITTED = (Path(__file__).parents[2] / "dvc.yaml").read_text()
PARAMS = (Path(__file__).parents[2] / "params.yaml").read_text()
OWN = """
  # Ours: pictures for the talk.
  talk:
    cmd: python talk.py  # slow
    deps: [artifacts/human_caption]

    outs: [talk.html]
"""


def test_the_committed_file_is_as_the_table_says() -> None:
    assert rewritten(COMMITTED) == COMMITTED, "run `make stages`"
    stages = yaml.safe_load(COMMITTED)["stages"]
    assert {name: stages[name] for name in STAGES} == {name: definition(stage) for name, stage in STAGES.items()}


def test_the_committed_parameters_have_every_section() -> None:
    assert completed(PARAMS, Path("params.yaml")) == PARAMS, "run `make stages`"


def test_outputs_persist_so_that_a_killed_stage_resumes() -> None:
    for name, stage in yaml.safe_load(COMMITTED)["stages"].items():
        assert stage["outs"] == [{f"artifacts/{name}": {"persist": True}}]


def test_declared_code_is_there() -> None:
    folder = Path(__file__).parents[2]
    named = [dep for stage in STAGES.values() for dep in definition(stage)["deps"] if dep.startswith("humanvlm/")]
    assert [dep for dep in named if not (folder / dep).exists()] == []


def test_what_a_user_added_stays() -> None:
    mine = COMMITTED.replace("\nmetrics:", f"{OWN}\n# What to compare\nmetrics:").replace(
        "  persist: true", "  cache: no"
    )
    text = rewritten(mine)
    assert OWN.strip("\n") in text
    assert "\n# What to compare\nmetrics:" in text
    assert list(yaml.safe_load(text)["stages"]) == [*STAGES, "talk"]
    assert yaml.safe_load(text)["plots"] == yaml.safe_load(COMMITTED)["plots"]
    assert rewritten(text) == text
    assert "cache: no" not in text


def test_a_stage_put_first_by_a_user_comes_after_the_tables() -> None:
    text = rewritten(COMMITTED.replace("stages:\n", f"stages:{OWN}", 1))
    assert list(yaml.safe_load(text)["stages"]) == [*STAGES, "talk"]


def test_a_new_stage_of_the_table_is_written() -> None:
    extra = Stage(
        name="extra",
        help="More: of it.",
        module="m",
        inputs={"data": "data"},
        sections=("stage1_checkpoint",),
        code=("a.py",),
        layer="dataset",
        honours_tombstones=True,
    )
    stages = yaml.safe_load(rewritten(COMMITTED, {**STAGES, "extra": extra}))["stages"]
    assert stages["extra"] == {
        "desc": "More: of it.",
        "cmd": "humanvlm extra",
        "deps": ["data", "tombstones.csv", "humanvlm/a.py"],
        "params": [
            "stage1_checkpoint",
            {"humanvlm/config/stage1_checkpoint.py": ["Stage1"]},
            {"humanvlm/config/training.py": ["Training"]},
        ],
        "outs": [{"artifacts/extra": {"persist": True}}],
        "meta": {"layer": "dataset"},
    }


def test_a_file_without_stages_is_named() -> None:
    with pytest.raises(UserError, match="no line `stages:`"):
        rewritten("plots: []\n")


def test_sections_are_appended_to_the_parameters_beside_it(tmp_path: Path) -> None:
    (tmp_path / "dvc.yaml").write_text("stages:\n")
    write(tmp_path / "dvc.yaml")
    assert not (tmp_path / "params.yaml").exists()
    (tmp_path / "params.yaml").write_text("# Mine\nraw_scrape: {retries: 3}  # slow\n")
    write(tmp_path / "dvc.yaml")
    text = (tmp_path / "params.yaml").read_text()
    assert text.startswith("# Mine\nraw_scrape: {retries: 3}  # slow\nhuman_scenes: {}\n")
    assert set(yaml.safe_load(text)) == set(Params.model_fields) - {"profile"}
    assert {key for stage in STAGES.values() for key in stage.sections} <= set(yaml.safe_load(text))


def test_wrong_parameters_leave_both_files_as_they_were(tmp_path: Path) -> None:
    (tmp_path / "dvc.yaml").write_text("stages:\n")
    (tmp_path / "params.yaml").write_text("raw_scrap: {}\n")
    with pytest.raises(ConfigError, match="unknown key 'raw_scrap'"):
        write(tmp_path / "dvc.yaml")
    assert (tmp_path / "dvc.yaml").read_text() == "stages:\n"
    assert (tmp_path / "params.yaml").read_text() == "raw_scrap: {}\n"
