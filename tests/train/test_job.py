from pathlib import Path

from humanvlm.config.loading import load_params
from humanvlm.data.atomic_io import write_json
from humanvlm.pipeline.contract import StageRun
from humanvlm.pipeline.stages import STAGES
from humanvlm.train.job import error_path, read_job, result_path, write_job


def test_the_trainer_gets_the_run_that_was_started(repo: Path, tmp_path: Path) -> None:
    params = load_params(repo / "humanvlm" / "profiles" / "cpu.yaml", ["stage2_checkpoint.lora_r=3"])
    stage = STAGES["stage2_checkpoint"]
    run = StageRun(stage, params, {name: tmp_path / name for name in stage.inputs}, tmp_path / "out")
    write_json(result_path(run), {"counts": "of an earlier run"})
    write_json(error_path(run), {"error": "of an earlier run"})
    assert read_job(write_job(run)) == run
    assert [path.name for path in run.work.iterdir()] == ["job.json"]
