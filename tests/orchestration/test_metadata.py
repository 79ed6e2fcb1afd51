"""What the UI shows of an artifact: counts, drops, metrics, and small pictures."""

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


def test_counts_drops_and_metrics(artifact: Path) -> None:
    metadata = describe_artifact(artifact)
    assert (metadata["dagster/row_count"], metadata["rows in"], metadata["rows dropped"]) == (6, 10, 4)
    assert [record.data for record in metadata["drops"].records] == [
        {"reason": "no_person", "rows": 3, "share": "30.0%"},
        {"reason": "blurred", "rows": 1, "share": "10.0%"},
    ]
    assert metadata["metric: kept_share"] == 0.6
    assert "samples" not in metadata


def test_plots_are_named_and_no_picture_is_in_the_metadata(artifact: Path) -> None:
    """What the event log is told stays there, also after a takedown."""
    schema = pa.schema([("id", pa.string()), ("image", IMAGE)])
    image = {"bytes": picture(300, 200, "JPEG"), "path": "a.jpg"}
    write_shard(artifact / shard_name(0), [{"id": "1", "image": image}], schema)
    metadata = describe_artifact(artifact)
    plots = {name: value for name, value in metadata.items() if name.startswith("plot: ")}
    assert plots == {"plot: loss": dg.MetadataValue.path(str(artifact / "plots/loss.png"))}
    assert metadata["page"] == f"humanvlm show {artifact}"
    assert "data:image" not in repr(metadata)


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
