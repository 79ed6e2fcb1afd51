"""What the UI shows of an artifact: counts, drops, metrics, and small pictures."""

import base64
import io
import json
from pathlib import Path

import dagster as dg
import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from humanvlm.data.shards import IMAGE, shard_name, write_shard
from humanvlm.errors import UserError
from orchestration.metadata import describe_artifact


def picture(width: int, height: int, kind: str) -> bytes:
    noise = np.random.default_rng(7).integers(0, 255, (height, width, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    report = {
        "rows": {"in": 10, "kept": 6, "dropped": {"blurred": 1, "no_person": 3}},
        "metrics": {"kept_share": 0.6},
        "plots": ["plots/loss.png", "page.html", "gone.png"],
        "timings": {"seconds": 1.5},
    }
    (tmp_path / "report.json").write_text(json.dumps(report))
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots/loss.png").write_bytes(picture(900, 700, "PNG"))
    return tmp_path


def shown(value: object) -> Image.Image:
    assert isinstance(value, dg.MarkdownMetadataValue)
    assert len(value.value) < 300_000
    return Image.open(io.BytesIO(base64.b64decode(value.value.split("base64,")[1].rstrip(")"))))


def test_counts_drops_and_metrics(artifact: Path) -> None:
    metadata = describe_artifact(artifact)
    assert (metadata["dagster/row_count"], metadata["rows in"], metadata["rows dropped"]) == (6, 10, 4)
    assert [record.data for record in metadata["drops"].records] == [
        {"reason": "no_person", "rows": 3, "share": "30.0%"},
        {"reason": "blurred", "rows": 1, "share": "10.0%"},
    ]
    assert metadata["metric: kept_share"] == 0.6
    assert "samples" not in metadata


def test_plots_are_inlined_small(artifact: Path) -> None:
    metadata = describe_artifact(artifact)
    assert [name for name in metadata if name.startswith("plot: ")] == ["plot: loss"]
    assert shown(metadata["plot: loss"]).width == 520


@pytest.mark.parametrize("rows", [1, 5, 30])
def test_first_pictures_make_a_sheet(artifact: Path, rows: int) -> None:
    schema = pa.schema([("id", pa.string()), ("image", IMAGE)])
    image = {"bytes": picture(300, 200, "JPEG"), "path": "a.jpg"}
    write_shard(artifact / shard_name(0), [{"id": str(i), "image": image} for i in range(rows)], schema)
    assert shown(describe_artifact(artifact)["samples"]).size == (6 * 112, 112 * (1 if rows <= 6 else 2))


def test_an_incomplete_artifact_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no report\.json"):
        describe_artifact(tmp_path)


def test_texts_of_tables_and_uris_are_as_they_may_be_shown(artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = json.loads((artifact / "report.json").read_text())
    report["info"] = {"tables": {"hosts": [{"host": "a\u202eb", "said": "http://me:word@h", "rows": 3}]}}
    (artifact / "report.json").write_text(json.dumps(report))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://me:word@db/mlflow")
    metadata = describe_artifact(artifact)
    assert metadata["hosts"].records[0].data == {"host": "a\\u202eb", "said": "http://***@h", "rows": 3}
    assert metadata["MLflow"].value == "mlflow ui --backend-store-uri postgresql://***@db/mlflow"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:word@h:5000")
    assert describe_artifact(artifact)["MLflow"].value == "http://h:5000"
