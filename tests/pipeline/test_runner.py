"""The stage contract: reports balance, interrupted work resumes, changed inputs start afresh, damage is named."""

import json
import sys
import types
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from humanvlm.config.loading import load_params
from humanvlm.config.profiles import profile_path
from humanvlm.data.shards import write_shard
from humanvlm.pipeline import runner as stage_module
from humanvlm.pipeline.contract import Counts, Outcome, ShardResult, StageError, StageRun
from humanvlm.pipeline.runner import run_stage
from humanvlm.pipeline.stages import STAGES

CPU = profile_path("cpu")
SCHEMA = pa.schema([("id", pa.string())])


def write_task(task: tuple[str, int]) -> ShardResult:
    out, index = task
    with Path(out, ".work", "calls").open("a") as calls:
        calls.write(f"{index}\n")
    if Path(out).with_name("stop").exists() and index == 2:
        raise KeyboardInterrupt
    file = write_shard(Path(out) / f"shard-{index:05d}.parquet", [{"id": f"{index}"}], SCHEMA)
    return ShardResult(Counts(2, 1, {"odd": 1}), (file,))


def make(run: StageRun) -> Outcome:
    results = run.map_shards(write_task, {f"shard-{i:05d}": (str(run.out), i) for i in range(4)})
    (run.out.parent / "calls").write_text((run.work / "calls").read_text() if (run.work / "calls").exists() else "")
    return Outcome(sum((r.counts for r in results), Counts()), [file for r in results for file in r.files])


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stage of four shards whose module is this file; its input is a folder with one file."""
    module = types.ModuleType("toy_stage")
    module.make = make  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "toy_stage", module)
    monkeypatch.setitem(
        STAGES,
        "raw_scrape",
        replace(STAGES["raw_scrape"], module="toy_stage", inputs={"data": str(tmp_path / "data")}, parts={}),
    )
    monkeypatch.setenv("HUMANVLM_WORKERS", "1")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "index").write_text("1")
    return tmp_path / "out"


def test_report_balances_and_lists_every_file(toy: Path) -> None:
    report = run_stage("raw_scrape", CPU, out=toy)
    assert report["rows"] == {"in": 8, "kept": 4, "dropped": {"odd": 4}}
    assert json.loads((toy / "report.json").read_text()) == report
    assert [file["path"] for file in report["outputs"]] == [f"shard-{i:05d}.parquet" for i in range(4)]
    assert not (toy / ".work").exists()


def test_a_report_holds_no_secret_and_none_makes_it_stale(toy: Path) -> None:
    stores = [f"raw_scrape.user_agent=me (https://me:{word}@h/x?token={word})" for word in ("w0rd", "0ther")]
    report = run_stage("raw_scrape", CPU, [stores[0]], out=toy)
    assert report["config"]["raw_scrape"]["user_agent"] == "me (https://***@h/x?token=***)"
    assert "w0rd" not in (toy / "report.json").read_text()
    assert run_stage("raw_scrape", CPU, [stores[1]], out=toy) == report


def test_interrupted_work_resumes_without_repeating(toy: Path) -> None:
    toy.with_name("stop").touch()
    with pytest.raises(KeyboardInterrupt):
        run_stage("raw_scrape", CPU, out=toy)
    assert not (toy / "report.json").exists()
    toy.with_name("stop").unlink()
    report = run_stage("raw_scrape", CPU, out=toy)
    assert report["rows"]["kept"] == 4
    assert toy.with_name("calls").read_text().split() == ["0", "1", "2", "2", "3"]


def test_what_a_run_left_that_was_killed_before_it_changed_anything_goes(toy: Path) -> None:
    report = run_stage("raw_scrape", CPU, out=toy)
    (toy / ".work").mkdir()
    assert run_stage("raw_scrape", CPU, out=toy) == report
    assert not (toy / ".work").exists()


def test_complete_work_is_up_to_date_until_something_changes(toy: Path) -> None:
    run_stage("raw_scrape", CPU, out=toy)
    toy.with_name("calls").write_text("untouched")
    run_stage("raw_scrape", CPU, out=toy)
    assert toy.with_name("calls").read_text() == "untouched"
    run_stage("raw_scrape", CPU, ["raw_scrape.retries=0"], out=toy)
    assert toy.with_name("calls").read_text() != "untouched"
    toy.with_name("calls").write_text("untouched")
    (toy.parent / "data" / "index").write_text("2")
    run_stage("raw_scrape", CPU, ["raw_scrape.retries=0"], out=toy)
    assert toy.with_name("calls").read_text() != "untouched"


def test_what_other_code_made_is_not_up_to_date(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = run_stage("raw_scrape", CPU, out=toy)
    monkeypatch.setattr(stage_module, "code_identity", lambda code: "other")
    toy.with_name("calls").write_text("untouched")
    assert run_stage("raw_scrape", CPU, out=toy)["fingerprint"] != before["fingerprint"]
    assert toy.with_name("calls").read_text() != "untouched"


def test_a_damaged_output_is_made_again(toy: Path) -> None:
    run_stage("raw_scrape", CPU, out=toy)
    before = (toy / "shard-00001.parquet").read_bytes()
    (toy / "shard-00001.parquet").write_bytes(before[:20])
    run_stage("raw_scrape", CPU, out=toy)
    assert (toy / "shard-00001.parquet").read_bytes() == before


def test_a_truncated_input_is_named(toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_stage("raw_scrape", CPU, out=toy)
    (toy / "shard-00003.parquet").write_bytes(b"PAR1")
    with pytest.raises(StageError, match=r"shard-00003.parquet: truncated \(4 of \d+ bytes\)"):
        run_stage("human_scenes", CPU, inputs={"raw_scrape": toy}, out=tmp_path / "scenes")
    assert not (tmp_path / "scenes").exists()


def test_inputs_that_changed_meanwhile_fail(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def change(stage_run: StageRun) -> Outcome:
        (toy.parent / "data" / "index").write_text("changed")
        return make(stage_run)

    monkeypatch.setattr(sys.modules["toy_stage"], "make", change)
    with pytest.raises(StageError, match="changed while it ran"):
        run_stage("raw_scrape", CPU, out=toy)
    assert not (toy / "report.json").exists()


def test_a_failure_before_the_first_result_leaves_nothing(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: StageRun) -> Outcome:
        raise StageError("no column 'url'")

    monkeypatch.setattr(sys.modules["toy_stage"], "make", fail)
    with pytest.raises(StageError, match="no column"):
        run_stage("raw_scrape", CPU, out=toy)
    assert not toy.exists()


def test_unbalanced_counts_fail(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["toy_stage"], "make", lambda _: Outcome(Counts(3, 1, {"lost": 1})))
    with pytest.raises(StageError, match="counts do not add up: 3 in, 1 kept"):
        run_stage("raw_scrape", CPU, out=toy)


def test_foreign_files_are_never_cleared(toy: Path) -> None:
    toy.mkdir()
    (toy / "thesis.txt").write_text("precious")
    with pytest.raises(StageError, match="holds files that no stage wrote"):
        run_stage("raw_scrape", CPU, out=toy)
    assert (toy / "thesis.txt").read_text() == "precious"


def test_a_missing_input_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="no such folder; make it with"):
        run_stage("raw_scrape", CPU, inputs={"data": tmp_path / "absent"}, out=tmp_path / "out")
    (tmp_path / "artifacts" / "raw_scrape").mkdir(parents=True)
    with pytest.raises(StageError, match="run `humanvlm raw_scrape` first"):
        run_stage("human_scenes", CPU, inputs={"raw_scrape": tmp_path / "artifacts/raw_scrape"}, out=tmp_path / "out")


def fingerprint(name: str, inputs: dict[str, Path], *overrides: str) -> str:
    """What a stage says it would be made from."""
    params = load_params(CPU, overrides)
    stage = STAGES[name]
    return stage_module._fingerprint(StageRun(stage, params, inputs, Path("out")))[0]


def model_folder(folder: Path) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


@pytest.fixture
def made(tmp_path: Path) -> dict[str, Path]:
    """Inputs of any stage, each a folder with one file."""
    names = ("data", "human_caption", "human_caption_hq", "stage1_checkpoint", "stage2_checkpoint")
    for name in names:
        (tmp_path / name / "benchmarks").mkdir(parents=True)
        (tmp_path / name / "benchmarks" / "file").write_text("1")
    return {name: tmp_path / name for name in names}


def inputs_of(name: str, made: dict[str, Path]) -> dict[str, Path]:
    return {key: made[key] for key in STAGES[name].inputs}


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("benchmark_scores", "benchmark_scores.model=hub:"),
        ("stage1_checkpoint", "model.language_model="),
        ("stage2_checkpoint", "model.vision_tower="),
    ],
)
def test_a_model_folder_replaced_in_place_is_another(
    made: dict[str, Path], tmp_path: Path, name: str, key: str
) -> None:
    model = model_folder(tmp_path / "model")
    inputs, override = inputs_of(name, made), f"{key}{model}"
    before = fingerprint(name, inputs, override)
    (model / "notes.md").write_text("is no part of it")
    assert fingerprint(name, inputs, override) == before
    (model / "model.safetensors").write_bytes(b"others")
    assert fingerprint(name, inputs, override) != before


@pytest.mark.parametrize(
    ("overrides", "read"),
    [
        ((), {"stage2_checkpoint", "human_caption", "data"}),
        (("benchmark_scores.model=endpoint",), {"human_caption", "data"}),
        (("benchmark_scores.model=endpoint", "benchmark_scores.baselines=false"), {"data"}),
        (("benchmark_scores.model=endpoint", "benchmark_scores.tasks=[vqa]"), {"human_caption", "data"}),
        (
            ("benchmark_scores.baselines=false", "benchmark_scores.tasks=[holdout]"),
            {"stage2_checkpoint", "human_caption"},
        ),
        (("benchmark_scores.model=hub:MODEL",), {"human_caption", "data"}),
    ],
)
def test_an_input_that_is_not_read_is_none(
    made: dict[str, Path], tmp_path: Path, overrides: tuple[str, ...], read: set[str]
) -> None:
    model = model_folder(tmp_path / "model")
    settings = [override.replace("MODEL", str(model)) for override in overrides]
    inputs = inputs_of("benchmark_scores", made)
    before = fingerprint("benchmark_scores", inputs, *settings)
    for name, folder in inputs.items():
        (folder / "benchmarks" / "file").write_text("2")
        assert (fingerprint("benchmark_scores", inputs, *settings) != before) == (name in read), name
        (folder / "benchmarks" / "file").write_text("1")
        without = {**inputs, name: tmp_path / "absent"}
        if name in read:
            with pytest.raises(StageError, match="no such folder"):
                fingerprint("benchmark_scores", without, *settings)
        else:
            assert fingerprint("benchmark_scores", without, *settings) == before
