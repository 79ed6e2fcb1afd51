"""Small artifacts of the stages before training, and a way to run a training stage as a user does."""

import hashlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import yaml
from PIL import Image

from humanvlm.data.atomic_io import write_json
from humanvlm.data.shards import IMAGE, shard_name, write_shard

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("captions", pa.list_(pa.string())),
        ("image", IMAGE),
        ("sha256", pa.string()),
        ("short", pa.string()),
        ("detailed", pa.string()),
        ("human_caption_hq", pa.string()),
        ("split", pa.string()),
        ("conversations", pa.list_(pa.struct([("from", pa.string()), ("value", pa.string())]))),
    ]
)
COLOURS = ("red", "green", "blue", "white", "black", "yellow")
ROWS = 60


def picture(number: int) -> bytes:
    random = np.random.default_rng(number)
    pixels = random.integers(0, 60, (40, 48, 3), dtype=np.uint8) + np.uint8(30 * (number % 6))
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG")
    return file.getvalue()


def talk(*turns: tuple[str, str]) -> list[dict[str, str]]:
    """A conversation as LLaVA writes it."""
    speakers = [
        {"from": who, "value": text} for turn in turns for who, text in zip(("human", "gpt"), turn, strict=True)
    ]
    return [{**speakers[0], "value": f"<image>\n{speakers[0]['value']}"}, *speakers[1:]]


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``human_caption``, ``human_caption_hq`` and ``data``: 60 pictures in three shards, every tenth held out."""
    folder = tmp_path_factory.mktemp("artifacts")
    rows = []
    for number in range(ROWS):
        content, colour = picture(number), COLOURS[number % 6]
        row = {
            "id": str(number),
            "captions": [f"a man in {colour}", f"{colour} man"],
            "image": {"bytes": content, "path": f"{number}.jpg"},
            "sha256": hashlib.sha256(content).hexdigest(),
            "short": f"A man in a {colour} coat stands on the left.",
            "detailed": f"A man in a {colour} coat stands on the left. " * (1 + number % 3),
            "human_caption_hq": f"The face of the man in {colour} appears to be smiling.",
            "conversations": talk(
                ("Describe it.", "All of it."), ("What color is the coat?", colour), ("Is he smiling?", "yes")
            ),
            "split": "test" if number % 10 == 0 else "train",
        }
        rows.append(row)
    rows[1]["short"] = " "
    rows[2]["conversations"] = talk(("Describe it.", "All of it."))
    for name in ("human_caption", "human_caption_hq"):
        files = [
            write_shard(folder / name / shard_name(start // 20), rows[start : start + 20], SCHEMA)
            for start in range(0, ROWS, 20)
        ]
        write_json(folder / name / "report.json", {"outputs": [asdict(file) for file in files]})
    data = folder / "data"
    data.mkdir()
    for number in (0, 1, 2):
        (data / f"{number}.jpg").write_bytes(picture(number))
    (data / "broken.jpg").write_bytes(picture(3)[:200])
    asked = talk(("Is he smiling?", "yes"))
    lines = [
        *({"image": f"{number}.jpg", "conversations": asked} for number in (0, 1, 2, 2)),
        {"image": "broken.jpg", "conversations": asked},
        {"image": "../human_caption/shard-00000.parquet", "conversations": asked},
        {"image": "1.jpg", "conversations": asked[:1]},
        {"image": "1.jpg"},
    ]
    text = "\n".join(json.dumps(line) for line in lines) + "\nnot json\n"
    (data / "instructions.jsonl").write_text(text)
    return folder


@pytest.fixture(scope="session")
def start(
    tiny_models: dict[str, str], artifacts: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., "subprocess.Popen[str]"]:
    """``start(stage, out, processes=1, **inputs)`` runs ``humanvlm STAGE`` on the small artifacts with tiny models."""
    params = tmp_path_factory.mktemp("params") / "params.yaml"
    sections = ("raw_scrape", "human_scenes", "human_caption", "human_caption_hq", "benchmark_scores")
    common = {"batch_size": 4, "save_steps": 5, "learning_rate": 5e-3, "pack_tokens": 200, "word_steps": 25}
    values = {
        **{section: {} for section in sections},
        "registered_model": {},
        "model": {**tiny_models, "dtype": "float32"},
        "stage1_checkpoint": {**common, "max_steps": 40, "caption": "all"},
        "stage2_checkpoint": {**common, "max_steps": 12, "lora_r": 4, "group_by_length": True},
    }
    params.write_text(yaml.safe_dump(values))

    def begin(
        stage: str, out: Path, processes: int = 1, launcher: Sequence[str] = (), **inputs: Path
    ) -> "subprocess.Popen[str]":
        folders = {name: artifacts / name for name in ("human_caption", "human_caption_hq", "data")} | inputs
        wanted = ("human_caption",) if stage == "stage1_checkpoint" else tuple(folders)
        command = [sys.executable, *launcher, "-m", "humanvlm.cli", stage, "--params", str(params), "--out", str(out)]
        command += [part for name in wanted for part in ("--in", f"{name}={folders[name]}")]
        environment = {**os.environ, "HUMANVLM_PROCESSES": str(processes), "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    return begin
