"""Checkpoints that know a picture from an instruction file alone."""

import json
from pathlib import Path
from typing import Any

import pytest

from humanvlm.data.atomic_io import write_json
from humanvlm.data.tombstones import Tombstones
from humanvlm.pipeline.contract import identity
from humanvlm.takedown.instructions import names_any

from .small_crawl import forget_url, pictures

NAMED = "stage2_checkpoint, benchmark_scores: made with forgotten samples"


def finish(stage: str, **further: Any) -> None:
    """A stage's artifact with a page that shows pictures."""
    folder = Path("artifacts", stage)
    folder.mkdir(exist_ok=True)
    (folder / "page.html").write_text('<img src="data:image/jpeg;base64,/9j/">')
    (folder / "model.safetensors").write_bytes(stage.encode())
    outputs = [{"path": name, "sha256": name, "rows": 0, "bytes": 1} for name in ("model.safetensors", "page.html")]
    write_json(folder / "report.json", {"stage": stage, "inputs": {}, "outputs": outputs, **further})


def teach(**config: Any) -> None:
    finish("stage2_checkpoint", config={"stage2_checkpoint": config})
    finish("benchmark_scores", inputs={"stage2_checkpoint": identity(Path("artifacts/stage2_checkpoint"))})


@pytest.fixture(autouse=True)
def no_tracking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "none")


def test_a_checkpoint_that_learnt_a_picture_from_instructions_is_named(project: Path) -> None:
    teach()
    assert NAMED not in forget_url("brighter")  # which no instruction names
    assert NAMED in forget_url("mirrored")
    Path("data/instructions.jsonl").write_text("")
    for _ in range(2):
        assert NAMED in forget_url("mirrored")  # the weights are those of before
    teach()
    assert NAMED not in forget_url("mirrored")


def test_what_opens_the_training_counts(project: Path) -> None:
    Path("data/instructions.jsonl").replace("data/opening.jsonl")
    teach()
    assert NAMED in forget_url("mirrored")


def test_further_instruction_files_count_and_need_no_lines(project: Path) -> None:
    Path("more").mkdir()
    Path("more/a.jpg").write_bytes(pictures()["brighter"])
    rows = [{"image": "absent.jpg", "conversations": []}, {"image": "a.jpg", "conversations": []}]
    Path("more/list.json").write_text(json.dumps(rows, indent=1))
    teach(instructions={"own": {"file": "more/list.json", "images": "more", "share": 0.1}})
    assert NAMED in forget_url("brighter")


@pytest.mark.parametrize("text", ["", "[", "[1, {]", "null\n[]\n{", '{"image": 1}', '{"image": "../../x"}'])
def test_files_that_are_none_name_nothing(tmp_path: Path, text: str) -> None:
    stones = Tombstones(pictures=frozenset(["0" * 64]))
    assert not names_any(tmp_path / "absent", tmp_path, stones)
    (tmp_path / "list").write_text(text)
    assert not names_any(tmp_path / "list", tmp_path, stones)
