"""A project with a copy in every store: after a takedown no thumbnail is left but where the command says so."""

import base64
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from humanvlm.data.atomic_io import write_json
from humanvlm.data.tombstones import Tombstones, url_hash
from humanvlm.export.folder import export
from humanvlm.inspect.pages import write_page
from humanvlm.pipeline.contract import artifact_files, identity, read_report
from humanvlm.pipeline.tracking import log_stage
from humanvlm.takedown import forget

from .scan import found_in
from .small_crawl import HOST, STAGES, id_of, pictures, url_of

PERSON = pictures()["person"]
DVC = (sys.executable, "-m", "dvc")


def thumbnail() -> str:
    image = Image.open(io.BytesIO(PERSON))
    image.thumbnail((160, 160))
    sink = io.BytesIO()
    image.save(sink, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(sink.getvalue()).decode()


def write_artifact(folder: Path, stage: str, inputs: dict[str, str]) -> None:
    """A finished artifact of the files that are in the folder."""
    outputs = [file.__dict__ for file in artifact_files(folder)]
    counts = {"in": 1, "kept": 1, "dropped": {}}
    report = {"stage": stage, "inputs": inputs, "outputs": outputs, "rows": counts, "metrics": {}, "plots": []}
    pages = [path.name for path in folder.glob("*.html")]
    write_json(folder / "report.json", {**report, "plots": pages, "config": {}, "fingerprint": stage, "timings": {}})


def make_trained(root: Path) -> None:
    """A checkpoint with its page of replies, its evaluation, and that of another model."""
    for name, page in (("stage1_checkpoint", "replies.html"), ("benchmark_scores", "report.html"), ("other", "r.html")):
        folder = root / ("artifacts" if name != "other" else "runs") / name
        folder.mkdir(parents=True)
        (folder / page).write_text(f'<img src="{thumbnail()}">')
        if name != "stage1_checkpoint":
            (folder / "samples").mkdir()
            (folder / "samples" / "captions.jsonl").write_text(json.dumps({"id": id_of("person")}) + "\n")
    trained = root / "artifacts/stage1_checkpoint"
    (trained / "projector.safetensors").write_bytes(b"weights")
    write_artifact(trained, "stage1_checkpoint", {"human_caption": identity(root / "artifacts/human_caption")})
    for folder in (root / "artifacts/benchmark_scores", root / "runs/other"):
        write_artifact(folder, "benchmark_scores", {"stage1_checkpoint": identity(trained)})


def make_event_log(home: Path) -> None:
    """As Dagster was told before: with the picture in the metadata."""
    import dagster as dg

    home.mkdir(parents=True)
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        shown = dg.MetadataValue.md(f"![samples]({thumbnail()})")
        event = dg.AssetMaterialization("raw_scrape", metadata={"samples": shown, "rows": 8})
        instance.report_runless_asset_event(event)


@pytest.fixture
def filled(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The small crawl with every copy that the commands of the project make."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///.state/mlflow.db")
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    make_trained(project)
    for name in (*STAGES, "stage1_checkpoint", "benchmark_scores"):
        log_stage(read_report(Path("artifacts", name)), Path("artifacts", name), project)
    make_event_log(project / ".state" / "dagster")
    write_page(Path("artifacts/human_caption"))
    write_page(Path("artifacts/human_caption"), out=Path("pages/shown.html"))
    export("webdataset", Path("artifacts/human_caption"), Path("exports/tars"))
    export("hf", Path("artifacts/human_caption"), Path("exports/hf"))
    export("hf", Path("artifacts/human_caption"), project.parent / "outside")
    Path("copies").mkdir()
    Path("copies/mine.bin").write_bytes(PERSON)
    shutil.copy(next(Path("artifacts/human_scenes").glob("shard-*.parquet")), "copies/some.parquet")
    Path("copies/scores.json").write_text(json.dumps({"per_sample": [{"id": id_of("person")}]}))
    quiet = {**os.environ, "DVC_NO_ANALYTICS": "1"}
    subprocess.run([*DVC, "init", "--no-scm", "-q"], check=True, env=quiet)
    tracked = [f"artifacts/{name}" for name in (*STAGES, "stage1_checkpoint")]
    subprocess.run([*DVC, "add", "-q", *tracked], check=True, env=quiet)
    return project


def test_no_thumbnail_is_left_but_what_is_named(filled: Path) -> None:
    before = {path.relative_to(filled) for path in found_in(filled, PERSON)}
    stores = {
        path.parts[:2] if path.parts[0] in (".state", "artifacts", "exports") else path.parts[:1] for path in before
    }
    assert stores >= {
        *(("artifacts", name) for name in (*STAGES, "stage1_checkpoint", "benchmark_scores")),
        *((".state", name) for name in ("mlartifacts", "dagster", "show")),
        *(("exports", name) for name in ("tars", "hf")),
        *((name,) for name in ("runs", "pages", "copies", ".dvc", "data")),
    }
    cached = {path for path in before if path.parts[0] == ".dvc"}
    logged = {path for path in before if path.parts[1] == "mlartifacts"}
    said = forget.forget(Tombstones(urls=frozenset([url_hash(url_of("person"))])), near_duplicates=True)

    after = {path.relative_to(filled) for path in found_in(filled, PERSON)}
    named = {line.strip().partition(": ")[0] for line in said.partition("may still hold copies:")[2].splitlines()}
    assert {str(path) for path in after if not {str(path), *map(str, path.parents)} & named} == set()
    assert {path.parts[0] for path in after} == {"data", "exports", "pages", "copies"}
    assert str(filled.parent / "outside") in named
    assert "copies/scores.json" in named
    assert not any((filled / path).exists() for path in cached | logged)
    assert b"weights" in {path.read_bytes() for path in Path(".dvc/cache/files/md5").glob("*/*")}
    assert "stage1_checkpoint" in said.partition("weights: trained by MLflow's runs")[2].splitlines()[0]
    assert f"data/site/{HOST}/person.jpg" in named
    again = forget.forget(Tombstones())
    assert "removed" not in again
    assert {line.partition(": ")[0] for line in again.splitlines()} >= {f"  {name}" for name in named if name}
