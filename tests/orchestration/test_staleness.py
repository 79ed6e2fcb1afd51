"""What makes a stage stale, on a copy of the project: DVC, Dagster's graph and the stage itself say the same."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from humanvlm.pipeline.stages import STAGES
from orchestration.dvc_graph import code_version, load_graph, read_lock, source_version

pytestmark = pytest.mark.slow
REPO = Path(__file__).parents[2]
PROJECT = ("humanvlm", "dvc.yaml", "params.yaml", "tombstones.csv", ".dvcignore")
DATA = {
    "index.parquet": "rows",
    "site/photos.example/a.jpg": "a picture",
    "instructions.jsonl": "{}\n",
    "opening.jsonl": "{}\n",
    "benchmarks/vqa.jsonl": "{}\n",
}
FINGERPRINTS = """
import json
from pathlib import Path
from humanvlm.config.loading import load_params
from humanvlm.pipeline.contract import StageRun
from humanvlm.pipeline.runner import _fingerprint
from humanvlm.pipeline.stages import STAGES
params = load_params(Path("params.yaml"))
runs = [StageRun(s, params, {k: Path(v) for k, v in s.inputs.items()}, Path(s.out)) for s in STAGES.values()]
print(json.dumps({run.stage.name: _fingerprint(run)[0] for run in runs}))
"""
TRAINING = {"stage1_checkpoint", "stage2_checkpoint"}
CAPTIONING = {"human_caption", "human_caption_hq"}


def run(folder: Path, *command: str) -> str:
    env = {**os.environ, "PYTHONPATH": str(folder), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def fingerprints(folder: Path) -> dict[str, str]:
    return json.loads(run(folder, sys.executable, "-c", FINGERPRINTS))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A project of which every stage is up to date, though its artifacts hold nothing; and their fingerprints."""
    folder = tmp_path_factory.mktemp("made") / "project"
    folder.mkdir()
    for name in PROJECT:
        source = REPO / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    for name, text in DATA.items():
        (folder / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "data" / name).write_text(text)
    for stage in STAGES.values():
        (folder / stage.out).mkdir(parents=True)
        (folder / stage.out / "report.json").write_text(json.dumps({"stage": stage.name, "outputs": []}))
    run(folder, "git", "init", "-q")
    run(folder, "dvc", "init", "-q")
    run(folder, "dvc", "add", "-q", "data")
    run(folder, "dvc", "commit", "-q", "--force")
    assert run(folder, "dvc", "status").strip() == "Data and pipelines are up to date."
    return folder, fingerprints(folder)


def stale(folder: Path, before: dict[str, str]) -> list[set[str]]:
    """What DVC, Dagster's graph and the stages themselves call stale because of parameters, code or data."""
    graph = load_graph(folder)
    locks = read_lock(graph)
    now = fingerprints(folder)
    return [
        {name for name in json.loads(run(folder, "dvc", "status", "--json")) if name in STAGES},
        {
            name
            for name, node in graph.stages.items()
            if code_version(graph, node) != locks[name].code_version
            or any(
                source_version(graph, key) != locks[name].input_versions[key]
                for key in {*node.inputs} & {*graph.sources}
            )
        },
        {name for name in STAGES if now[name] != before[name]},
    ]


@pytest.mark.parametrize(
    ("file", "old", "new", "expected"),
    [
        ("config/human_scenes.py", "] = 160", "] = 161", {"human_scenes"}),
        (
            "weights/models.yaml",
            "# Every",
            "# Each",
            {*STAGES} - {"raw_scrape"},  # the registered model's card tells licences
        ),
        ("config/human_scenes.py", "[0.06, 0.96]", "[0.06, 0.97]", {"human_scenes"}),
        ("config/training.py", "= 1e-3", "= 2e-3", TRAINING),
        ("config/stage2_checkpoint.py", "] = 16", "] = 17", {"stage2_checkpoint"}),
        ("config/model.py", '"auto"\n', '"float32"\n', TRAINING),
        ("config/endpoint.py", "300.0", "301.0", {*CAPTIONING, "benchmark_scores"}),
        ("config/raw_scrape.py", "60.0", "61.0", {"raw_scrape"}),
        ("config/human_scenes.py", "least shorter side of a picture", "in other words", set()),
        ("config/training.py", "class Training", "# A comment\nclass Training", set()),
        ("config/section.py", "class Section", "# A comment\nclass Section", set()),
        ("pipeline/engine.py", "import os", "import os  # a comment", set()),
        (
            "inference/generate.py",
            "import",
            "# A comment\nimport",
            {*CAPTIONING, *TRAINING, "benchmark_scores", "registered_model"},  # training shows what the model says
        ),
        ("scrape/crawl.py", "import", "# A comment\nimport", set()),
        ("train/batches.py", "import", "# A comment\nimport", TRAINING),
    ],
)
def test_exactly_the_right_stages_are_stale(
    made: tuple[Path, dict[str, str]], file: str, old: str, new: str, expected: set[str]
) -> None:
    folder, before = made
    path = folder / "humanvlm" / file
    text = path.read_text()
    assert old in text
    try:
        path.write_text(text.replace(old, new, 1))
        assert stale(folder, before) == [expected] * 3
    finally:
        path.write_text(text)


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("index.parquet", {"raw_scrape"}),
        ("site/photos.example/a.jpg", {"raw_scrape", "stage2_checkpoint"}),
        ("instructions.jsonl", {"stage2_checkpoint"}),
        ("opening.jsonl", {"stage2_checkpoint"}),
        ("benchmarks/vqa.jsonl", {"benchmark_scores"}),
        ("benchmarks/images/new.jpg", {"benchmark_scores"}),
        ("notes.txt", set()),
    ],
)
def test_data_counts_in_parts(made: tuple[Path, dict[str, str]], file: str, expected: set[str]) -> None:
    folder, before = made
    path = folder / "data" / file
    text = path.read_text() if path.exists() else None
    path.parent.mkdir(exist_ok=True)
    try:
        path.write_text("one more")
        assert stale(folder, before) == [expected] * 3
    finally:
        path.unlink() if text is None else path.write_text(text)
