"""human_caption and human_caption_hq on a small artifact of real pictures, as a user runs them."""

import io
import json
import re
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from humanvlm.caption import hq_stage
from humanvlm.caption import stage as caption_stage
from humanvlm.caption.report import Kind, count_shard, present
from humanvlm.caption.stage import split_of
from humanvlm.caption.statistics import merged
from humanvlm.caption.template.english import word_count
from humanvlm.config.human_caption import HumanCaption
from humanvlm.data.shards import ShardFile, read_folder, write_shard
from humanvlm.pipeline.runner import run_stage

from .conftest import SCENES

Reports = dict[str, tuple[Path, dict[str, Any]]]


@pytest.fixture(scope="module")
def reports(artifact: Path, repo: Path, tmp_path_factory: pytest.TempPathFactory) -> Reports:
    """Both stages, captioned from facts and from the index's texts: name -> artifact and report."""
    folder, params, found = tmp_path_factory.mktemp("captions"), repo / "humanvlm" / "profiles" / "cpu.yaml", {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HUMANVLM_WORKERS", "1")
        for captioner in ("template", "source"):
            out, hq = folder / captioner, folder / f"{captioner}_hq"
            setting = [f"human_caption.captioner={captioner}"]
            found[captioner] = out, run_stage("human_caption", params, setting, {"human_scenes": artifact}, out)
            found[f"{captioner}_hq"] = hq, run_stage("human_caption_hq", params, [], {"human_caption": out}, hq)
    return found


def dropped(folder: Path) -> dict[str, str]:
    rows = read_folder(folder / "dropped")
    return {row["url"].rsplit("/", 1)[1].removesuffix(".jpg"): row["reason"] for row in rows}


def test_every_row_is_kept_or_dropped_for_a_reason(reports: Reports) -> None:
    expected = {
        "template": ({"undecodable": 1}, 6),
        "source": ({"no_text": 1, "undecodable": 1}, 6),
        "template_hq": ({"low_resolution": 1, "no_face": 1}, 5),
        "source_hq": ({"low_resolution": 1, "no_face": 1}, 4),
    }
    for name, (reasons, rows_in) in expected.items():
        out, report = reports[name]
        assert report["rows"] == {"in": rows_in, "kept": rows_in - sum(reasons.values()), "dropped": reasons}
        assert len(list(read_folder(out, ["id"]))) == report["rows"]["kept"]
        assert len(dropped(out)) == sum(reasons.values())


@pytest.mark.parametrize("redact", [True, False])
def test_names_are_taken_out_of_all_texts(
    artifact: Path, repo: Path, tmp_path: Path, redact: bool, rows: dict[str, dict[str, Any]]
) -> None:
    texts = ["Sally Ride in an orange suit, call 555-123-4567", "an astronaut before a flag"]
    named = [{**rows["astronaut"], "captions": texts, "text": texts[0]}]
    write_shard(tmp_path / "scenes" / "shard-00000.parquet", named, SCENES)
    task = caption_stage.Task(
        tmp_path / "scenes" / "shard-00000.parquet", tmp_path, HumanCaption(captioner="source", redact=redact)
    )
    result = caption_stage.caption_shard(task)
    (row,) = read_folder(tmp_path)
    said = json.dumps(row, default=str)
    assert ("Sally" in said, "555-123" in said) == (not redact, not redact)
    assert row["short"].startswith("A person in an orange suit") == redact
    assert result.info.get("redacted", {}) == ({"name": 1, "phone": 1} if redact else {})


def test_template_captions_say_what_is_there(reports: Reports) -> None:
    rows = {row["url"]: row for row in read_folder(reports["template"][0])}
    woman = rows["http://photos.example/astronaut.jpg"]
    assert "smiling" in woman["short"]
    assert "orange" in woman["short"]
    assert woman["captioner"] == "template"
    assert json.loads(woman["facts"])["people"][0]["gender"]["value"] == "female"
    for row in rows.values():
        assert 3 <= word_count(row["short"]) <= 70
        assert word_count(row["detailed"]) <= 300
        assert row["split"] in ("train", "test")


def test_source_captions_are_the_cleaned_texts(reports: Reports) -> None:
    rows = {row["url"]: row for row in read_folder(reports["source"][0])}
    woman = rows["http://photos.example/astronaut.jpg"]
    assert woman["short"] == "An astronaut in an orange suit smiles."
    assert woman["captions"] == ["An astronaut in an orange suit smiles.", "A woman before a flag. See."]
    assert rows["http://photos.example/hopper.jpg"]["short"] == "Officer in a dark uniform."
    assert json.loads(woman["facts"])["people_count"] == 1


def test_hq_fuses_face_body_and_background(reports: Reports) -> None:
    for name, first in (("template_hq", ""), ("source_hq", "An astronaut in an orange suit smiles.")):
        rows = {row["url"]: row for row in read_folder(reports[name][0])}
        woman = rows["http://photos.example/astronaut.jpg"]
        assert "smil" in woman["face"].lower()
        assert "orange" in woman["body"]
        assert woman["background"]
        assert woman["human_caption_hq"].startswith(first)
        for column in ("face", "human_caption_hq"):
            assert re.search("to be|apparently", woman[column], re.IGNORECASE), woman[column]
        assert all(word_count(row["human_caption_hq"]) <= 500 for row in rows.values())
        assert "detailed" not in woman


def test_where_else_a_picture_is_is_passed_on(artifact: Path, reports: Reports) -> None:
    known = {row["id"]: row["also_at"] for row in read_folder(artifact, ("id", "also_at"))}
    for folder, _ in reports.values():
        assert all(row["also_at"] == known[row["id"]] for row in read_folder(folder, ("id", "also_at")))


def test_plots_and_card_are_listed_outputs(reports: Reports) -> None:
    out, report = reports["template"]
    listed = {file["path"] for file in report["outputs"]}
    assert {"README.md", *report["plots"]} <= listed
    assert all((out / path).stat().st_size > 0 for path in listed)
    assert report["metrics"]["short_words_mean"] > 3


def test_workers_do_not_change_the_bytes(
    reports: Reports, artifact: Path, repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUMANVLM_WORKERS", "2")
    again = run_stage(
        "human_caption", repo / "humanvlm" / "profiles" / "cpu.yaml", [], {"human_scenes": artifact}, tmp_path / "again"
    )
    assert again["outputs"] == reports["template"][1]["outputs"]


@pytest.mark.parametrize("name", ["template", "source", "template_hq"])
def test_public_readers_decode_the_pictures(reports: Reports, name: str, tmp_path: Path) -> None:
    import datasets
    import duckdb
    import polars

    out, report = reports[name]
    files = [str(path) for path in sorted(out.glob("shard-*.parquet"))]
    loaded = datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=str(tmp_path))
    assert len(loaded) == report["rows"]["kept"]
    assert loaded[0]["image"].size == (512, 512)
    streamed = next(iter(datasets.load_dataset("parquet", data_files=files, split="train", streaming=True)))
    assert streamed["image"].size == (512, 512)
    assert streamed["id"] == loaded[0]["id"]
    frame = polars.read_parquet(files)
    assert frame.height == report["rows"]["kept"]
    assert all(decoded_size(row["image"]["bytes"]) == (row["width"], row["height"]) for row in frame.to_dicts())
    rows = duckdb.connect().execute(f"select image.bytes, width, height from read_parquet({files})").fetchall()
    assert len(rows) == report["rows"]["kept"]
    assert all(decoded_size(data) == (width, height) for data, width, height in rows)


def decoded_size(data: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(data)) as picture:
        picture.load()
        return picture.size


def test_split_share_follows_the_holdout() -> None:
    splits = [split_of(str(number), 7, 0.1) for number in range(4000)]
    assert 0.08 < splits.count("test") / len(splits) < 0.12
    assert {split_of("a", 7, 0.0)} == {"train"}
    assert splits != [split_of(str(number), 8, 0.1) for number in range(4000)]


@pytest.mark.parametrize(("name", "kind"), [("source", caption_stage.KIND), ("template_hq", hq_stage.KIND)])
def test_an_artifact_describes_itself(reports: Reports, name: str, kind: Kind) -> None:
    out, report = reports[name]
    statistics = json.loads((out / "statistics.json").read_text())
    assert statistics["counts"]["rows"]["all"] == report["rows"]["kept"]
    assert statistics["metrics"].items() <= report["metrics"].items()
    assert {f"{text}_self_bleu" for text in kind.texts} <= report["metrics"].keys()
    assert "known.gender" in report["metrics"]
    assert [row["text"] for row in report["info"]["tables"]["texts"]] == list(kind.texts)
    assert {"plots/contact_sheet.png", "plots/words.png", "plots/facts.png"} <= set(report["plots"])
    metadata = json.loads((out / "croissant.json").read_text())
    fields = metadata["recordSet"][0]["field"]
    columns = next(iter(read_folder(out))).keys()
    assert {field["name"]: bool(field["description"]) for field in fields} == dict.fromkeys(columns, True)
    card = (out / "README.md").read_text()
    assert all(f"| `{column}` |" in card for column in columns)
    assert {"README.md", "croissant.json", "statistics.json"} <= {file["path"] for file in report["outputs"]}


def test_what_an_artifact_says_of_itself_follows_from_its_rows(reports: Reports, tmp_path: Path) -> None:
    out, report = reports["template"]
    shards = [ShardFile(**file) for file in report["outputs"] if file["path"].startswith("shard-")]
    for shard in shards:
        shutil.copy(out / shard.path, tmp_path)
    texts = caption_stage.KIND.texts
    total = merged(count_shard(tmp_path / shard.path, texts) for shard in shards)
    shown = present(tmp_path, caption_stage.KIND, total, shards)
    assert shown.files
    assert all(asdict(file) in report["outputs"] for file in shown.files)
    assert shown.metrics.items() <= report["metrics"].items()


def test_a_model_on_this_machine_captions_what_it_can_and_the_template_the_rest(
    artifact: Path, repo: Path, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The weights are random, so that nothing it says may stay; its replies are kept, and not asked for again."""
    monkeypatch.setenv("HUMANVLM_WORKERS", "1")
    monkeypatch.setenv("HUMANVLM_PREDICTIONS", str(tmp_path / "replies"))
    model = f"human_caption.model=checkpoint:{checkpoint / 'model'}"
    settings = ["human_caption.captioner=model", model, "human_caption.max_new_tokens=8"]
    params = repo / "humanvlm" / "profiles" / "cpu.yaml"
    report = run_stage("human_caption", params, settings, {"human_scenes": artifact}, tmp_path / "out")
    assert report["rows"] == {"in": 6, "kept": 5, "dropped": {"undecodable": 1}}
    rows = list(read_folder(tmp_path / "out"))
    assert {row["captioner"] for row in rows} == {"template"}
    assert all(re.fullmatch(r"short: \w[\w, ]*; detailed: \w[\w, ]*", row["replaced"]) for row in rows)
    assert all(row["short"] and row["claims_unsupported"] == 0 for row in rows)
    kept = [line for path in sorted((tmp_path / "replies").rglob("*.jsonl")) for line in path.read_text().splitlines()]
    assert len(kept) == 2 * 5
    assert {json.loads(line)["picture"] for line in kept} == {row["sha256"] for row in rows}
    shutil.rmtree(tmp_path / "out")
    run_stage("human_caption", params, settings, {"human_scenes": artifact}, tmp_path / "out")
    again = [line for path in sorted((tmp_path / "replies").rglob("*.jsonl")) for line in path.read_text().splitlines()]
    assert again == kept
