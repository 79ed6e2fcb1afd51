"""The stage on a small crawl: every row accounted for, the same bytes for any number of workers, resumable."""

import hashlib
import io
import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from humanvlm.config.human_scenes import HumanScenes
from humanvlm.curate import duplicates, measured
from humanvlm.curate import stage as curate
from humanvlm.curate.duplicates import Duplicates
from humanvlm.data.atomic_io import write_json
from humanvlm.data.shards import IMAGE, ShardError, read_folder, shard_name, write_shard
from humanvlm.pipeline.engine import DeadWorkerError
from humanvlm.pipeline.runner import run_stage

SCRAPED = pa.schema(
    [
        ("id", pa.string()),
        ("url", pa.string()),
        ("text", pa.string()),
        ("image", IMAGE),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("sha256", pa.string()),
    ]
)


def jpeg(rgb: np.ndarray, quality: int = 90, size: tuple[int, int] | None = None) -> bytes:
    file = io.BytesIO()
    image = Image.fromarray(rgb)
    (image.resize(size) if size else image).save(file, "JPEG", quality=quality)
    return file.getvalue()


def scraped(name: str, data: bytes, text: str | None = None) -> dict:
    try:
        size = Image.open(io.BytesIO(data)).size
    except OSError:
        size = (0, 0)
    return {
        "id": hashlib.sha256(name.encode()).hexdigest()[:20],
        "url": f"http://photos.example/{name}.jpg",
        "text": text,
        "image": {"bytes": data, "path": f"{name}.jpg"},
        "width": size[0],
        "height": size[1],
        "sha256": hashlib.sha256(data).hexdigest(),
    }


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    astronaut = skimage.data.astronaut()
    person = jpeg(astronaut)
    shards = [
        [
            scraped("person", person, "a woman in an orange suit in front of a flag"),
            scraped("coffee", jpeg(skimage.data.coffee())),
            scraped("broken", person[: len(person) // 2]),
        ],
        [
            scraped("copy", person),
            scraped("thumbnail", jpeg(astronaut, 60, (300, 300))),
            scraped("tiny", jpeg(astronaut, 90, (64, 64))),
            scraped("mirrored", jpeg(astronaut[:, ::-1].copy())),
        ],
    ]
    folder = tmp_path_factory.mktemp("crawl")
    files = [asdict(write_shard(folder / shard_name(i), rows, SCRAPED)) for i, rows in enumerate(shards)]
    rows = {"in": 7, "kept": 7, "dropped": {}}
    write_json(folder / "report.json", {"stage": "raw_scrape", "fingerprint": "test", "rows": rows, "outputs": files})
    return folder


def curated(repo: Path, crawl: Path, out: Path, *, force: bool = False) -> dict:
    return run_stage("human_scenes", repo / "humanvlm" / "profiles" / "cpu.yaml", (), {"raw_scrape": crawl}, out, force)


@pytest.fixture(scope="module")
def artifact(repo: Path, crawl: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("artifacts") / "human_scenes"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HUMANVLM_WORKERS", "1")
        curated(repo, crawl, out)
    return out


def reasons(out: Path) -> dict[str, str]:
    return {Path(row["url"]).stem: row["reason"] for row in read_folder(out / "dropped")}


def test_every_row_is_accounted_for(artifact: Path) -> None:
    report = json.loads((artifact / "report.json").read_text())
    kept = {Path(row["url"]).stem for row in read_folder(artifact, ("url",))}
    dropped = reasons(artifact)
    assert "mirrored" in kept
    assert "person" in kept  # that with text of two identical pictures
    expected = {"copy": "duplicate", "thumbnail": "near_duplicate", "tiny": "too_small", "coffee": "no_person"}
    assert dropped == expected | {"broken": "undecodable"}
    assert report["rows"]["in"] == 7
    assert report["rows"]["kept"] == 2
    assert report["metrics"]["faces_per_image"] == 1.0
    assert report["metrics"]["share_with_person"] == 1.0
    for plot in report["plots"]:
        with Image.open(artifact / plot) as image:
            assert image.width > 200
    assert not (artifact / ".work").exists()


def test_kept_rows_carry_their_signals(artifact: Path) -> None:
    for row in read_folder(artifact):
        assert row["image"]["bytes"]
        assert len(row["phash"]) == 16
        assert 0 < row["exposure"] < 1
        assert row["sharpness"] > 20
        assert row["nsfw"] < 0.2
        (face,) = row["faces"]
        assert len(face["box"]) == 4
        assert len(face["points"]) == 12
        assert 0 <= face["box"][0] < face["box"][2] <= row["width"]
        assert row["people"][0]["score"] > 0.5
        assert row["language"] == ("en" if row["text"] else None)


def test_dropped_duplicates_name_what_is_kept(artifact: Path) -> None:
    kept = {row["id"] for row in read_folder(artifact, ("id",))}
    named = [row["detail"] for row in read_folder(artifact / "dropped") if "duplicate" in row["reason"]]
    assert len(named) == 2
    assert all(detail.removeprefix("of ") in kept for detail in named)


def test_kept_rows_say_where_else_their_picture_is(artifact: Path) -> None:
    also = {Path(row["url"]).stem: row["also_at"] for row in read_folder(artifact, ("url", "also_at"))}
    found = {Path(one["url"]).stem: one["exact"] for one in also["person"]}
    assert found == {"copy": True, "thumbnail": False}
    assert also["mirrored"] == []


@pytest.mark.slow
def test_outputs_are_the_same_for_any_number_of_workers(
    repo: Path, crawl: Path, artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUMANVLM_WORKERS", "2")
    report = curated(repo, crawl, tmp_path / "human_scenes")
    one = json.loads((artifact / "report.json").read_text())
    assert report["outputs"] == one["outputs"]
    assert report["rows"] == one["rows"]
    assert report["metrics"] == one["metrics"]


def test_a_stage_that_died_between_the_passes_continues(
    repo: Path, crawl: Path, artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUMANVLM_WORKERS", "1")
    out = tmp_path / "human_scenes"

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(duplicates, "find", die)
        with pytest.raises(KeyboardInterrupt):
            curated(repo, crawl, out)
    assert not (out / "report.json").exists()
    with monkeypatch.context() as patch:
        patch.setattr(curate, "measure_row", die)  # the first pass must not run again
        report = curated(repo, crawl, out)
    assert report["outputs"] == json.loads((artifact / "report.json").read_text())["outputs"]


def test_only_new_shards_of_a_grown_crawl_are_measured(
    repo: Path, crawl: Path, artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The artifact is that of a run that measures all."""
    monkeypatch.setenv("HUMANVLM_WORKERS", "1")
    grown, out, measured_rows = tmp_path / "raw_scrape", tmp_path / "human_scenes", []
    shutil.copytree(crawl, grown)
    report = json.loads((crawl / "report.json").read_text())
    last = report["outputs"].pop()
    write_json(grown / "report.json", report)
    (grown / last["path"]).unlink()
    assert curated(repo, grown, out)["rows"]["in"] == 3
    shutil.copy(crawl / last["path"], grown)
    write_json(grown / "report.json", report | {"outputs": [*report["outputs"], last]})
    measure_row = curate.measure_row

    def measure(row: dict[str, Any], config: HumanScenes) -> dict[str, Any]:
        measured_rows.append(row["id"])
        return measure_row(row, config)

    monkeypatch.setattr(curate, "measure_row", measure)
    made = curated(repo, grown, out)
    assert len(measured_rows) == 4
    assert made["outputs"] == json.loads((artifact / "report.json").read_text())["outputs"]
    curated(repo, grown, out, force=True)
    assert len(measured_rows) == 4 + 7


def test_a_picture_that_kills_its_worker_is_dropped(
    repo: Path, crawl: Path, artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUMANVLM_WORKERS", "1")
    out = tmp_path / "human_scenes"
    measured_rows: list[str] = []

    def die_of_coffee(row: dict[str, Any], config: HumanScenes) -> dict[str, Any]:
        if row["url"].endswith("coffee.jpg"):
            raise KeyboardInterrupt
        measured_rows.append(row["url"])
        return measure_row(row, config)

    def die(*_: object) -> None:
        raise DeadWorkerError

    measure_row = curate.measure_row
    monkeypatch.setattr(curate, "measure_row", die_of_coffee)
    monkeypatch.setattr(measured, "in_a_process", die)
    with pytest.raises(KeyboardInterrupt):
        curated(repo, crawl, out)
    report = curated(repo, crawl, out)
    assert reasons(out) == reasons(artifact) | {"coffee": "killed_worker"}
    assert report["rows"]["in"] == 7
    assert len(measured_rows) == len(set(measured_rows)) == 6


@pytest.mark.parametrize("intact", [0, 100, 5000])
def test_a_truncated_shard_is_named(crawl: Path, tmp_path: Path, intact: int) -> None:
    shard = tmp_path / "shard-00001.parquet"
    shard.write_bytes((crawl / shard.name).read_bytes()[:intact])
    config = HumanScenes()
    with pytest.raises(ShardError, match=r"shard-00001\.parquet"):
        curate.measure_shard(curate._Measure(shard, tmp_path, config))


def test_datasets_reads_the_artifact(artifact: Path, tmp_path: Path) -> None:
    import datasets

    rows = datasets.load_dataset(str(artifact), split="train", cache_dir=str(tmp_path))
    assert len(rows) == 2
    assert rows[0]["image"].size == (512, 512)


@settings(max_examples=20, deadline=None)
@given(fates=st.lists(st.sampled_from(["kept", "too_bright", "forgotten", "duplicate"]), max_size=90))
def test_every_row_of_a_shard_is_kept_or_dropped_once(
    fates: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    shard, signals, out = folder / shard_name(0), folder / "signals" / shard_name(0), folder / "out"
    rows = [{"id": str(n), "url": "u", "width": 9, "height": 9, "image": None} for n in range(len(fates))]
    lists: dict[str, list[Any]] = {"faces": [], "people": [], "objects": []}
    filtered = {"kept": None, "duplicate": None}
    write_shard(shard, rows, SCRAPED)
    write_shard(
        signals,
        [{"id": str(n), "reason": filtered.get(fate, fate), "detail": "", **lists} for n, fate in enumerate(fates)],
        curate.SIGNALS,
    )
    places = np.array([n for n, fate in enumerate(fates) if fate == "duplicate"], np.int32)
    kept_for = np.full(len(places), b"x")
    found = Duplicates(places, places >= 0, kept_for, np.zeros_like(places), places < 0)
    result = curate.select_shard(curate._Select(shard, out, signals, 0, found))
    kept, dropped = ([row["id"] for row in read_folder(path, ("id",))] for path in (out, out / "dropped"))
    assert sorted(kept + dropped, key=int) == [row["id"] for row in rows]
    assert kept == [str(n) for n, fate in enumerate(fates) if fate == "kept"]
    assert result.counts.balanced
    assert {row["url"] for row in read_folder(out / "dropped") if row["reason"] == "forgotten"} <= {""}
