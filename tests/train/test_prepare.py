"""What a run finds made: sources by configuration, one store, one plan; and errors that say what to do."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from humanvlm.config.loading import Params
from humanvlm.errors import UserError
from humanvlm.pipeline.contract import StageRun
from humanvlm.pipeline.stages import STAGES
from humanvlm.train.job import error_path, write_job
from humanvlm.train.prepare import main, prepare, prepared

Run = Callable[..., StageRun]


@pytest.fixture
def run(tiny_models: dict[str, str], artifacts: Path, tmp_path: Path) -> Run:
    def start(stage: str, **values: Any) -> StageRun:
        inputs = {name: artifacts / name for name in ("human_caption", "human_caption_hq", "data")}
        section = {"batch_size": 4, **values}
        params = Params.model_validate({"model": tiny_models, stage: section})
        return StageRun(STAGES[stage], params, inputs, tmp_path / "out")

    return start


def test_both_stages_have_their_sources(run: Run) -> None:
    first = prepare(run("stage1_checkpoint", caption="all", max_steps=10))
    assert (first.counts.rows_in, first.counts.kept, first.counts.dropped) == (114, 108, {"held_out": 6})
    assert first.plan.steps == 10
    second = prepare(run("stage2_checkpoint"))
    # Of the instructions two are about one picture, and one conversation.
    assert second.info["samples"] == {"captions": 53, "hq": 54, "conversations": 53, "instructions": 2, "opening": 0}
    assert second.counts.rows_in == 60 + 60 + 60 + 9
    assert second.counts.balanced
    assert second.info["left_out"]["instructions"]["bad_row"] == [f"instructions.jsonl:{row}" for row in (7, 8, 9)]
    assert second.plan.steps == round(162 / 4)


def test_a_run_that_continues_finds_the_same(run: Run) -> None:
    whole = prepare(run("stage1_checkpoint"))
    again = prepare(run("stage1_checkpoint"))
    assert again.store.folder == whole.store.folder
    assert again.plan.digest == whole.plan.digest
    assert prepared(run("stage1_checkpoint")).plan.digest == whole.plan.digest
    assert prepare(run("stage1_checkpoint", seed=8)).plan.digest != whole.plan.digest


def test_sources_without_a_share_are_not_read(run: Run) -> None:
    found = prepare(run("stage2_checkpoint", instruction_share=0.0, caption_share=1.0))
    assert found.info["samples"] == {"captions": 53, "hq": 0, "conversations": 0, "instructions": 0, "opening": 0}


def test_further_instruction_files_have_their_share(run: Run, artifacts: Path, tmp_path: Path) -> None:
    file = tmp_path / "mix.json"
    talk = [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]
    file.write_text(json.dumps([{"conversations": talk}, {"image": "1.jpg", "conversations": talk}]))
    part = {"file": str(file), "images": str(artifacts / "data"), "share": 0.25}
    found = prepare(run("stage2_checkpoint", instructions={"mix": part}, max_steps=100))
    assert found.info["samples"]["mix"] == 2
    shares = np.bincount(found.store.sources[found.plan.order], minlength=6) / len(found.plan.order)
    assert shares == pytest.approx([0.1875, 0.1875, 0.09375, 0.28125, 0, 0.25], abs=0.01)
    for instructions, error in (
        ({"mix": {**part, "file": "gone.json"}}, r"instructions\.mix: gone\.json: no such file"),
        ({"hq": part}, "has that name already"),
        ({name: {**part, "share": 0.6} for name in "ab"}, "add up to 1.2, more than 1"),
    ):
        with pytest.raises(UserError, match=error):
            prepare(run("stage2_checkpoint", instructions=instructions))


def test_a_run_opens_with_the_rows_given_for_it(run: Run, artifacts: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(artifacts / "data", data)
    talk = [{"from": "human", "value": "Where?"}, {"from": "gpt", "value": "There."}]
    (data / "opening.jsonl").write_text("".join(json.dumps({"image": f"{n}.jpg", "conversations": talk}) for n in (1,)))
    job = run("stage2_checkpoint", opening_steps=3, max_steps=9)
    job.inputs["data"] = data  # type: ignore[index]
    found = prepare(job)
    assert found.info["samples"]["opening"] == 1
    assert (found.plan.opening, prepared(job).plan.opening) == (3, 3)
    names = [source["name"] for source in found.store.about["sources"]]
    opened = found.store.sources[found.plan.order].reshape(9, -1) == names.index("opening")
    assert opened[:3].all()
    assert not opened[3:].any()
    (data / "opening.jsonl").write_text("")
    assert prepare(job).plan.opening == 0


def test_samples_that_are_all_too_long_say_how_long(run: Run) -> None:
    job = run("stage1_checkpoint", max_length=20)
    assert main(write_job(job)) == 2
    message = json.loads(error_path(job).read_text())["error"]
    assert message.startswith("every sample is too long: the shortest has ")
    assert message.endswith("and stage1_checkpoint.max_length is 20; raise it, or take a tower with fewer image tokens")
    assert "\n" not in message


def test_no_row_is_an_error_that_says_why(run: Run, artifacts: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    job = run("stage2_checkpoint", instruction_share=1.0, conversation_share=0.0)
    job.inputs["data"] = tmp_path / "data"  # type: ignore[index]
    with pytest.raises(UserError, match="no training samples: no rows"):
        prepare(job)
