"""What a stage declares is what its module reaches: no more, no less; and the checker finds what is planted."""

from pathlib import Path

import pytest

from humanvlm.pipeline.closure import closure, superfluous, undeclared
from humanvlm.pipeline.stages import STAGES

pytestmark = pytest.mark.slow

CODE = {name: stage.code for name, stage in STAGES.items() if stage.code is not None}
FILES = {
    "__init__.py": "import os",
    "errors.py": "",
    "pipeline/runner.py": "import pack.room.unused",
    "room/__init__.py": "",
    "room/stage.py": "import pack.pipeline.runner\nfrom pack.room import helper\nNAMES = 'words.yaml'",
    "room/helper.py": "def f():\n    from pack.data.rows import g\n    return g",
    "room/unused.py": "",
    "room/words.yaml": "a: 1",
    "data/rows.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from pack.data.types import T\n"
    "else:\n    from .other import T",
    "data/types.py": "T = int",
    "data/other.py": "WORKER = 'pack.data.worker'\nCOPY = 'served.py'",
    "data/worker.py": "",
    "data/served.py": "import json, numpy",
}
REACHED = {
    *("room/stage.py", "room/helper.py", "room/words.yaml"),
    *("data/rows.py", "data/other.py", "data/worker.py", "data/served.py"),
}


@pytest.mark.parametrize("name", CODE)
def test_what_is_reached_is_declared(name: str) -> None:
    assert undeclared(STAGES[name].module, CODE[name]) == [], f"{name}: declare them in humanvlm/pipeline/stages.py"


@pytest.mark.parametrize("name", CODE)
def test_what_is_declared_is_reached(name: str) -> None:
    assert superfluous(STAGES[name].module, CODE[name]) == [], f"{name}: not reached; declare what is, file by file"


def test_only_the_crawl_is_not_repeated_for_its_code() -> None:
    assert STAGES.keys() - CODE.keys() == {"raw_scrape"}


def test_generation_code_is_of_those_who_ask_models() -> None:
    makers = {name for name, stage in STAGES.items() if "inference/generate.py" in closure(stage.module)}
    training = {"stage1_checkpoint", "stage2_checkpoint"}  # what it says as it learns is a page
    assert makers == {"human_caption", "human_caption_hq", "benchmark_scores", "registered_model"} | training


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / "pack" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "pack" / name).write_text(text)
    return tmp_path / "pack"


def test_a_closure_follows_calls_names_and_data_but_not_types(pack: Path) -> None:
    assert closure("pack.room.stage", pack) == REACHED
    with pytest.raises(ModuleNotFoundError, match=r"pack\.room\.missing"):
        closure("pack.room.missing", pack)


@pytest.mark.parametrize(
    "line",
    [
        "import pack.planted",
        "from pack import planted",
        "def f():\n    import pack.planted as p",
        "async def f():\n    if True:\n        from pack.planted import x",
        "try:\n    from .. import planted\nexcept ImportError: pass",
        "MODULE = 'pack.planted'",
    ],
)
def test_a_planted_import_is_found(pack: Path, line: str) -> None:
    (pack / "planted.py").write_text("x = 1")
    helper = pack / "room" / "helper.py"
    helper.write_text(f"{helper.read_text()}\n{line}\n")
    assert undeclared("pack.room.stage", sorted(REACHED), pack) == ["planted.py"]


def test_a_package_that_names_are_joined_to_is_reached_whole(pack: Path) -> None:
    (pack / "plugins").mkdir()
    (pack / "plugins" / "one.py").write_text("x = 1")
    helper = pack / "room" / "helper.py"
    helper.write_text(f"{helper.read_text()}\nPLUGINS = 'pack.plugins.'\n")
    assert undeclared("pack.room.stage", sorted(REACHED), pack) == ["plugins/one.py"]


def test_a_planted_data_file_is_found(pack: Path) -> None:
    (pack / "data" / "models.json").write_text("{}")
    (pack / "data" / "worker.py").write_text("from importlib.resources import files\nfiles('pack') / 'models.json'")
    assert undeclared("pack.room.stage", sorted(REACHED), pack) == ["data/models.json"]


@pytest.mark.parametrize(
    ("planted", "found"),
    [
        ("room", ["room/unused.py"]),
        ("data/types.py", ["data/types.py"]),
        ("gone", ["gone"]),
        ("errors.py", ["errors.py"]),
    ],
)
def test_a_planted_declaration_is_found(pack: Path, planted: str, found: list[str]) -> None:
    assert superfluous("pack.room.stage", [*sorted(REACHED), planted], pack) == found
