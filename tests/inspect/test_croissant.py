import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from PIL import Image

from humanvlm.data.shards import IMAGE, ShardFile, open_shard, shard_name, write_shard
from humanvlm.inspect.croissant import About, column_descriptions, write_croissant

FACES = pa.list_(pa.struct([("box", pa.list_(pa.float32())), ("score", pa.float32())]))
TYPES = {
    "id": pa.string(), "captions": pa.list_(pa.string()), "image": IMAGE, "width": pa.int32(), "nsfw": pa.float32(),
    "fetched_at": pa.timestamp("s", "UTC"), "faces": FACES, "kept": pa.bool_(),
}  # fmt: skip


def artifact(out: Path) -> Path:
    sink = io.BytesIO()
    Image.new("RGB", (6, 4), "white").save(sink, "PNG")
    rows: list[dict[str, Any]] = [
        {
            "id": f"id{number}", "captions": ["one", "two"], "image": {"bytes": sink.getvalue(), "path": "a.png"},
            "width": 6, "nsfw": 0.5, "fetched_at": 0, "faces": [{"box": [1, 2, 3, 4], "score": 0.5}] * number,
            "kept": True,
        }
        for number in range(3)
    ]  # fmt: skip
    files = [write_shard(out / shard_name(n), part, pa.schema(TYPES)) for n, part in enumerate((rows[:2], rows[2:]))]
    about = About("Sample", "What it is.", "see the column license", {"id": "An id."}, {"dataBiases": "Some."})
    write_croissant(out, about, files, open_shard(out / shard_name(0)).schema_arrow)
    return out / "croissant.json"


def test_it_is_valid_and_loads(tmp_path: Path) -> None:
    mlcroissant = pytest.importorskip("mlcroissant", reason="pip install 'humanvlm[dev]'")
    dataset = mlcroissant.Dataset(artifact(tmp_path))  # raises where it is not valid
    assert not dataset.metadata.ctx.issues.errors
    rows = list(dataset.records("rows"))
    assert [row["rows/id"] for row in rows] == [b"id0", b"id1", b"id2"]
    assert rows[0]["rows/image"].size == (6, 4)
    assert rows[0]["rows/captions"] == [b"one", b"two"]
    assert rows[2]["rows/faces"][1] == {"rows/faces/box": [1, 2, 3, 4], "rows/faces/score": 0.5}


def test_shards_are_named_with_their_sha256_and_columns(tmp_path: Path) -> None:
    metadata = json.loads(artifact(tmp_path).read_text())
    files = [entry for entry in metadata["distribution"] if entry["@type"] == "cr:FileObject"]
    assert [entry["sha256"] for entry in files] == [ShardFile.of(tmp_path, shard_name(n)).sha256 for n in range(2)]
    fields = metadata["recordSet"][0]["field"]
    assert [field["name"] for field in fields] == list(TYPES)
    assert fields[0]["description"] == "An id."


def test_the_validator_would_notice(tmp_path: Path) -> None:
    mlcroissant = pytest.importorskip("mlcroissant", reason="pip install 'humanvlm[dev]'")
    path = artifact(tmp_path)
    metadata = json.loads(path.read_text())
    del metadata["distribution"][-1]
    path.write_text(json.dumps(metadata))
    with pytest.raises(mlcroissant.ValidationError):
        mlcroissant.Dataset(path)


def test_descriptions_are_sentences() -> None:
    assert all(name == name.lower() and text.endswith(".") for name, text in column_descriptions().items())
