"""A benchmark of a few samples for a tiny checkpoint, and a way to run the stage on it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from humanvlm.data.atomic_io import write_json
from humanvlm.data.shards import IMAGE, write_shard
from humanvlm.pipeline.runner import run_stage

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("captions", pa.list_(pa.string())),
        ("short", pa.string()),
        ("captioner", pa.string()),
        ("split", pa.string()),
        ("image", IMAGE),
    ]
)
SETTINGS = (
    "processes=1",
    "tasks=[captions, vqa, rec, attributes, holdout]",
    "limit=0",
    "max_new_tokens=4",
    "bootstrap=20",
    "batch_size=2",
)


def jpeg(shade: int) -> bytes:
    buffer = BytesIO()
    Image.fromarray(np.full((40, 60, 3), shade, np.uint8)).save(buffer, "JPEG")
    return buffer.getvalue()


def write_lines(path: Path, rows: Sequence[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))


def write_inputs(folder: Path) -> dict[str, Path]:
    """``data`` with three tasks (15 rows in with those held out, 10 of them whole) and ``human_caption``."""
    benchmarks = folder / "data" / "benchmarks"
    (benchmarks / "images").mkdir(parents=True)
    for number in range(4):
        (benchmarks / "images" / f"{number}.jpg").write_bytes(jpeg(60 * number))
    (benchmarks / "images" / "broken.jpg").write_bytes(b"no picture")
    image = [f"images/{number}.jpg" for number in range(4)]
    captions: list[Any] = [{"id": f"c{i}", "image": image[i], "references": [f"shade {i}"]} for i in range(4)]
    captions += [{"id": "gone", "image": "images/gone.jpg", "references": ["nothing"]}]
    captions += [{"id": "broken", "image": "images/broken.jpg", "references": ["nothing"]}]
    captions += [{"id": "out", "image": "../../secret.jpg", "references": ["nothing"]}, "{not json", {"id": "bare"}]
    write_lines(benchmarks / "captions.jsonl", captions)
    box = {"box": [6, 4, 30, 20], "width": 60, "height": 40, "expression": "<b>the man</b>"}
    write_lines(benchmarks / "rec.jsonl", [{"id": "r0", "image": image[0]} | box])
    question = {"image": image[1], "attribute": "hat", "question": "Does he appear to wear a hat?"}
    write_lines(benchmarks / "attributes.jsonl", [{"id": f"a{i}", "answer": "yes"} | question for i in range(2)])
    rows = [
        {
            "id": f"h{i}",
            "captions": ["A shade." if i < 4 else f"Shade {i}!"] if i != 5 else [],
            "short": "short",
            "captioner": "source",
            "split": "test" if i > 3 else "train",
            "image": {"bytes": jpeg(30 * i), "path": None},
        }
        for i in range(7)
    ]
    written = write_shard(folder / "human_caption" / "shard-00000.parquet", rows, SCHEMA)
    write_json(folder / "human_caption" / "report.json", {"outputs": [asdict(written)]})
    return {"human_caption": folder / "human_caption", "data": folder / "data"}


def evaluate(inputs: Mapping[str, Path], out: Path, repo: Path, *overrides: str) -> dict[str, Any]:
    """Run ``benchmark_scores`` and return its report. overrides: ``key=value`` of its section."""
    settings = [f"benchmark_scores.{value}" for value in (*SETTINGS, *overrides)]
    return run_stage("benchmark_scores", repo / "humanvlm" / "profiles" / "cpu.yaml", settings, inputs, out)
