"""An artifact of a few pictures, as a stage leaves it."""

import io
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
from PIL import Image

from humanvlm.data.atomic_io import write_json
from humanvlm.data.shards import IMAGE, shard_name, write_shard

CAPTIONS = pa.list_(pa.string())
COLUMNS = {
    "raw_scrape": [("text", pa.string()), ("captions", CAPTIONS), ("score", pa.float64())],
    "human_caption": [("text", pa.string()), ("short", pa.string()), ("detailed", pa.string()), ("split", pa.string())],
    "human_caption_hq": [
        ("human_caption_hq", pa.string()),
        ("conversations", pa.list_(pa.struct([("from", pa.string()), ("value", pa.string())]))),
    ],
}


def picture(number: int, kind: str = "JPEG") -> bytes:
    sink = io.BytesIO()
    Image.new("RGB", (24, 16), (40 * number % 255, 90, 120)).save(sink, kind)
    return sink.getvalue()


def rows_of(stage: str, count: int, first: int = 0) -> list[dict[str, Any]]:
    """Every third is of the test split; every fourth has no text, a number that is none, and is a PNG."""
    return [
        {
            "id": f"{number:020x}",
            "url": f"http://photos.example/{number}.jpg",
            "license": "CC0-1.0" if number % 2 else None,
            "image": {"bytes": picture(number, "PNG" if number % 4 == 3 else "JPEG"), "path": None},
            "text": None if number % 4 == 3 else f"text {number} ü",
            "captions": [] if number % 4 == 3 else [f"text {number} ü", "another"],
            "score": float("nan") if number % 4 == 3 else 0.5,
            "short": f"short {number}",
            "detailed": f"detailed {number}",
            "split": "test" if number % 3 == 2 else "train",
            "human_caption_hq": f"fused {number}",
            "conversations": []
            if number % 2
            else [{"from": "human", "value": "<image>\nHow?"}, {"from": "gpt", "value": f"fused {number}"}] * 2,
        }
        for number in range(first, first + count)
    ]


def make(folder: Path, stage: str = "raw_scrape", counts: tuple[int, ...] = (5, 0, 3)) -> list[dict[str, Any]]:
    """Write the artifact; return its rows."""
    common = [("id", pa.string()), ("url", pa.string()), ("license", pa.string()), ("image", IMAGE)]
    schema = pa.schema([*common, *COLUMNS[stage]])
    rows: list[dict[str, Any]] = []
    files = []
    folder.mkdir(parents=True, exist_ok=True)
    for number, count in enumerate(counts):
        made = rows_of(stage, count, len(rows))
        files.append(write_shard(folder / shard_name(number), made, schema))
        rows += made
    report = {
        "stage": stage,
        "rows": {"in": len(rows) + 1, "kept": len(rows), "dropped": {"http_404": 1}},
        "outputs": [asdict(file) for file in files],
        "versions": {"humanvlm": "0.1.0"},
    }
    write_json(folder / "report.json", report)
    return [{name: row[name] for name in schema.names} for row in rows]
