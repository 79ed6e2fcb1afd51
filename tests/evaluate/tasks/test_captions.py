"""Files of captions in their several forms."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from humanvlm.errors import UserError
from humanvlm.evaluate.tasks.captions import read_candidates, read_pairs, read_references, score_files


def write(path: Path, value: Any) -> Path:
    data = (value if isinstance(value, str) else json.dumps(value)).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def test_references(tmp_path: Path) -> None:
    coco = {
        "images": [{"id": 7}, {"id": 3}, {"id": 5}],
        "annotations": [
            {"image_id": 3, "id": 1, "caption": "a dog"},
            {"image_id": 7, "id": 2, "caption": ""},
            {"image_id": 3, "id": 4, "caption": "a big dog"},
        ],
    }
    wanted = {"7": [""], "3": ["a dog", "a big dog"]}
    found = read_references(write(tmp_path / "coco.json.gz", coco))
    assert (found, list(found)) == (wanted, ["7", "3"])
    assert read_references(write(tmp_path / "named.json", wanted)) == wanted
    del coco["images"]
    assert list(read_references(write(tmp_path / "bare.json", coco))) == ["3", "7"]


def test_the_official_file(shared: Path) -> None:
    official = read_references(shared / "benchmarks" / "captions" / "captions_val2017.json.gz")
    assert (len(official), sum(map(len, official.values()))) == (5000, 25014)


def test_candidates(tmp_path: Path) -> None:
    wanted = {"3": "a dog", "7": ""}
    rows = [{"image_id": int(key), "caption": text} for key, text in wanted.items()]
    assert read_candidates(write(tmp_path / "rows.json", rows)) == wanted
    assert read_candidates(write(tmp_path / "named.json.gz", wanted)) == wanted
    assert read_candidates(write(tmp_path / "indented.json", "{\n" + json.dumps(wanted)[1:])) == wanted
    lines = "\n".join(json.dumps({"id": key, "text": text}) for key, text in wanted.items())
    assert read_candidates(write(tmp_path / "rows.jsonl", "\n" + lines)) == wanted


def test_pairs(tmp_path: Path) -> None:
    pairs = {"139": {"candidate": "A woman.", "references": ["A woman stands.", "She stands."]}}
    assert read_pairs(write(tmp_path / "pairs.json.gz", pairs)) == {
        "139": ("A woman.", ["A woman stands.", "She stands."])
    }
    path = write(tmp_path / "pairs.json", {"1": {"candidate": "a", "references": []}})
    with pytest.raises(UserError, match=r"id 1\.references: no list of captions, or an empty one"):
        read_pairs(path)


@pytest.mark.parametrize(
    ("read", "value", "why"),
    [
        (read_references, [], "a JSON list; an object is expected"),
        (read_references, {"1": []}, "id 1: no list of captions, or an empty one"),
        (read_references, {"1": ["a", 2]}, r"id 1\[1\]: '2' is no text"),
        (read_references, {"1": "a"}, "id 1: no list of captions"),
        (read_references, '{"1": ["a"], "2": ["b"], "1": ["c"]}', "id 1 is there twice"),
        (read_references, {"annotations": 5}, "annotations is no list"),
        (read_references, {"annotations": [5]}, r"annotations\[0\]: no JSON object"),
        (read_references, {"annotations": [{"caption": "a"}]}, r"annotations\[0\]: no image_id"),
        (read_references, {"annotations": [{"image_id": 1}]}, r"annotations\[0\]: no caption"),
        (
            read_references,
            {"images": [{"id": 1}], "annotations": [{"image_id": 2, "caption": "a"}]},
            "2 is not in images",
        ),
        (read_references, {"images": [{"id": 1}, {"id": "1"}], "annotations": []}, "id 1 is twice in images"),
        (
            read_references,
            {"annotations": [{"image_id": 1, "id": 9, "caption": "a"}, {"image_id": 2, "id": 9, "caption": "a"}]},
            r"annotations\[1\]: id 9 is there twice",
        ),
        (read_candidates, [{"image_id": 1, "caption": "a"}, {"image_id": "1", "caption": "b"}], "id 1 is there twice"),
        (read_candidates, [{"image_id": 1, "caption": None}], "'None' is no text"),
        (read_candidates, [{"caption": "a"}], "no image_id or id"),
        (read_candidates, {"1": ["a"]}, "id 1: .* is no text"),
        (read_candidates, "{", "malformed"),
        (read_candidates, "", "."),
        (read_pairs, {"1": "a"}, "id 1: no object with candidate and references"),
        (read_pairs, {"1": {"candidate": ["a"], "references": ["b"]}}, r"id 1\.candidate"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, read: Any, value: Any, why: str) -> None:
    path = write(tmp_path / "captions.json", value)
    if value == "":
        assert read(path) == {}
        return
    with pytest.raises(UserError, match=why) as error:
        read(path)
    assert "captions.json" in str(error.value)
    assert "\n" not in str(error.value)


def test_pairs_stand_alone(tmp_path: Path) -> None:
    pairs = write(tmp_path / "pairs.json", {"1": {"candidate": "a man", "references": ["a man"]}})
    said = write(tmp_path / "said.json", {"1": "a man"})
    with pytest.raises(UserError, match="pairs of candidate and references stand alone; give it as --references"):
        score_files(pairs, said)
    with pytest.raises(UserError, match=r"pairs\.json: pairs of candidate and references stand alone"):
        score_files(write(tmp_path / "references.json", {"1": ["a man"]}), pairs)
