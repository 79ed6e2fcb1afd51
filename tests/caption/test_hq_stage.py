import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from humanvlm.caption import hq_stage
from humanvlm.caption.judging import Judge, judge_shard
from humanvlm.config.human_caption_hq import HumanCaptionHQ
from humanvlm.data.atomic_io import write_json
from humanvlm.data.facts import Facts, Guess, Person
from humanvlm.data.shards import IMAGE, read_folder, shard_name, write_shard
from humanvlm.pipeline.runner import run_stage

BOX = pa.list_(pa.float32())
TEXTS = ("id", "url", "final_url", "license", "sha256", "facts", "split", "captioner", "text", "short", "detailed")
SOURCE = pa.schema(
    [
        *((name, pa.string()) for name in TEXTS),
        ("image", IMAGE),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("sharpness", pa.float32()),
        ("captions", pa.list_(pa.string())),
        ("faces", pa.list_(pa.struct([("box", BOX), ("points", BOX)]))),
        ("objects", pa.list_(pa.struct([("label", pa.string()), ("score", pa.float32()), ("box", BOX)]))),
        ("people", pa.list_(pa.struct([("box", BOX)]))),
    ]
)


@settings(max_examples=20, deadline=None)
@given(sizes=st.lists(st.tuples(st.integers(1, 200), st.none() | st.integers(1, 60)), max_size=90))
def test_every_row_of_a_shard_is_kept_or_dropped_once(
    sizes: list[tuple[int, int | None]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    config = HumanCaptionHQ(min_side=100, min_face_side=30)
    facts = Facts(100, 100, 0, (), "even", "medium", False).to_json()
    rows = [
        {
            **{"id": str(number), "url": "u", "width": side, "height": 200, "facts": facts, "captioner": "template"},
            **{"captions": [], "people": [], "sharpness": 40.0},
            "faces": [{"box": [0, 0, face, face]}] if face else [],
        }
        for number, (side, face) in enumerate(sizes)
    ]
    write_shard(folder / shard_name(0), rows, SOURCE)
    judged = Judge(folder / shard_name(0), folder / "out", config)
    judge_shard(judged)
    passing = sum(side >= 100 and (face or 0) >= 30 for side, face in sizes)
    chosen = np.ones(passing, dtype=bool)
    result = hq_stage.describe_shard(hq_stage.Task(judged.source, judged.out, config, judged.signals, chosen))
    kept, dropped = ([row["id"] for row in read_folder(folder / name, ("id",))] for name in ("out", "out/dropped"))
    assert sorted(kept + dropped, key=int) == [row["id"] for row in rows]
    assert kept == [str(number) for number, (side, face) in enumerate(sizes) if side >= 100 and (face or 0) >= 30]
    assert result.counts.balanced
    assert (result.counts.rows_in, result.counts.kept) == (len(rows), len(kept))


def row(number: int, **changed: Any) -> dict[str, Any]:
    gender = "female" if number % 4 else "male"
    person = Person((0, 0, 50, 100), (20, 5, 40, 25), "left", "half-length", gender=Guess(gender, 0.9))
    facts = Facts(100, 100, 1, (person,), "even", "medium", False)
    return {
        **{"id": f"id-{number}", "url": "u", "width": 300 + number, "height": 900, "sharpness": 30.0},
        "image": {"bytes": b"jpeg", "path": "x.jpg"},
        **{"facts": facts.to_json(), "captions": [], "people": [], "captioner": "template", "split": "train"},
        "faces": [{"box": [0, 0, 60, 60]}],
    } | changed


def run_hq(folder: Path, shards: list[list[dict[str, Any]]], *settings: str) -> tuple[Path, dict[str, Any]]:
    """human_caption_hq of these rows, one list a shard: its artifact and report."""
    source = folder / "human_caption"
    files = [asdict(write_shard(source / shard_name(i), some, SOURCE)) for i, some in enumerate(shards)]
    write_json(source / "report.json", {"outputs": files, "stage": "human_caption"})
    params = folder / "params.yaml"
    params.write_text("human_caption_hq: {}\n")
    out = folder / "out"
    return out, run_stage("human_caption_hq", params, settings, {"human_caption": source}, out)


def chosen(folder: Path, shards: list[list[dict[str, Any]]], *settings: str) -> set[str]:
    out, _ = run_hq(folder, shards, *(f"human_caption_hq.{setting}" for setting in settings))
    return {row["id"] for row in read_folder(out, ("id",))}


@pytest.mark.slow
def test_the_choice_does_not_depend_on_shards(tmp_path: Path) -> None:
    rows = [row(number) for number in range(40)]
    one = chosen(tmp_path / "one", [rows], "max_rows=12")
    many = chosen(tmp_path / "many", [rows[30:], [], rows[10:30], rows[:10]], "max_rows=12")
    assert one == many
    assert Counter(int(id[3:]) % 4 == 0 for id in one) == {True: 6, False: 6}
    assert "id-39" in one  # the largest of its kind


def test_what_is_left_out_is_counted_and_covered(tmp_path: Path) -> None:
    out, report = run_hq(
        tmp_path, [[row(n) for n in range(20)], [row(20, width=10)]], "human_caption_hq.max_per_cell=4"
    )
    assert report["rows"] == {"in": 21, "kept": 8, "dropped": {"low_resolution": 1, "over_quota": 12}}
    assert report["metrics"]["coverage.gender.female"] == 0.5
    assert {"axis": "gender", "value": "female", "offered": 15, "kept": 4} in report["info"]["tables"]["coverage"]
    reasons = {row["detail"] for row in read_folder(out / "dropped") if row["reason"] == "over_quota"}
    assert "better pictures fill the quota of female, unknown, half-length, 1, unknown" in reasons


def test_pictures_without_faces_and_blurred_ones_by_parameter(tmp_path: Path) -> None:
    rows = [
        row(0, faces=[]),
        row(1, sharpness=5.0),
        row(4, sharpness=None),
        row(2, faces=[{"box": [0, 0, 9, 9]}]),
        row(3),
    ]
    assert chosen(tmp_path / "faces", [rows]) == {"id-3", "id-4"}
    assert chosen(tmp_path / "backs", [rows], "require_face=false") == {"id-0", "id-2", "id-3", "id-4"}
    assert chosen(tmp_path / "blurred", [rows], "min_sharpness=0") == {"id-1", "id-3", "id-4"}


def test_every_row_has_a_conversation_that_begins_with_its_caption(tmp_path: Path) -> None:
    dog = {"label": "dog", "score": 0.9, "box": [0, 0, 9, 9]}
    out, report = run_hq(tmp_path, [[row(0, objects=[dog]), row(1, short="A woman.")], [row(2)]])
    rows = list(read_folder(out))
    for one in rows:
        talk = one["conversations"]
        assert talk[1]["value"] == one["human_caption_hq"]
        assert [message["from"] for message in talk] == ["human", "gpt"] * (len(talk) // 2)
        assert 2 < len(talk) <= 16
    assert report["metrics"]["turns_mean"] == round(sum(len(one["conversations"]) for one in rows) / 6, 4)
    assert chosen(tmp_path / "one", [[row(0)]], "max_turns=1") == {"id-0"}
    assert [len(one["conversations"]) for one in read_folder(tmp_path / "one" / "out")] == [2]


@pytest.mark.slow
def test_the_card_tells_how_to_write_llavas_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, _ = run_hq(tmp_path, [[row(0, image={"bytes": b"picture", "path": "a/b.png"})], [row(1)]])
    code = (out / "README.md").read_text().partition("```python\n")[2].partition("```")[0]
    monkeypatch.chdir(out)
    exec(compile(code, "card", "exec"), {})
    lines = [json.loads(line) for line in Path("llava/conversations.jsonl").read_text().splitlines()]
    kept = list(read_folder(out))
    assert [line["conversations"] for line in lines] == [one["conversations"] for one in kept]
    assert Path("llava", lines[0]["image"]).read_bytes() == kept[0]["image"]["bytes"]
